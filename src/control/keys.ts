import { z } from 'zod'
import type { VirtualKey } from '#core/key.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { isNameText } from '#core/scope.ts'
import { parseInstant } from '#core/time.ts'
import { makeId, parseId } from '#lib/id.ts'
import { changed, newBody } from './audited.ts'
import type { ControlDeps } from './deps.ts'
import { conflict, invalid, notFound } from './problem.ts'
import { declare, type Route } from './route.ts'
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
})
const secretShape = keyShape.extend({ key: z.string() })

export const keyRoutes: readonly Route[] = [
  declare({
    method: 'post',
    path: '/keys',
    status: 201,
    summary: 'Create a key; its secret is shown once',
    body: createBody,
    answer: secretShape,
    handle: async ({ deps, actor, body }) => {
      const where = placeOf(deps.snapshot(), body)
      const { secret, hash } = deps.keys.make()
      const key: VirtualKey = {
        id: makeId('key', newBody(deps)),
        hash,
        prefix: secret.slice(0, 9),
        ...where,
        name: body.name ?? body.agent ?? body.team ?? 'unnamed',
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
        { action: 'key.created', subject: key.id, after: showKey(key) },
      )
      deps.keys.changed(key)
      return { ...showKey(key), key: secret }
    },
  }),
  declare({
    method: 'get',
    path: '/keys',
    summary: 'Keys, without their secrets',
    answer: z.array(keyShape),
    handle: async ({ deps }) => (await deps.store.keys()).map(showKey),
  }),
  declare({
    method: 'post',
    path: '/keys/{id}/revoke',
    summary: 'Revoke a key, at once and for good',
    body: z.strictObject({ reason: z.string().max(500).optional() }),
    answer: keyShape,
    handle: async ({ deps, actor, params, body }) => {
      const before = await keyOf(deps, params.id)
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
    body: z.strictObject({}),
    answer: secretShape,
    handle: async ({ deps, actor, params }) => {
      const before = await keyOf(deps, params.id)
      if (before.revokedAt !== null) throw conflict('key_revoked', 'A revoked key stays revoked.')
      const { secret, hash } = deps.keys.make()
      const key = { ...before, hash, prefix: secret.slice(0, 9) }
      await changed(
        deps,
        actor,
        { kind: 'put_key', key },
        { action: 'key.rotated', subject: key.id, before: showKey(before), after: showKey(key) },
      )
      deps.keys.changed(key)
      return { ...showKey(key), key: secret }
    },
  }),
]

async function keyOf(deps: ControlDeps, text = ''): Promise<VirtualKey> {
  const id = parseId('key', text)
  const key = id === null ? null : await deps.store.key(id)
  if (key === null) throw notFound('key', text)
  return key
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
