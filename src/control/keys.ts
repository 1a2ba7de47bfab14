import { z } from 'zod'
import type { VirtualKey } from '#core/key.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { isNameText } from '#core/scope.ts'
import { formatSubtree } from '#core/role.ts'
import { parseInstant } from '#core/time.ts'
import { makeId, parseId } from '#lib/id.ts'
import { reaches, reachesPlace } from './access.ts'
import { changed, newBody } from './audited.ts'
import type { Actor, ControlDeps } from './deps.ts'
import { conflict, forbidden, invalid, notFound } from './problem.ts'
import { declare, everybody, notViewers, type Route } from './route.ts'
import { keyShape, showKey } from './shapes.ts'

const name = z.string().min(1).max(128).refine(isNameText, 'has characters that no name has')
const createBody = z.strictObject({
  agent: name.optional(),
  team: name.optional(),
  environment: name.optional(),
  tenant: name.optional(),
  user: name.optional(),
  name: name.optional(),
  expires_at: z.string().optional(),
  reason: z.string().max(500).optional(),
})
const secretShape = keyShape.extend({ key: z.string() })

export const keyRoutes: readonly Route[] = [
  declare({
    method: 'post',
    path: '/keys',
    status: 201,
    summary: 'Create a key; its secret is shown once',
    allows: notViewers,
    body: createBody,
    answer: secretShape,
    handle: async ({ deps, actor, body }) => {
      const where = placeOf(deps.snapshot(), body)
      const named = nameFor(body, await deps.store.keys())
      requireOwnPlace(deps, actor, where, named)
      const { secret, hash } = deps.keys.make()
      const key: VirtualKey = {
        id: makeId('key', newBody(deps)),
        hash,
        prefix: secret.slice(0, 9),
        ...where,
        name: named.name,
        tenant: body.tenant ?? null,
        user: body.user ?? null,
        createdAt: deps.clock.now(),
        createdBy: actor.name,
        expiresAt: expiryOf(body.expires_at),
        revokedAt: null,
      }
      await changed(
        deps,
        actor,
        { kind: 'put_key', key },
        {
          action: 'key.created',
          subject: key.id,
          reason: body.reason ?? null,
          after: showKey(key),
        },
      )
      deps.keys.changed(key)
      return { ...showKey(key), key: secret }
    },
  }),
  declare({
    method: 'get',
    path: '/keys',
    summary: 'Keys, without their secrets',
    allows: everybody,
    answer: z.array(keyShape),
    handle: async ({ deps, actor }) => {
      const keys = await deps.store.keys()
      return keys.filter((key) => reachesPlace(deps, actor, key)).map(showKey)
    },
  }),
  declare({
    method: 'post',
    path: '/keys/{id}/revoke',
    summary: 'Revoke a key, at once and for good',
    allows: notViewers,
    body: z.strictObject({ reason: z.string().max(500).optional() }),
    answer: keyShape,
    handle: async ({ deps, actor, params, body }) => {
      const before = await keyOf(deps, actor, params.id)
      if (before.revokedAt !== null) return showKey(before)
      const key = { ...before, revokedAt: deps.clock.now() }
      await changed(
        deps,
        actor,
        { kind: 'put_key', key },
        {
          action: 'key.revoked',
          subject: key.id,
          reason: body.reason ?? null,
          before: showKey(before),
          after: showKey(key),
        },
      )
      deps.keys.changed(key)
      return showKey(key)
    },
  }),
  declare({
    method: 'post',
    path: '/keys/{id}/rotate',
    summary: 'A new secret for the same key: what it spent stays with it',
    allows: notViewers,
    body: z.strictObject({ reason: z.string().max(500).optional() }),
    answer: secretShape,
    handle: async ({ deps, actor, params, body }) => {
      const before = await keyOf(deps, actor, params.id)
      if (before.revokedAt !== null) throw conflict('key_revoked', 'A revoked key stays revoked.')
      const { secret, hash } = deps.keys.make()
      const key = { ...before, hash, prefix: secret.slice(0, 9) }
      await changed(
        deps,
        actor,
        { kind: 'put_key', key },
        {
          action: 'key.rotated',
          subject: key.id,
          reason: body.reason ?? null,
          before: showKey(before),
          after: showKey(key),
        },
      )
      deps.keys.changed(key)
      return { ...showKey(key), key: secret }
    },
  }),
]

async function keyOf(deps: ControlDeps, actor: Actor, text = ''): Promise<VirtualKey> {
  const id = parseId('key', text)
  const key = id === null ? null : await deps.store.key(id)
  if (key === null || !reachesPlace(deps, actor, key)) throw notFound('key', text)
  return key
}

/** A key spends where it is pinned, and against budgets that name it: both must be its maker's. */
function requireOwnPlace(
  deps: ControlDeps,
  actor: Actor,
  where: Place,
  { name, namesakes }: Named,
): void {
  if (!reachesPlace(deps, actor, where)) {
    throw forbidden(
      'outside_subtree',
      `You may make keys for ${formatSubtree(actor.subtree)} only: say agent or team in it.`,
    )
  }
  const { budgets } = deps.snapshot()
  const isForeign = budgets.some(
    ({ selector }) => selector.key === name && !reaches(deps, actor, selector),
  )
  if (isForeign) {
    throw forbidden('outside_subtree', `Another part has budgets for keys named "${name}".`)
  }
  if (namesakes.every((key) => reachesPlace(deps, actor, key))) return
  throw forbidden('outside_subtree', `Another part has a key named "${name}": choose another name.`)
}

interface Named {
  readonly name: string
  /** Keys of this name, revoked or not: where a limit is `per: key` they spend together. */
  readonly namesakes: readonly VirtualKey[]
}

/** What was asked for, or, after its agent or team, a name that no key has. */
function nameFor(
  { name, agent, team }: z.output<typeof createBody>,
  keys: readonly VirtualKey[],
): Named {
  if (name !== undefined) return { name, namesakes: keys.filter((key) => key.name === name) }
  const taken = new Set(keys.map((key) => key.name))
  const base = agent ?? team ?? 'unnamed'
  let free = base
  for (let no = 2; taken.has(free); no += 1) free = `${base}-${no}`
  return { name: free, namesakes: [] }
}

function expiryOf(text: string | undefined): VirtualKey['expiresAt'] {
  if (text === undefined) return null
  const at = parseInstant(text)
  if (at === null) throw invalid('expires_at', 'write it as 2026-12-31T00:00:00Z')
  return at
}

type Place = Pick<VirtualKey, 'team' | 'agent' | 'environment'>

/** Names must be the config's: a key for a misspelt agent would be a key without its budgets. */
function placeOf(snapshot: Snapshot, body: z.output<typeof createBody>): Place {
  const known = (kind: 'agent' | 'team'): readonly string[] =>
    snapshot.tree.filter((node) => node.kind === kind).map((node) => node.name)
  for (const kind of ['agent', 'team'] as const) {
    const wanted = body[kind]
    if (wanted === undefined || !snapshot.treeDeclared || known(kind).includes(wanted)) continue
    throw invalid(
      kind,
      `no ${kind} "${wanted}" in the config; there are: ${known(kind).join(', ')}`,
    )
  }
  const { environments } = snapshot
  const { environment } = body
  if (environment !== undefined && environments.length > 0 && !environments.includes(environment)) {
    throw invalid('environment', `"${environment}" is not one of ${environments.join(', ')}`)
  }
  // A key without an environment would stand outside every budget that names one.
  const fallback = environments.includes('prod') ? 'prod' : (environments.at(-1) ?? null)
  return {
    team: body.team ?? null,
    agent: body.agent ?? null,
    environment: environment ?? fallback,
  }
}
