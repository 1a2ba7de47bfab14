/** Admin tokens: named, with a role, for programs and for people who have no sign-in. */
import { z } from 'zod'
import type { ControlRecord } from '#core/record.ts'
import {
  formatSubtree,
  mayGrant,
  parseSubtree,
  type Rights,
  rightsProblem,
  roles,
  subtreeForm,
} from '#core/role.ts'
import { isNameText } from '#core/scope.ts'
import { type Instant, instant, parseInstant, toIso } from '#core/time.ts'
import { makeId, parseId, type TokenId } from '#lib/id.ts'
import { treeOf } from './access.ts'
import { changed } from './audited.ts'
import type { Actor, ControlDeps } from './deps.ts'
import { conflict, forbidden, invalid, notFound } from './problem.ts'
import { declare, notViewers, type Route } from './route.ts'

export interface Token extends Rights {
  readonly id: TokenId
  readonly name: string
  readonly hash: string
  readonly prefix: string
  readonly createdAt: Instant
  /** The id of who made it, the name that had then, and who answers for it. */
  readonly createdBy: string
  readonly createdByName: string
  readonly person: string
  readonly expiresAt: Instant | null
  readonly revokedAt: Instant | null
}

/** As it is kept. */
const kept = z.object({
  name: z.string(),
  hash: z.string(),
  prefix: z.string(),
  role: z.enum(roles),
  subtree: z.string().nullable(),
  createdAt: z.number(),
  createdBy: z.string(),
  createdByName: z.string(),
  person: z.string(),
  expiresAt: z.number().nullable(),
  revokedAt: z.number().nullable(),
})

/** Null: nothing that this version understands, so nothing that opens. */
function tokenFrom(id: string, value: unknown): Token | null {
  const parsed = kept.safeParse(value)
  const tokenId = parseId('tok', id)
  if (!parsed.success || tokenId === null) return null
  const { subtree: text, createdAt, expiresAt, revokedAt, ...rest } = parsed.data
  const subtree = text === null ? null : parseSubtree(text)
  if ((rest.role === 'lead') !== (subtree !== null)) return null
  return {
    ...rest,
    id: tokenId,
    subtree,
    createdAt: instant(createdAt),
    expiresAt: expiresAt === null ? null : instant(expiresAt),
    revokedAt: revokedAt === null ? null : instant(revokedAt),
  }
}

function recordOf({ id, ...token }: Token): ControlRecord {
  return { kind: 'token', id, value: { ...token, subtree: formatSubtree(token.subtree) } }
}

/** A token is found by what its secret hashes to, so its id is the start of that. */
const idOf = (hash: string): TokenId => makeId('tok', hash.slice(0, 24))

const isLive = ({ revokedAt, expiresAt }: Token, now: Instant): boolean =>
  revokedAt === null && (expiresAt === null || now < expiresAt)

/** Who holds this token, or null: unknown, revoked and expired are one. */
export function tokenActor(deps: ControlDeps, secret: string): Actor | null {
  const hash = deps.door.hash(secret)
  const id = idOf(hash)
  const token = tokenFrom(id, deps.records.all('token').get(id))
  if (token === null || token.hash !== hash || !isLive(token, deps.clock.now())) return null
  const { name, role, subtree, person, expiresAt } = token
  return { id, name, role, subtree, person, via: 'token', expiresAt }
}

export const useIsNotedEveryMs = 3_600_000

/** When a token was last used, by the hour: one write an hour and replica, not one a request. */
export function noteUse(deps: ControlDeps, noted: Map<string, Instant>, { id }: Actor): void {
  const now = deps.clock.now()
  const hour = instant(now - (now % useIsNotedEveryMs))
  if (noted.get(id) === hour) return
  noted.set(id, hour)
  const record = { kind: 'sighting', id, value: { at: hour } } as const
  // Where the ledger is away there is no note; the request says so itself.
  deps.store.putRecord(record).catch(() => noted.delete(id))
}

const seen = z.object({ at: z.number() })

async function lastUsed(deps: ControlDeps, id: TokenId): Promise<string | null> {
  const parsed = seen.safeParse((await deps.store.record('sighting', id))?.value)
  return parsed.success ? toIso(instant(parsed.data.at)) : null
}

const tokenShape = z.object({
  id: z.string(),
  name: z.string(),
  prefix: z.string(),
  role: z.enum(roles),
  subtree: z.string().nullable(),
  created_at: z.string(),
  created_by: z.string(),
  expires_at: z.string().nullable(),
  revoked_at: z.string().nullable(),
  last_used_at: z.string().nullable(),
})

const isoOr = (at: Instant | null): string | null => (at === null ? null : toIso(at))

function showToken(token: Token, last: string | null): z.infer<typeof tokenShape> {
  const { id, name, prefix, role, subtree } = token
  return {
    id,
    name,
    prefix,
    role,
    subtree: formatSubtree(subtree),
    created_at: toIso(token.createdAt),
    created_by: token.createdByName,
    expires_at: isoOr(token.expiresAt),
    revoked_at: isoOr(token.revokedAt),
    last_used_at: last,
  }
}

const createBody = z.strictObject({
  name: z.string().trim().min(1).max(128).refine(isNameText, 'has characters that no name has'),
  role: z.enum(roles),
  subtree: z.string().max(200).optional(),
  expires_at: z.string().optional(),
  reason: z.string().max(500).optional(),
})

export const tokenRoutes: readonly Route[] = [
  declare({
    method: 'post',
    path: '/tokens',
    status: 201,
    summary: 'Make an admin token, with no more rights than your own; its secret is shown once',
    allows: notViewers,
    body: createBody,
    answer: tokenShape.extend({ token: z.string() }),
    handle: async ({ deps, actor, body }) => {
      const rights = rightsFrom(deps, actor, body)
      const secret = deps.door.makeToken()
      const token = tokenOf(deps, actor, rights, body, secret)
      const shown = showToken(token, null)
      await changed(
        deps,
        actor,
        { kind: 'put_record', record: recordOf(token) },
        {
          action: 'token.created',
          subject: token.id,
          reason: body.reason ?? null,
          after: shown,
        },
      )
      deps.records.put(recordOf(token))
      return { ...shown, token: secret }
    },
  }),
  declare({
    method: 'get',
    path: '/tokens',
    summary: 'Admin tokens that you might have made, without their secrets',
    allows: notViewers,
    answer: z.array(tokenShape),
    handle: async ({ deps, actor }) => {
      const records = await deps.store.records('token')
      const tokens = records
        .flatMap(({ id, value }) => tokenFrom(id, value) ?? [])
        .filter((token) => mayGrant(deps.snapshot().tree, actor, token))
      return Promise.all(
        tokens.map(async (token) => showToken(token, await lastUsed(deps, token.id))),
      )
    },
  }),
  declare({
    method: 'post',
    path: '/tokens/{id}/revoke',
    summary: 'Revoke an admin token, for good: everywhere within a second',
    allows: notViewers,
    body: z.strictObject({ reason: z.string().max(500).optional() }),
    answer: tokenShape,
    handle: async ({ deps, actor, params: { id = '' }, body }) => {
      const before = tokenFrom(id, (await deps.store.record('token', id))?.value)
      const isSeen = before !== null && mayGrant(deps.snapshot().tree, actor, before)
      if (before === null || !isSeen) throw notFound('token', id)
      const last = await lastUsed(deps, before.id)
      if (before.revokedAt !== null) return showToken(before, last)
      const after = { ...before, revokedAt: deps.clock.now() }
      await changed(
        deps,
        actor,
        { kind: 'put_record', record: recordOf(after) },
        {
          action: 'token.revoked',
          subject: after.id,
          reason: body.reason ?? null,
          before: showToken(before, last),
          after: showToken(after, last),
        },
      )
      deps.records.put(recordOf(after))
      return showToken(after, last)
    },
  }),
]

type Wanted = z.output<typeof createBody>

function rightsFrom(deps: ControlDeps, actor: Actor, { role, subtree: text }: Wanted): Rights {
  const subtree = text === undefined ? null : parseSubtree(text)
  if (text !== undefined && subtree === null) {
    throw invalid('subtree', `write it as ${subtreeForm}`)
  }
  const rights = { role, subtree }
  const snapshot = deps.snapshot()
  const problem = rightsProblem(rights, treeOf(snapshot))
  if (problem !== null) throw invalid('subtree', problem)
  if (!mayGrant(snapshot.tree, actor, rights)) {
    throw forbidden('more_than_yours', 'A token never has more rights than who makes it.')
  }
  return rights
}

function tokenOf(
  deps: ControlDeps,
  actor: Actor,
  rights: Rights,
  { name, expires_at }: Wanted,
  secret: string,
): Token {
  const now = deps.clock.now()
  requireFreeName(deps, name)
  const hash = deps.door.hash(secret)
  const id = idOf(hash)
  return {
    ...rights,
    id,
    name,
    hash,
    prefix: secret.slice(0, 9),
    createdAt: now,
    createdBy: actor.id,
    createdByName: actor.name,
    // An admin may vouch for another person; whoever else makes a token answers for it himself.
    person: actor.role === 'admin' ? id : actor.person,
    expiresAt: expiryOf(actor, expires_at, now),
    revokedAt: null,
  }
}

/** No two that are called the same at a time: people tell them apart by their names. */
function requireFreeName(deps: ControlDeps, name: string): void {
  const now = deps.clock.now()
  const isTaken = [...deps.records.all('token')].some(([id, value]) => {
    const token = tokenFrom(id, value)
    return token !== null && isLive(token, now) && token.name === name
  })
  if (!isTaken && !['admin', 'bursar'].includes(name.toLowerCase())) return
  throw conflict('name_taken', `There is a token "${name}" already: choose another name.`)
}

/** A token that ends makes none that outlives it. */
function expiryOf(actor: Actor, text: string | undefined, now: Instant): Instant | null {
  const limit = actor.via === 'token' ? actor.expiresAt : null
  if (text === undefined) return limit
  const at = parseInstant(text)
  if (at === null) throw invalid('expires_at', 'write it as 2026-12-31T00:00:00Z')
  if (at <= now) throw invalid('expires_at', 'it is in the past')
  if (limit !== null && at > limit) {
    throw forbidden('more_than_yours', `Your own token ends at ${toIso(limit)}.`)
  }
  return at
}
