/** Sign-in with a real provider: who is let in, and all the ways in which nobody must be. */
import { createHmac } from 'node:crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startWorld, type World } from '#test/support/bursar.ts'
import { Browser, type OidcProvider, rawToken, type Seen, startOidc } from '#test/support/oidc.ts'
import { startPostgres } from '#test/support/postgres.ts'

let provider: OidcProvider
let world: World
let file: { config: string }

const tree = `business_units: { customers: { teams: { support: { agents: { resolver: {} } } } } }
budgets: [{ name: resolver, agent: resolver, budget_monthly_usd: 10 }]
`
const rules = `
      - { claim: groups, value: admins, role: admin }
      - { claim: email, value: lee@acme.test, role: lead, subtree: team=support }
      - { claim: realm_access.roles, value: staff, role: viewer }
      - { claim: level, value: 7, role: finops }`

const configOf = (roles: string, more = ''): string => `${tree}auth:
  oidc:
    issuer: ${provider.issuer}
    client_id: ${provider.clientId}
    client_secret: "${provider.clientSecret}"${more}
    roles:${roles}
`

beforeEach(async () => {
  provider = await startOidc()
  file = { config: configOf(rules) }
  world = await startWorld({
    get config() {
      return file.config
    },
  })
})
afterEach(async () => {
  await world[Symbol.asyncDispose]()
  await provider[Symbol.asyncDispose]()
})

const admins = { sub: 'u1', groups: ['staff', 'admins'], email: 'kim@acme.test' }

/** From the first click to where it ends. */
async function signIn(browser: Browser, person: OidcProvider['person'] = admins, to = '') {
  provider.person = person
  const query = to === '' ? '' : `?return_to=${encodeURIComponent(to)}`
  return browser.follow(`${world.url}/auth/login${query}`, (next) => next === `${world.url}/`)
}

const me = async (browser: Browser, at = world): Promise<Record<string, unknown> | number> => {
  const { status, text } = await browser.go(`${at.url}/api/v1/me`)
  return status === 200 ? (JSON.parse(text) as Record<string, unknown>) : status
}

const codeOf = ({ text }: Seen): string => (JSON.parse(text) as { code: string }).code

async function refusedAs(code: string, browser = new Browser()): Promise<void> {
  const end = await signIn(browser)
  expect([end.status, codeOf(end)], end.text).toEqual([403, code])
  expect(browser.cookie(world.url, 'bursar_session')).toBeUndefined()
  expect(await me(browser)).toBe(401)
  expect(await world.bursar.store.records('session')).toEqual([])
}

test('somebody signs in, is known by checked claims, and signs out', async () => {
  const browser = new Browser()
  const end = await signIn(browser, { ...admins, email_verified: true })
  expect([end.status, end.url]).toEqual([303, `${world.url}/`])
  const [set = ''] = end.headers.getSetCookie().filter((one) => one.startsWith('bursar_session='))
  for (const part of ['HttpOnly', 'SameSite=Lax', 'Path=/', 'Max-Age=28800']) {
    expect(set).toContain(part)
  }
  expect(await me(browser)).toMatchObject({
    id: 'oidc:u1',
    name: 'kim@acme.test',
    role: 'admin',
    via: 'session',
  })
  expect((await browser.go(`${world.url}/api/v1/budgets`)).status).toBe(200)
  expect((await browser.go(`${world.url}/metrics`)).status).toBe(200)
  const secret = browser.cookie(world.url, 'bursar_session') ?? ''
  const kept = JSON.stringify(await world.bursar.store.records('session'))
  expect(kept).toContain('oidc:u1')
  expect(kept + JSON.stringify(await world.api('/audit'))).not.toContain(secret)
  const origin = { origin: world.url }
  const out = await browser.go(`${world.url}/auth/logout`, { method: 'POST', headers: origin })
  expect(out.status).toBe(200)
  expect(browser.cookie(world.url, 'bursar_session')).toBeUndefined()
  // Not only forgotten by the browser: it opens nothing any more.
  browser.setCookie(world.url, 'bursar_session', secret)
  expect(await me(browser)).toBe(401)
  const audit = (await world.api('/audit')) as { action: string; actor: string }[]
  expect(audit.map(({ action, actor }) => `${actor} ${action}`)).toEqual([
    'kim@acme.test session.ended',
    'kim@acme.test session.started',
  ])
})

test('roles by group, by a path, by a number, and by an address that was checked', async () => {
  const roleOf = async (person: OidcProvider['person']) => {
    const browser = new Browser()
    await signIn(browser, person)
    return me(browser)
  }
  const lee = { sub: 'u2', email: 'lee@acme.test' }
  expect(await roleOf({ ...lee, email_verified: true })).toMatchObject({
    role: 'lead',
    subtree: 'team=support',
  })
  expect(await roleOf({ sub: 'u3', realm_access: { roles: ['staff'] } })).toMatchObject({
    role: 'viewer',
    name: 'u3',
  })
  expect(await roleOf({ sub: 'u4', level: 7 })).toMatchObject({ role: 'finops' })
  // Anybody may write an address into his profile.
  for (const verified of [{}, { email_verified: false }, { email_verified: 'true' }]) {
    expect(await roleOf({ ...lee, ...verified })).toBe(401)
  }
  for (const person of [{ sub: 'u5' }, { sub: 'u6', groups: 'admin' }, { sub: 'u7', groups: {} }]) {
    expect(await roleOf(person)).toBe(401)
  }
})

test('who fits no rule is refused, and told why', async () => {
  const browser = new Browser()
  const end = await signIn(browser, { sub: 'stranger', groups: ['visitors'] })
  expect([end.status, codeOf(end)]).toEqual([403, 'no_role'])
  expect(await me(browser)).toBe(401)
})

test('a state that is not this browser’s is refused, before anything is exchanged', async () => {
  provider.answer = (query) => query.set('state', 'x'.repeat(43))
  await refusedAs('sign_in_refused')
  expect(provider.seen).not.toContain('/token')
  // A link with an answer for another: the one who follows it has no cookie of that sign-in.
  provider.answer = () => {}
  const attacker = new Browser()
  const { url } = await attacker.follow(`${world.url}/auth/login`, (next) =>
    next.includes('/auth/callback'),
  )
  const victim = new Browser()
  expect((await victim.go(url)).status).toBe(403)
  expect(await me(victim)).toBe(401)
  // Nor has he after having begun one of his own.
  await victim.follow(`${world.url}/auth/login`, (next) => next.includes('/auth/callback'))
  expect((await victim.go(url)).status).toBe(403)
})

test('an answer is used once', async () => {
  const browser = new Browser()
  const { url } = await browser.follow(`${world.url}/auth/login`, (next) =>
    next.includes('/auth/callback'),
  )
  provider.person = admins
  expect((await browser.go(url)).status).toBe(303)
  expect((await browser.go(url)).status).toBe(403)
})

test.each([
  ['without a code', (query: URLSearchParams) => query.delete('code')],
  ['with a code that is none', (query: URLSearchParams) => query.set('code', 'guess')],
  ['with two codes', (query: URLSearchParams) => query.append('code', 'other')],
  ['with two states', (query: URLSearchParams) => query.append('state', 'other')],
  ['of another issuer', (query: URLSearchParams) => query.set('iss', 'https://evil.test')],
])('an answer %s is refused', async (_what, alter) => {
  provider.answer = alter
  await refusedAs('sign_in_refused')
})

test('what the provider says when it refuses is told, but only as a word', async () => {
  provider.answer = (query) => {
    query.delete('code')
    query.set('error', '<script>alert(1)</script>')
  }
  const end = await signIn(new Browser())
  expect(end.text).not.toContain('script')
  provider.answer = (query) => {
    query.delete('code')
    query.set('error', 'access_denied')
  }
  expect((await signIn(new Browser())).text).toContain('access_denied')
})

const seconds = (ago: number): number => Math.floor(Date.now() / 1000) - ago
const claims: readonly (readonly [what: string, claims: Record<string, unknown>])[] = [
  ['another nonce', { nonce: 'x' }],
  ['no nonce', { nonce: undefined }],
  ['another audience', { aud: 'other' }],
  ['two audiences and no azp', { aud: ['bursar client', 'other'] }],
  ['another azp', { azp: 'other' }],
  ['another issuer', { iss: 'https://evil.test' }],
  ['an end an hour ago', { exp: seconds(3600), iat: seconds(7200) }],
  ['no end', { exp: undefined }],
  ['a beginning in an hour', { nbf: seconds(-3600) }],
  ['no sub', { sub: undefined }],
  ['an empty sub', { sub: '' }],
  ['a sub that is no text', { sub: { a: 1 } }],
  ['a sub with a line break', { sub: 'a\nb' }],
]
test.each(claims)('a token with %s is refused', async (_what, wrong) => {
  provider.alter = ({ header, payload }) => ({ header, payload: { ...payload, ...wrong } })
  await refusedAs('sign_in_refused')
})

test.each(['none', 'None', 'NONE', 'nOnE'])('alg %s is refused', async (alg) => {
  provider.sign = async ({ payload }) => rawToken({ header: { alg }, payload }, () => '')
  await refusedAs('sign_in_refused')
})

test('a token signed with what everybody has, or with another key, is refused', async () => {
  // The public key, or the client's secret, taken for an HMAC key.
  for (const secret of [JSON.stringify(provider.publicKey()), provider.clientSecret]) {
    const hmac = (text: string) => createHmac('sha256', secret).update(text).digest('base64url')
    const { kid } = provider.publicKey()
    provider.sign = async ({ payload }) =>
      rawToken({ header: { alg: 'HS256', ...(kid === undefined ? {} : { kid }) }, payload }, hmac)
    await refusedAs('sign_in_refused')
  }
  provider.sign = null
  await using other = await startOidc()
  const foreign = await other.publicKey()
  provider.alter = ({ header, payload }) => ({
    header: { ...header, ...(foreign.kid === undefined ? {} : { kid: foreign.kid }) },
    payload,
  })
  await refusedAs('sign_in_refused')
  // One bit of the signature.
  provider.alter = (token) => token
  const { SignJWT, generateKeyPair } = await import('jose')
  const { privateKey } = await generateKeyPair('RS256')
  provider.sign = ({ header, payload }) =>
    new SignJWT(payload).setProtectedHeader(header).sign(privateKey)
  await refusedAs('sign_in_refused')
})

test('the provider changes its key: the next sign-in works at once, the old key no more', async () => {
  expect((await signIn(new Browser())).status).toBe(303)
  await provider.rotate()
  const browser = new Browser()
  expect((await signIn(browser)).status).toBe(303)
  expect(await me(browser)).toMatchObject({ role: 'admin' })
  expect(provider.seen.filter((path) => path === '/jwks')).toHaveLength(2)
  // The config of the provider is asked for once.
  expect(provider.seen.filter((path) => path.includes('well-known'))).toHaveLength(1)
})

test('signatures of other kinds', async () => {
  for (const alg of ['ES256', 'PS256', 'EdDSA']) {
    await using other = await startOidc(alg)
    const before = provider
    provider = other
    file.config = configOf(rules)
    expect(await world.bursar.reload()).toBeNull()
    expect((await signIn(new Browser())).status, alg).toBe(303)
    provider = before
  }
})

test('after sign-in one is where one was, with query and fragment', async () => {
  const browser = new Browser()
  provider.person = admins
  const query = `?return_to=${encodeURIComponent('//evil.test')}`
  const end = await browser.follow(
    `${world.url}/auth/login${query}`,
    (next) => !next.includes('/auth/') && !next.startsWith(provider.issuer),
  )
  expect(end.url).toBe(`${world.url}/`)
  const deep = await signInTo(new Browser(), '/budgets?x=1')
  expect(deep).toBe(`${world.url}/budgets?x=1`)
})

async function signInTo(browser: Browser, path: string): Promise<string> {
  const from = `${world.url}/auth/login?return_to=${encodeURIComponent(path)}`
  return (await browser.follow(from, (next) => next.startsWith(`${world.url}/budgets`))).url
}

test('a write with the cookie needs our own origin; with a token it needs none', async () => {
  const browser = new Browser()
  await signIn(browser)
  const make = async (headers: Record<string, string>): Promise<string> => {
    const init = { method: 'POST', headers, body: '{"agent":"resolver"}' }
    const seen = await browser.go(`${world.url}/api/v1/keys`, init)
    return seen.status === 201 ? '201' : codeOf(seen)
  }
  expect(await make({ origin: world.url })).toBe('201')
  for (const headers of [
    {},
    { origin: 'null' },
    { origin: 'https://evil.test' },
    { origin: `${world.url}.evil.test` },
    { origin: world.url.replace('127.0.0.1', 'localhost') },
    { origin: `${world.url.slice(0, -1)}${(Number(world.url.at(-1)) + 1) % 10}` },
  ]) {
    expect(await make(headers), JSON.stringify(headers)).toBe('foreign_origin')
  }
  expect(await make({ authorization: 'Bearer adm_test', origin: 'https://evil.test' })).toBe('201')
  // A token that is wrong is not made good by the cookie beside it.
  expect(await make({ authorization: 'Bearer wrong', origin: world.url })).toBe('unauthorized')
  const out = await browser.go(`${world.url}/auth/logout`, { method: 'POST' })
  expect(out.status).toBe(403)
  expect(await me(browser)).toMatchObject({ role: 'admin' })
})

test('who loses the rule loses the role at once; an admin ends a session', async () => {
  const browser = new Browser()
  await signIn(browser, { sub: 'u3', realm_access: { roles: ['staff'] } })
  expect(await me(browser)).toMatchObject({ role: 'viewer' })
  file.config = configOf(rules.replace('role: viewer', 'role: finops'))
  expect(await world.bursar.reload()).toBeNull()
  expect(await me(browser)).toMatchObject({ role: 'finops' })
  file.config = configOf(rules.replace('value: staff', 'value: other'))
  expect(await world.bursar.reload()).toBeNull()
  expect(await me(browser)).toBe(401)
  file.config = configOf(rules)
  expect(await world.bursar.reload()).toBeNull()
  const [session] = (await world.api('/sessions')) as { id: string; name: string }[]
  expect(session).toMatchObject({ name: 'u3' })
  await world.api(`/sessions/${session?.id}/end`, { reason: 'left' })
  expect(await me(browser)).toBe(401)
  expect(await world.api('/sessions')).toEqual([])
})

test('over https the cookie is Secure and bound to the host', async () => {
  const more = '\n    redirect_url: https://bursar.acme.test/auth/callback'
  file.config = configOf(rules, more)
  expect(await world.bursar.reload()).toBeNull()
  const browser = new Browser()
  const back = await browser.follow(`${world.url}/auth/login`, (next) =>
    next.startsWith('https://bursar.acme.test/auth/callback?'),
  )
  provider.person = admins
  // What TLS ends is handed on to us.
  const { search } = new URL(back.url)
  const end = await browser.go(`${world.url}/auth/callback${search}`)
  expect(end.status).toBe(303)
  const [, session = ''] = end.headers.getSetCookie()
  expect(session).toMatch(/^__Host-bursar_session=.*; Path=\/; .*HttpOnly; SameSite=Lax; Secure$/)
  const post = (origin: string) =>
    browser.go(`${world.url}/api/v1/keys`, {
      method: 'POST',
      headers: { origin },
      body: '{"agent":"resolver"}',
    })
  expect((await post('https://bursar.acme.test')).status).toBe(201)
  expect((await post(world.url)).status).toBe(403)
  // Any neighbour of the host could set one without the prefix: such a one counts not.
  const secret = browser.cookie(world.url, '__Host-bursar_session') ?? ''
  const planted = new Browser()
  planted.setCookie(world.url, 'bursar_session', secret)
  expect(await me(planted)).toBe(401)
  planted.setCookie(world.url, '__Host-bursar_session', secret)
  expect(await me(planted)).toMatchObject({ role: 'admin' })
})

test('a provider that is away, or says it is another, is told of', async () => {
  const wrong = configOf(rules).replace(provider.issuer, `${provider.issuer}/`)
  file.config = wrong
  expect(await world.bursar.reload()).toBeNull()
  const end = await new Browser().go(`${world.url}/auth/login`)
  expect([end.status, codeOf(end)]).toEqual([502, 'provider_unavailable'])
  file.config = configOf(rules).replace(/issuer: .*/, 'issuer: http://127.0.0.1:1')
  expect(await world.bursar.reload()).toBeNull()
  expect((await new Browser().go(`${world.url}/auth/login`)).status).toBe(502)
  file.config = tree
  expect(await world.bursar.reload()).toBeNull()
  expect(codeOf(await new Browser().go(`${world.url}/auth/login`))).toBe('no_sign_in')
})

test('begun on one replica, ended on another, signed out on all', async () => {
  await using postgres = await startPostgres({ flags: ['fsync=off'] })
  const databaseUrl = await postgres.database()
  await using a = await startWorld({ config: configOf(rules), databaseUrl })
  await using b = await startWorld({ config: configOf(rules), databaseUrl })
  const browser = new Browser()
  const back = await browser.follow(`${a.url}/auth/login`, (next) => next.includes('/callback'))
  provider.person = admins
  browser.setCookie(b.url, 'bursar_login', browser.cookie(a.url, 'bursar_login') ?? '')
  expect(
    (await browser.go(b.url + new URL(back.url).pathname + new URL(back.url).search)).status,
  ).toBe(303)
  const cookie = browser.cookie(b.url, 'bursar_session') ?? ''
  // On the other replica with the very next request, not a second later.
  browser.setCookie(a.url, 'bursar_session', cookie)
  expect(await me(browser, a)).toMatchObject({ role: 'admin' })
  const headers = { origin: a.url }
  await browser.go(`${a.url}/auth/logout`, { method: 'POST', headers })
  expect(await me(browser, b)).toBe(401)
})
