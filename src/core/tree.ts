/** The organization as the config has it. */
export interface TreeNode {
  readonly kind: 'business_unit' | 'team' | 'agent'
  readonly name: string
  readonly owner: string | null
  readonly businessUnit: string | null
  readonly team: string | null
}
