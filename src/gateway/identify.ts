/** Who is calling. The key decides; what the caller says about itself may only narrow it. */
import { hash } from 'node:crypto'
import type { VirtualKey } from '#core/key.ts'
import { isUsable } from '#core/key.ts'
import type { RefusalCode } from '#core/refusal.ts'
import { type Attribution, isNameText, type Principal } from '#core/scope.ts'
import type { Snapshot, TreeNode } from '#core/snapshot.ts'
import type { Instant } from '#core/time.ts'
import { failed, type Result, succeeded } from '#lib/result.ts'
import type { HeaderClaims } from '#wire/claims.ts'
import type { BodyClaims } from '#wire/dialect.ts'

export interface IdentityProblem {
  readonly code: Extract<RefusalCode, 'invalid_key' | 'invalid_request' | 'not_allowed'>
  readonly message: string
  readonly param: string | null
}

type Headers = Readonly<Record<string, readonly string[]>>

const credentialHeaders = ['authorization', 'x-api-key', 'api-key', 'x-goog-api-key'] as const

/** The one secret presented. Two different ones are refused: nobody should guess which counts. */
export function credentialOf(headers: Headers): Result<string, IdentityProblem> {
  let found: string | null = null
  let isAmbiguous = false
  for (const name of credentialHeaders) {
    const values = headers[name]
    if (values === undefined) continue
    if (values.length > 1) {
      return failed({
        code: 'invalid_request',
        message: `Header ${name} is sent twice.`,
        param: name,
      })
    }
    const [value = ''] = values
    const bearer = name === 'authorization' ? /^bearer\s+(.*)$/i.exec(value)?.[1] : value
    const secret = (bearer ?? '').trim()
    if (secret === '') continue
    isAmbiguous ||= found !== null && found !== secret
    found ??= secret
  }
  if (found === null) {
    return failed(badKey('No key: send a virtual key as "Authorization: Bearer vk_...".'))
  }
  if (isAmbiguous) return failed(badKey('Two different keys were sent: send one.'))
  return succeeded(found)
}

export function usableKey(
  key: VirtualKey | null,
  now: Instant,
): Result<VirtualKey, IdentityProblem> {
  // One answer for unknown, revoked and expired: a guess learns nothing.
  if (key === null || !isUsable(key, now)) {
    return failed(badKey('This key is not known, has expired or was revoked.'))
  }
  return succeeded(key)
}

function badKey(message: string): IdentityProblem {
  return { code: 'invalid_key', message, param: null }
}

const claimable = ['agent', 'environment', 'tenant', 'user'] as const

/** The key's own values, narrowed by explicit claims, filled up by hints. */
export function principalOf(
  snapshot: Snapshot,
  key: VirtualKey,
  headers: HeaderClaims,
  body: BodyClaims,
): Result<Principal, IdentityProblem> {
  const values: Record<(typeof claimable)[number], string | null> = {
    agent: key.agent,
    environment: key.environment,
    tenant: key.tenant,
    user: key.user,
  }
  for (const name of claimable) {
    const claimed = headers.explicit[name] ?? null
    const pinned = values[name]
    if (claimed !== null && pinned !== null && claimed !== pinned) {
      return failed(contradiction(name, claimed, pinned))
    }
    values[name] = pinned ?? claimed
  }
  const unfit = unfitName(body)
  if (unfit !== null) return failed(unfit)
  // Hints name users and agents of programs that know nothing of us; they pin no environment.
  values.user ??= headers.hints.user ?? body.user
  values.agent ??= headers.hints.agent ?? null
  values.tenant ??= headers.hints.tenant ?? null
  const placed = place(snapshot, key, values.agent, headers.explicit.agent !== undefined)
  if (!placed.ok) return placed
  const { environment } = values
  if (environment !== null && !knownEnvironment(snapshot, environment)) {
    return failed({
      code: 'not_allowed',
      param: 'bursar-environment',
      message: `Environment "${environment}" is not one of ${snapshot.environments.join(', ')}.`,
    })
  }
  const attribution: Attribution = {
    organization: snapshot.organization,
    ...placed.value,
    environment,
    tenant: values.tenant,
    user: values.user,
    key: key.name,
    model: null,
    provider: null,
  }
  const { explicit, hints } = headers
  return succeeded({
    keyId: key.id,
    keyName: key.name,
    attribution,
    conversation: explicit.conversation ?? hints.conversation ?? body.conversation,
    run: explicit.run ?? hints.run ?? null,
    parentRun: explicit.parentRun ?? null,
    outcome: explicit.outcome ?? null,
    tags: { ...body.tags, ...headers.tags },
  })
}

/**
 * Of a caller that names no conversation, calls that begin with the same words are one. A caller
 * that names no run has one a conversation.
 */
export function inConversation(principal: Principal, opening: string): Principal {
  const conversation = principal.conversation ?? conversationOf(principal, opening)
  return { ...principal, conversation, run: principal.run ?? conversation }
}

function conversationOf({ attribution }: Principal, opening: string): string | null {
  if (opening === '') return null
  const { agent, user, tenant } = attribution
  const words = JSON.stringify([agent, user, tenant, opening])
  return `conv_${hash('sha256', words, 'base64url').slice(0, 22)}`
}

/** Headers hold visible ASCII only; a body may hold anything. */
function unfitName(body: BodyClaims): IdentityProblem | null {
  const name = (['user', 'conversation'] as const).find((one) => !isNameText(body[one] ?? ''))
  if (name === undefined) return null
  const message = `The ${name} in the body has characters that no name has.`
  return { code: 'invalid_request', param: name, message }
}

function contradiction(name: string, claimed: string, pinned: string): IdentityProblem {
  return {
    code: 'not_allowed',
    param: `bursar-${name}`,
    message: `This key is pinned to ${name} "${pinned}": it cannot call as "${claimed}".`,
  }
}

function knownEnvironment(snapshot: Snapshot, name: string): boolean {
  return snapshot.environments.length === 0 || snapshot.environments.includes(name)
}

type Placed = Pick<Attribution, 'business_unit' | 'team' | 'agent'>

interface Nodes {
  readonly agents: ReadonlyMap<string, TreeNode>
  readonly teams: ReadonlyMap<string, TreeNode>
}

const nodesCache = new WeakMap<Snapshot, Nodes>()

function nodesOf(snapshot: Snapshot): Nodes {
  let nodes = nodesCache.get(snapshot)
  if (nodes === undefined) {
    const of = (wanted: TreeNode['kind']): ReadonlyMap<string, TreeNode> =>
      new Map(snapshot.tree.filter(({ kind }) => kind === wanted).map((node) => [node.name, node]))
    nodes = { agents: of('agent'), teams: of('team') }
    nodesCache.set(snapshot, nodes)
  }
  return nodes
}

/** Where in the tree the agent stands. An agent of another team is not the key's to name. */
function place(
  snapshot: Snapshot,
  key: VirtualKey,
  agent: string | null,
  explicit: boolean,
): Result<Placed, IdentityProblem> {
  const nodes = nodesOf(snapshot)
  const node = agent === null ? undefined : nodes.agents.get(agent)
  const team = node?.team ?? key.team
  const teamNode = team === null ? undefined : nodes.teams.get(team)
  const businessUnit = node?.businessUnit ?? teamNode?.businessUnit ?? null
  const named = node?.team ?? null
  // An agent that only a budget names is in no team yet: the key says which.
  const foreign = named !== null && key.team !== null && named !== key.team
  const unknown = snapshot.treeDeclared && agent !== null && node === undefined
  if (foreign || unknown) {
    // A hint may be any program's idea of a name: it is dropped, where a header is refused.
    if (!explicit && key.agent === null) {
      return place(snapshot, key, null, false)
    }
    const why = foreign ? `is not in team "${key.team}"` : 'is not in the config'
    return failed({
      code: 'not_allowed',
      param: 'bursar-agent',
      message: `Agent "${agent}" ${why}.`,
    })
  }
  return succeeded({ business_unit: businessUnit, team, agent })
}
