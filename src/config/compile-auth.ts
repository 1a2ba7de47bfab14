/** `auth:` as written to what the server asks: addresses that are safe, roles that make sense. */
import { parseSubtree, rightsProblem, subtreeForm } from '#core/role.ts'
import type { Oidc, RoleRule } from '#core/sign-in.ts'
import type { TreeNode } from '#core/snapshot.ts'
import { secret } from '#lib/secret.ts'
import type { Merged } from './merged.ts'
import type { ConfigProblem } from './source.ts'

const callbackPath = '/auth/callback'

/** Null: nothing is said, or not well. */
export function compileAuth(
  merged: Merged,
  nodes: readonly TreeNode[],
  problems: ConfigProblem[],
): Oidc | null {
  const written = merged.file.auth?.oidc
  if (written === undefined) return null
  const path = ['auth', 'oidc']
  const { issuer, client_id, client_secret = '', redirect_url = null } = written
  if (!isSafe(issuer)) {
    const message = 'issuer: write the https:// address that the provider gives as its issuer'
    problems.push(merged.problem([...path, 'issuer'], message))
  }
  if (redirect_url !== null && !(isSafe(redirect_url) && pathOf(redirect_url) === callbackPath)) {
    const message = `redirect_url: write https://HOST${callbackPath}, and tell it to the provider`
    problems.push(merged.problem([...path, 'redirect_url'], message))
  }
  const tree = { nodes, declared: merged.file.business_units !== undefined }
  const rules = written.roles.flatMap(({ claim, value, role, subtree: said }, i): RoleRule[] => {
    const subtree = said === undefined ? null : parseSubtree(said)
    const problem =
      said !== undefined && subtree === null
        ? `write subtree as ${subtreeForm}`
        : rightsProblem({ role, subtree }, tree)
    if (problem === null) return [{ claim, value, role, subtree }]
    problems.push(merged.problem([...path, 'roles', i], problem))
    return []
  })
  return {
    issuer,
    clientId: client_id,
    clientSecret: client_secret === '' ? null : secret(client_secret),
    redirectUrl: redirect_url,
    roles: rules,
  }
}

/** Plain http reaches this machine only. */
function isSafe(url: string): boolean {
  if (!URL.canParse(url)) return false
  const { protocol, hostname, username, password } = new URL(url)
  const isOwnMachine = ['localhost', '127.0.0.1', '[::1]'].includes(hostname)
  const isBare = username === '' && password === ''
  return isBare && (protocol === 'https:' || (protocol === 'http:' && isOwnMachine))
}

const pathOf = (url: string): string => {
  const { pathname, search, hash } = new URL(url)
  return pathname + search + hash
}
