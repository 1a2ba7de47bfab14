/**
 * Who may do what. A role says which routes, a subtree where in the organization they reach; nobody
 * hands on more than he has.
 */
import { type Attribution, isNameText, type Selector } from './scope.ts'
import type { TreeNode } from './tree.ts'

/**
 * `admin` may do everything, `finops` everything but what makes admins and changes the config,
 * `lead` what lies in a subtree, and `viewer` changes nothing.
 */
export const roles = ['admin', 'finops', 'lead', 'viewer'] as const
export type Role = (typeof roles)[number]

/** A node of the organization's tree with all below it. Written `team=support`. */
export interface Subtree {
  readonly kind: TreeNode['kind']
  readonly name: string
}

export interface Rights {
  readonly role: Role
  /** Of a lead, and of nobody else. */
  readonly subtree: Subtree | null
}

const kinds = ['business_unit', 'team', 'agent'] as const
/** How a subtree is written, for messages. */
export const subtreeForm = 'business_unit=NAME, team=NAME or agent=NAME'

export function parseSubtree(text: string): Subtree | null {
  const cut = text.indexOf('=')
  const kind = kinds.find((one) => one === text.slice(0, cut))
  const name = text.slice(cut + 1).trim()
  return kind === undefined || name === '' || !isNameText(name) ? null : { kind, name }
}

export function formatSubtree(subtree: Subtree | null): string | null {
  return subtree === null ? null : `${subtree.kind}=${subtree.name}`
}

/** What is wrong with this role and subtree together, in words; null: nothing. */
export function rightsProblem({ role, subtree }: Rights, tree: Tree): string | null {
  if (role !== 'lead') {
    return subtree === null ? null : `a ${role} has no subtree: only a lead has`
  }
  if (subtree === null) return `a lead needs a subtree: ${subtreeForm}`
  const { kind, name } = subtree
  const isKnown = tree.nodes.some((node) => node.kind === kind && node.name === name)
  return isKnown || !tree.declared ? null : `there is no ${kind} "${name}" in the config`
}

export interface Tree {
  readonly nodes: readonly TreeNode[]
  /** False: the config names no tree, and a name that it does not know may still be one. */
  readonly declared: boolean
}

type Nodes = readonly TreeNode[]

/** Is `node` in the subtree, its top included? */
export function holds(nodes: Nodes, subtree: Subtree, node: Subtree): boolean {
  if (isSame(subtree, node)) return true
  const found = nodes.find(({ kind, name }) => kind === node.kind && name === node.name)
  if (found === undefined) return false
  switch (subtree.kind) {
    case 'business_unit':
      return found.businessUnit === subtree.name
    case 'team':
      return found.team === subtree.name
    case 'agent':
      return false
  }
}

const isSame = (a: Subtree, b: Subtree): boolean => a.kind === b.kind && a.name === b.name

/** The nodes that a selector names: what it selects is in all of them. */
const named = (selector: Selector): readonly Subtree[] =>
  kinds.flatMap((kind) => {
    const name = selector[kind]
    return name === undefined ? [] : [{ kind, name }]
  })

/** Does all that the selector selects lie in the subtree? */
export function isWithin(nodes: Nodes, subtree: Subtree, selector: Selector): boolean {
  return named(selector).some((node) => holds(nodes, subtree, node))
}

/** The same, and below its top: what lies there is for the top to decide on. */
export function isBelow(nodes: Nodes, subtree: Subtree, selector: Selector): boolean {
  return named(selector).some((node) => holds(nodes, subtree, node) && !isSame(subtree, node))
}

/** Was this spent in the subtree, as the tree was then? */
export function spentWithin(
  subtree: Subtree,
  attribution: Pick<Attribution, Subtree['kind']>,
): boolean {
  return attribution[subtree.kind] === subtree.name
}

const grants: Readonly<Record<Role, readonly Role[]>> = {
  admin: ['admin', 'finops', 'lead', 'viewer'],
  finops: ['finops', 'lead', 'viewer'],
  lead: ['lead'],
  viewer: [],
}

/** May who has `own` hand on `wanted`? Never more than he has. */
export function mayGrant(nodes: Nodes, own: Rights, wanted: Rights): boolean {
  if (!grants[own.role].includes(wanted.role)) return false
  if (own.subtree === null) return true
  return wanted.subtree !== null && holds(nodes, own.subtree, wanted.subtree)
}
