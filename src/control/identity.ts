/** Who asks: by a token in the header, else by the cookie of a session. */
import { z } from 'zod'
import { formatSubtree, roles } from '#core/role.ts'
import { toIso } from '#core/time.ts'
import type { Actor, ControlDeps } from './deps.ts'
import { forbidden, ProblemError } from './problem.ts'
import { declare, everybody, type Route } from './route.ts'
import { sessionActor } from './sessions.ts'
import { noteUse, tokenActor } from './tokens.ts'

/** Holds the installation's own token. */
export const bootstrapActor: Actor = {
  id: 'admin',
  name: 'admin',
  person: 'admin',
  role: 'admin',
  subtree: null,
  via: 'bootstrap',
  expiresAt: null,
}

/** Throws 401 where nobody is known. */
export type Identifier = (request: Request) => Promise<Actor>

export function identifier(deps: ControlDeps): Identifier {
  const noted = new Map<string, ReturnType<typeof deps.clock.now>>()
  return async (request) => {
    const actor = await actorOf(deps, request)
    if (actor === null) throw unauthorized(deps)
    if (actor.via === 'token') noteUse(deps, noted, actor)
    return actor
  }
}

async function actorOf(deps: ControlDeps, request: Request): Promise<Actor | null> {
  const header = request.headers.get('authorization')
  // Who sends a token means it: a cookie beside it, which the browser adds by itself, counts not.
  if (header !== null) {
    const token = /^bearer\s+(\S+)$/i.exec(header)?.[1]
    if (token === undefined) return null
    return deps.door.isBootstrap(token) ? bootstrapActor : tokenActor(deps, token)
  }
  const secret = sessionSecret(deps, request)
  const actor = secret === null ? null : await sessionActor(deps, secret)
  if (actor !== null) requireOwnOrigin(deps, request)
  return actor
}

/**
 * Over https the name binds the cookie to this very host: no other can set it. Then it is the only
 * one that counts.
 */
export function cookieName(deps: ControlDeps, what: 'session' | 'login'): string {
  return `${isOverTls(deps) ? '__Host-' : ''}bursar_${what}`
}

export function isOverTls(deps: ControlDeps): boolean {
  return deps.snapshot().oidc?.redirectUrl?.startsWith('https:') === true
}

export function sessionSecret(deps: ControlDeps, request: Request): string | null {
  return cookieOf(request, cookieName(deps, 'session'))
}

export function cookieOf(request: Request, name: string): string | null {
  for (const part of (request.headers.get('cookie') ?? '').split(';')) {
    const cut = part.indexOf('=')
    if (cut !== -1 && part.slice(0, cut).trim() === name) return part.slice(cut + 1).trim()
  }
  return null
}

/**
 * Where browsers reach us. Null: the config does not say, and the name they came by is not one that
 * only this machine has, so it proves nothing.
 */
export function ownOrigin(deps: ControlDeps, request: Request): string | null {
  const said = deps.snapshot().oidc?.redirectUrl ?? null
  if (said !== null) return new URL(said).origin
  const host = request.headers.get('host') ?? ''
  return /^(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/.test(host) ? `http://${host}` : null
}

/** A page elsewhere can make a browser send the cookie along, but not this header as we have it. */
function requireOwnOrigin(deps: ControlDeps, request: Request): void {
  if (request.method === 'GET' || request.method === 'HEAD') return
  const origin = request.headers.get('origin')
  if (origin !== null && origin === ownOrigin(deps, request)) return
  throw forbidden(
    'foreign_origin',
    'This was not sent from a page of Bursar: its Origin header is another, or missing.',
  )
}

function unauthorized(deps: ControlDeps): ProblemError {
  const orSignIn = deps.snapshot().oidc === null ? '' : ', or sign in at /auth/login'
  return new ProblemError({
    status: 401,
    code: 'unauthorized',
    title: 'Unauthorized',
    detail:
      'Send an admin token as "Authorization: Bearer ...": one that `bursar token create` made, ' +
      `BURSAR_ADMIN_TOKEN, or the file admin-token in the data folder${orSignIn}.`,
  })
}

export const identityRoutes: readonly Route[] = [
  declare({
    method: 'get',
    path: '/me',
    summary: 'Who you are, and what you may',
    allows: everybody,
    answer: z.object({
      id: z.string(),
      name: z.string(),
      role: z.enum(roles),
      subtree: z.string().nullable(),
      via: z.enum(['bootstrap', 'token', 'session']),
      expires_at: z.string().nullable(),
    }),
    handle: async ({ actor: { id, name, role, subtree, via, expiresAt } }) => ({
      id,
      name,
      role,
      subtree: formatSubtree(subtree),
      via,
      expires_at: expiresAt === null ? null : toIso(expiresAt),
    }),
  }),
]
