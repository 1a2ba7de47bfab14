/** Signing in and out: authorization code with PKCE, state and nonce, and a cookie at its end. */
import { createHash } from 'node:crypto'
import type { Context, Hono } from 'hono'
import type { Oidc } from '#core/sign-in.ts'
import type { ControlDeps } from './deps.ts'
import {
  cookieName,
  cookieOf,
  type Identifier,
  isOverTls,
  ownOrigin,
  sessionSecret,
} from './identity.ts'
import { forbidden, ProblemError } from './problem.ts'
import { endSession, sessionMs, startSession } from './sessions.ts'

/** How long somebody may take to sign in at the provider. */
const loginMs = 600_000
/** What the browser keeps meanwhile, sealed. */
const pendingNames = ['state', 'nonce', 'verifier', 'redirectUrl', 'returnTo'] as const
type Pending = Readonly<Record<(typeof pendingNames)[number], string>>

export function mountAuth(app: Hono, deps: ControlDeps, identify: Identifier): void {
  app.get('/auth/login', (c) => login(deps, c))
  app.get('/auth/callback', (c) => callback(deps, c))
  app.post('/auth/logout', (c) => logout(deps, c, identify))
}

async function login(deps: ControlDeps, c: Context): Promise<Response> {
  const oidc = oidcOf(deps)
  const origin = ownOrigin(deps, c.req.raw)
  if (origin === null) throw unknownAddress()
  const pending: Pending = {
    state: deps.chance.token(43),
    nonce: deps.chance.token(43),
    verifier: deps.chance.token(64),
    redirectUrl: oidc.redirectUrl ?? `${origin}/auth/callback`,
    returnTo: localPath(c.req.query('return_to')),
  }
  const { state, nonce, verifier, redirectUrl } = pending
  const challenge = createHash('sha256').update(verifier).digest('base64url')
  const begun = await deps.door.signIn(oidc).begin({ redirectUrl, state, nonce, challenge })
  if (!begun.ok) throw unavailable(begun.problem)
  // In the browser and not with us: the answer may come to another replica, and who follows a
  // link that somebody else has prepared has no such cookie.
  const sealed = await deps.door.seal(pending, loginMs)
  setCookie(deps, c, 'login', sealed, loginMs)
  return c.redirect(begun.value, 302)
}

async function callback(deps: ControlDeps, c: Context): Promise<Response> {
  const oidc = oidcOf(deps)
  const pending = await pendingOf(deps, c)
  const answer = answerOf(c)
  if (pending === null || answer.state !== pending.state) {
    throw refused('This sign-in was not begun in this browser, or took too long: begin again.')
  }
  // Used once, however it ends.
  setCookie(deps, c, 'login', '', 0)
  if (answer.iss !== undefined && answer.iss !== oidc.issuer) {
    throw refused('The answer is from another provider than the one in the config.')
  }
  if (answer.code === undefined) {
    const why = /^[a-z_]{1,64}$/.test(answer.error ?? '') ? `: ${answer.error}` : ''
    throw refused(`The provider did not sign you in${why}.`)
  }
  const { redirectUrl, verifier, nonce } = pending
  const end = { redirectUrl, verifier, nonce, code: answer.code }
  const claims = await deps.door.signIn(oidc).finish(end)
  if (!claims.ok) {
    // The person is told that it failed; why is for who runs this.
    deps.observe({ kind: 'sign_in_failed', reason: claims.problem })
    throw refused('The answer of the provider cannot be trusted: begin again, or ask an admin.')
  }
  const signedIn = await startSession(deps, oidc, claims.value)
  if (signedIn === null) {
    deps.observe({ kind: 'sign_in_failed', reason: 'no rule gives this person a role' })
    throw forbidden(
      'no_role',
      'You are known, but have no role here: an admin adds a rule for you to auth.oidc.roles.',
    )
  }
  setCookie(deps, c, 'session', signedIn.secret, sessionMs)
  return c.redirect(pending.returnTo, 303)
}

async function logout(deps: ControlDeps, c: Context, identify: Identifier): Promise<Response> {
  const actor = await identify(c.req.raw)
  const secret = sessionSecret(deps, c.req.raw)
  if (actor.via !== 'session' || secret === null) {
    throw forbidden('no_session', 'Only who signed in can sign out: revoke a token instead.')
  }
  await endSession(deps, actor, secret)
  setCookie(deps, c, 'session', '', 0)
  return c.json({ signed_out: true })
}

function oidcOf(deps: ControlDeps): Oidc {
  const { oidc } = deps.snapshot()
  if (oidc !== null) return oidc
  throw new ProblemError({
    status: 404,
    code: 'no_sign_in',
    title: 'Not found',
    detail: 'There is no sign-in here: the config has no auth.oidc. Use a token.',
  })
}

async function pendingOf(deps: ControlDeps, c: Context): Promise<Pending | null> {
  const sealed = cookieOf(c.req.raw, cookieName(deps, 'login'))
  const opened = sealed === null ? null : await deps.door.unseal(sealed)
  if (opened === null) return null
  const isWhole = pendingNames.every((name) => typeof opened[name] === 'string')
  return isWhole ? (opened as Pending) : null
}

type Answer = Partial<Record<'state' | 'code' | 'iss' | 'error', string>>

/** What the provider sent along. Twice the same name is nobody's answer. */
function answerOf(c: Context): Answer {
  const all = c.req.queries()
  const names = ['state', 'code', 'iss', 'error'] as const
  if (names.some((name) => (all[name] ?? []).length > 1)) {
    throw refused('The answer has something twice.')
  }
  return Object.fromEntries(names.flatMap((name) => (all[name] ?? []).map((one) => [name, one])))
}

/** Only ever a place of ours, whatever it looks like; `/` where it is none. */
export function localPath(text: string | undefined): string {
  if (
    text === undefined ||
    text.length > 2000 ||
    !/^\/(?![/\\])[\x21-\x5b\x5d-\x7e]*$/.test(text)
  ) {
    return '/'
  }
  const base = 'http://own.invalid'
  const url = URL.canParse(text, base) ? new URL(text, base) : null
  if (url === null || url.origin !== base || url.pathname.startsWith('//')) return '/'
  return `${url.pathname}${url.search}${url.hash}`
}

function setCookie(
  deps: ControlDeps,
  c: Context,
  what: 'session' | 'login',
  value: string,
  forMs: number,
): void {
  const parts = [
    `${cookieName(deps, what)}=${value}`,
    'Path=/',
    `Max-Age=${Math.floor(forMs / 1000)}`,
    'HttpOnly',
    'SameSite=Lax',
    ...(isOverTls(deps) ? ['Secure'] : []),
  ]
  c.header('set-cookie', parts.join('; '), { append: true })
}

function refused(detail: string): ProblemError {
  return forbidden('sign_in_refused', detail)
}

function unavailable(reason: string): ProblemError {
  return new ProblemError({
    status: 502,
    code: 'provider_unavailable',
    title: 'Provider unavailable',
    detail: `The sign-in provider cannot be used now: ${reason}.`,
  })
}

function unknownAddress(): ProblemError {
  return new ProblemError({
    status: 400,
    code: 'no_redirect_url',
    title: 'Bad request',
    detail: 'Set auth.oidc.redirect_url in the config to https://HOST/auth/callback.',
  })
}
