/** Sessions of people who signed in: kept by the hash of their cookie, read at each request. */
import { z } from 'zod'
import { makeId, parseId, type SessionId } from '#lib/id.ts'
import { type Claims, keptClaims, nameOf, type Oidc, rightsOf } from '#core/sign-in.ts'
import { after, type Instant, instant, toIso } from '#core/time.ts'
import { changed } from './audited.ts'
import type { Actor, ControlDeps } from './deps.ts'
import { notFound } from './problem.ts'
import { admins, declare, type Route } from './route.ts'

/** A working day: whoever left the company is out by the evening, whatever the provider says. */
export const sessionMs = 8 * 3_600_000

const kept = z.object({
  issuer: z.string(),
  person: z.string(),
  name: z.string(),
  claims: z.record(z.string(), z.unknown()),
  createdAt: z.number(),
  expiresAt: z.number(),
})
type Kept = z.infer<typeof kept>

const idOf = (deps: ControlDeps, secret: string): SessionId =>
  makeId('ses', deps.door.hash(secret).slice(0, 48))

/** Null: signed out, over, of another provider, or of a person that has no role any more. */
export async function sessionActor(deps: ControlDeps, secret: string): Promise<Actor | null> {
  const oidc = deps.snapshot().oidc
  if (oidc === null || !/^[0-9A-Za-z]{43}$/.test(secret)) return null
  const found = kept.safeParse((await deps.store.record('session', idOf(deps, secret)))?.value)
  return found.success ? actorOf(oidc, found.data, deps.clock.now()) : null
}

/** By the rules in force now: a role that the config takes away is gone at once. */
function actorOf(oidc: Oidc, session: Kept, now: Instant): Actor | null {
  const { issuer, person, name, claims } = session
  const rights = rightsOf(oidc.roles, claims)
  if (issuer !== oidc.issuer || rights === null || now >= session.expiresAt) return null
  const expiresAt = instant(session.expiresAt)
  return { ...rights, id: person, person, name, via: 'session', expiresAt }
}

export interface SignedIn {
  readonly actor: Actor
  /** For the cookie; kept nowhere. */
  readonly secret: string
}

/** A new session for who has these checked claims; null: no rule gives that person a role. */
export async function startSession(
  deps: ControlDeps,
  oidc: Oidc,
  claims: Claims,
): Promise<SignedIn | null> {
  const now = deps.clock.now()
  const session: Kept = {
    issuer: oidc.issuer,
    person: `oidc:${String(claims.sub)}`,
    name: nameOf(claims),
    claims: keptClaims(oidc.roles, claims),
    createdAt: now,
    expiresAt: after(now, sessionMs),
  }
  const actor = actorOf(oidc, session, now)
  if (actor === null) return null
  const secret = deps.chance.token(43)
  const id = idOf(deps, secret)
  await forgetEnded(deps, now)
  await changed(
    deps,
    actor,
    { kind: 'put_record', record: { kind: 'session', id, value: session } },
    { action: 'session.started', subject: id, after: showSession(id, session) },
  )
  return { actor, secret }
}

/** Signs out: the cookie opens nothing from now on, on any replica. */
export async function endSession(deps: ControlDeps, actor: Actor, secret: string): Promise<void> {
  await endById(deps, actor, idOf(deps, secret), null)
}

async function endById(
  deps: ControlDeps,
  actor: Actor,
  id: SessionId,
  reason: string | null,
): Promise<z.infer<typeof sessionShape>> {
  const found = kept.safeParse((await deps.store.record('session', id))?.value)
  if (!found.success) throw notFound('session', id)
  const before = showSession(id, found.data)
  await changed(
    deps,
    actor,
    { kind: 'put_record', record: { kind: 'session', id, value: null } },
    { action: 'session.ended', subject: id, reason, before },
  )
  return before
}

const forgottenAtOnce = 100

/** What is over by itself is cleared away whenever somebody signs in. */
async function forgetEnded(deps: ControlDeps, now: Instant): Promise<void> {
  const all = await deps.store.records('session')
  const over = all.filter(({ value }) => {
    const session = kept.safeParse(value)
    return !session.success || now >= session.data.expiresAt
  })
  const gone = over.slice(0, forgottenAtOnce).map((record) => ({ ...record, value: null }))
  await Promise.all(gone.map((record) => deps.store.putRecord(record)))
}

const sessionShape = z.object({
  id: z.string(),
  person: z.string(),
  name: z.string(),
  started_at: z.string(),
  expires_at: z.string(),
})

function showSession(id: string, session: Kept): z.infer<typeof sessionShape> {
  const { person, name, createdAt, expiresAt } = session
  return {
    id,
    person,
    name,
    started_at: toIso(instant(createdAt)),
    expires_at: toIso(instant(expiresAt)),
  }
}

export const sessionRoutes: readonly Route[] = [
  declare({
    method: 'get',
    path: '/sessions',
    summary: 'Who is signed in',
    allows: admins,
    answer: z.array(sessionShape),
    handle: async ({ deps }) => {
      const now = deps.clock.now()
      return (await deps.store.records('session')).flatMap(({ id, value }) => {
        const session = kept.safeParse(value)
        const isOn = session.success && now < session.data.expiresAt
        return isOn ? [showSession(id, session.data)] : []
      })
    },
  }),
  declare({
    method: 'post',
    path: '/sessions/{id}/end',
    summary: 'Sign somebody out, at once and everywhere',
    allows: admins,
    body: z.strictObject({ reason: z.string().max(500).optional() }),
    answer: sessionShape,
    handle: async ({ deps, actor, params: { id = '' }, body }) => {
      const session = parseId('ses', id)
      if (session === null) throw notFound('session', id)
      return endById(deps, actor, session, body.reason ?? null)
    },
  }),
]
