/** Roles x routes: the table in docs/roles.md is what the running server does, and nothing more. */
import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { rolesTable } from '#control/roles-page.ts'
import { mayGrant, type Role, roles } from '#core/role.ts'
import { apiAt, call, chatBody, startWorld, type World } from '#test/support/bursar.ts'

const config = `organization: acme
business_units:
  customers:
    teams:
      support: { agents: { resolver: {}, triage: {} } }
      success: { agents: { greeter: {} } }
  research:
    teams: { lab: { agents: { crawler: {} } } }
environments: [dev, prod]
budgets:
  - { name: all, budget_yearly_usd: 1000 }
  - { name: support, team: support, budget_monthly_usd: 100 }
  - { name: resolver, agent: resolver, environment: prod, budget_monthly_usd: 10 }
  - { name: triage, agent: triage, budget_monthly_usd: 10 }
  - { name: greeter, agent: greeter, budget_monthly_usd: 10 }
  - { name: lab, team: lab, budget_monthly_usd: 100 }
  - { name: teams, per: team, budget_daily_usd: 50 }
  - { name: lab-key, key: batch, team: lab, budget_daily_usd: 5 }
quotas:
  - { agent: resolver, max_calls_per_day: 100 }
  - { agent: crawler, max_calls_per_day: 100 }
outcomes: { resolved_case: {} }
`
let world: World
const tokens = new Map<string, string>()
const admin = (): World['api'] => world.api

beforeAll(async () => {
  world = await startWorld({ config })
  for (const role of roles) tokens.set(role, await tokenFor(role))
  for (const [agent, name] of ['resolver', 'crawler', 'greeter'].map((one) => [one, one])) {
    const key = await world.key({ agent: agent ?? '', name: name ?? '' })
    await call(world, key, '/v1/chat/completions', chatBody('hi'))
  }
})
afterAll(() => world[Symbol.asyncDispose]())

let made = 0
async function tokenFor(role: Role, subtree = 'team=support'): Promise<string> {
  const at = role === 'lead' ? { subtree } : {}
  const body = { name: `${role} ${++made}`, role, ...at }
  return ((await admin()('/tokens', body)) as { token: string }).token
}

interface Asked {
  readonly status: number
  readonly code: string | null
  readonly value: unknown
}

async function ask(token: string | null, method: string, path: string, body?: unknown) {
  const answer = await fetch(world.url + path, {
    method,
    headers: token === null ? {} : { authorization: `Bearer ${token}` },
    ...(method === 'GET' ? {} : { body: JSON.stringify(body ?? {}) }),
  })
  const value = JSON.parse(await answer.text()) as { code?: string }
  return { status: answer.status, code: value.code ?? null, value } satisfies Asked
}

interface Described {
  readonly paths: Record<string, Record<string, { 'x-bursar-roles': readonly string[] }>>
}

async function described(): Promise<readonly (readonly [string, string, readonly string[]])[]> {
  const answer = await fetch(`${world.url}/api/openapi.json`)
  const { paths } = (await answer.json()) as Described
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(
      ([method, about]) => [method.toUpperCase(), path, about['x-bursar-roles']] as const,
    ),
  )
}

const page = new URL('../../docs/roles.md', import.meta.url)
const tableIn = /(?<=<!-- table -->\n).*(?=<!-- end of table -->)/s

test('docs/roles.md says what the code says', () => {
  const text = readFileSync(page, 'utf8')
  if (process.env.UPDATE === '1') writeFileSync(page, text.replace(tableIn, rolesTable()))
  expect(tableIn.exec(readFileSync(page, 'utf8'))?.[0]).toBe(rolesTable())
})

/** Roles by route, as the page has them. */
function written(): ReadonlyMap<string, ReadonlySet<string>> {
  const rows = (tableIn.exec(readFileSync(page, 'utf8'))?.[0] ?? '').trim().split('\n')
  const [head = '', , ...rest] = rows.map((row) => row.split('|').map((cell) => cell.trim()))
  return new Map(
    rest.map((cells) => [
      (cells[1] ?? '').replaceAll('`', ''),
      new Set(cells.flatMap((cell, i) => (['yes', 'subtree'].includes(cell) ? [head[i]] : []))),
    ]),
  ) as ReadonlyMap<string, ReadonlySet<string>>
}

/** What is good to ask a route for, so that who may, succeeds. Others are asked for nothing. */
const good: Readonly<Record<string, () => Promise<{ path?: string; body?: unknown }>>> = {
  'POST /api/v1/keys': async () => ({ body: { agent: 'resolver' } }),
  'POST /api/v1/keys/{id}/revoke': async () => ({ path: await newId('/keys', keyBody) }),
  'POST /api/v1/keys/{id}/rotate': async () => ({ path: await newId('/keys', keyBody) }),
  'GET /api/v1/budgets/{id}': async () => ({ path: await budgetId('resolver') }),
  'POST /api/v1/overrides': async () => ({ body: await overrideBody('resolver') }),
  'POST /api/v1/overrides/{id}/approve': async () => ({ path: await newOverride() }),
  'POST /api/v1/overrides/{id}/deny': async () => ({ path: await newOverride() }),
  'POST /api/v1/overrides/{id}/end': async () => {
    const body = { ...(await overrideBody('resolver')), self: true }
    return { path: await newId('/overrides', body) }
  },
  'GET /api/v1/calls/{id}': async () => ({ path: await callOf('resolver') }),
  'POST /api/v1/ledger/adjustments': async () => {
    const [hold] = await world.bursar.store.recentHolds(1)
    return { body: { hold: hold?.id, cost_usd: '0.000001000', reason: 'the bill' } }
  },
  'POST /api/v1/tokens': async () => {
    return { body: { name: `t ${++made}`, role: 'lead', subtree: 'agent=resolver' } }
  },
  'POST /api/v1/tokens/{id}/revoke': async () => {
    const body = { name: `t ${++made}`, role: 'lead', subtree: 'agent=resolver' }
    return { path: await newId('/tokens', body) }
  },
  'POST /api/v1/outcomes': async () => ({ body: outcomeBody('resolver') }),
  'POST /api/v1/outcomes/import': async () => {
    return { body: { csv: `id,type,agent,tenant\ni${++made},resolved_case,resolver,t` } }
  },
  'POST /api/v1/sessions/{id}/end': async () => ({ path: await newSession() }),
}

const keyBody = { agent: 'resolver' }
const newId = async (path: string, body: unknown): Promise<string> =>
  ((await admin()(path, body)) as { id: string }).id

async function budgetId(name: string): Promise<string> {
  const rows = (await admin()('/budgets')) as { id: string; name: string }[]
  return rows.find((row) => row.name.startsWith(name))?.id ?? ''
}

const outcomeBody = (agent: string): object => {
  return { id: `o${++made}`, type: 'resolved_case', agent, tenant: 't' }
}

const overrideBody = async (budget: string, more: object = {}): Promise<object> => ({
  budget: await budgetId(budget),
  extra_usd: '1',
  reason: 'because',
  ...more,
})

/** Asked for by somebody else than all who are asked here. */
async function newOverride(budget = 'resolver'): Promise<string> {
  const other = await tokenFor('finops')
  const made = await apiAt(world.url, other)('/overrides', await overrideBody(budget))
  return (made as { id: string }).id
}

async function callOf(agent: string): Promise<string> {
  const calls = (await admin()('/calls')) as { id: string; agent: string }[]
  return calls.find((one) => one.agent === agent)?.id ?? ''
}

async function newSession(): Promise<string> {
  const id = `ses_${'0'.repeat(40)}${++made}`
  const at = { createdAt: 0, expiresAt: 9_000_000_000_000 }
  const value = { issuer: 'x', person: 'oidc:x', name: 'x', claims: {}, ...at }
  await world.bursar.store.putRecord({ kind: 'session', id, value })
  return id
}

test('every route x every role, through the server: only what the table says', async () => {
  const routes = await described()
  const table = written()
  const names = routes.map(([method, path]) => `${method} ${path}`)
  expect([...table.keys()].sort()).toEqual(names.sort())
  expect(names.length).toBeGreaterThan(25)
  const unknown = Object.keys(good).filter((name) => !names.includes(name))
  expect(unknown).toEqual([])
  const cases = routes.flatMap((route) =>
    [...roles, 'nobody'].map((who) => [who, ...route] as const),
  )
  let asked = 0
  for (const [who, method, path, declared] of cases) {
    const route = `${method} ${path}`
    const { path: id = 'x', body } = (await good[route]?.()) ?? {}
    const to = path.replace(/\{\w+\}/, id)
    const { status, code, value } = await ask(tokens.get(who) ?? null, method, to, body)
    const isAllowed = table.get(route)?.has(who) === true
    const about = `${who} ${route}: ${status} ${JSON.stringify(value).slice(0, 200)}`
    expect(declared.includes(who), about).toBe(isAllowed)
    if (who === 'nobody') expect(status, about).toBe(401)
    else if (!isAllowed) expect([status, code], about).toEqual([403, 'role_not_allowed'])
    else if (good[route] !== undefined || (!path.includes('{') && method === 'GET')) {
      expect([200, 201], about).toContain(status)
    } else expect([401, 403], about).not.toContain(status)
    asked += 1
  }
  expect(asked).toBe(names.length * 5)
})

test('metrics are no lead’s, and nobody’s', async () => {
  for (const [who, status] of [
    ['admin', 200],
    ['finops', 200],
    ['viewer', 200],
    ['lead', 403],
  ]) {
    const headers = { authorization: `Bearer ${tokens.get(String(who))}` }
    expect((await fetch(`${world.url}/metrics`, { headers })).status, String(who)).toBe(status)
  }
})

test('no role hands on a role that has a route it has not', () => {
  const table = [...written().values()]
  for (const own of roles) {
    for (const wanted of roles) {
      const subtree = { kind: 'team', name: 'support' } as const
      const at = (role: Role) => ({ role, subtree: role === 'lead' ? subtree : null })
      if (!mayGrant([], at(own), at(wanted))) continue
      const more = table.filter((whose) => whose.has(wanted) && !whose.has(own))
      expect(more, `${own} makes ${wanted}`).toEqual([])
    }
  }
})

const names = (rows: unknown): readonly string[] =>
  [...new Set((rows as { name: string }[]).map(({ name }) => name.split(' ')[0] ?? ''))].sort()

test('a lead sees what lies in the subtree, and nothing else', async () => {
  const lead = apiAt(world.url, tokens.get('lead'))
  const budgets = (await lead('/budgets')) as { name: string; value: string | null }[]
  expect(names(budgets)).toEqual(['resolver', 'support', 'teams', 'triage'])
  // Of a budget a team, the team's own account alone.
  expect(budgets.filter(({ name }) => name.startsWith('teams')).map(({ value }) => value)).toEqual([
    'support',
  ])
  expect(await lead('/quotas')).toHaveLength(1)
  const agents = (rows: unknown) => [
    ...new Set((rows as { agent: string }[]).map(({ agent }) => agent)),
  ]
  expect(agents(await lead('/calls'))).toEqual(['resolver'])
  expect(agents(await lead('/keys'))).toEqual(['resolver'])
  expect(agents(await lead('/reports/spend?by=agent'))).toEqual(['resolver'])
  const [mine] = (await lead('/reports/spend')) as { calls: string; cost_usd: string }[]
  const all = (await admin()('/reports/spend?by=team')) as { team: string; cost_usd: string }[]
  expect(mine?.cost_usd).toBe(all.find(({ team }) => team === 'support')?.cost_usd)
  const unit = apiAt(world.url, await tokenFor('lead', 'business_unit=customers'))
  expect(agents(await unit('/calls')).sort()).toEqual(['greeter', 'resolver'])
  expect(names(await unit('/budgets'))).toEqual([
    'greeter',
    'resolver',
    'support',
    'teams',
    'triage',
  ])
  const one = apiAt(world.url, await tokenFor('lead', 'agent=crawler'))
  expect(names(await one('/budgets'))).toEqual([])
  expect(await one('/quotas')).toHaveLength(1)
})

test('what lies outside is not there: every id of others is 404', async () => {
  const token = tokens.get('lead') ?? null
  const key = await newId('/keys', { agent: 'crawler' })
  const override = await newOverride('lab')
  const paths = [
    ['GET', `/budgets/${await budgetId('lab')}`],
    ['GET', `/budgets/${await budgetId('all')}`],
    ['GET', `/calls/${await callOf('crawler')}`],
    ['POST', `/keys/${key}/revoke`],
    ['POST', `/keys/${key}/rotate`],
    ['POST', `/overrides/${override}/approve`],
    ['POST', `/overrides/${override}/deny`],
    ['POST', `/overrides/${override}/end`],
    ['POST', `/tokens/${await newId('/tokens', { name: 'f', role: 'finops' })}/revoke`],
  ] as const
  for (const [method, path] of paths) {
    const { status, code } = await ask(token, method, `/api/v1${path}`)
    expect([status, code], path).toEqual([404, 'not_found'])
  }
  for (const [budget, value] of [['lab'], ['all'], ['teams'], ['teams', 'lab']]) {
    const body = await overrideBody(budget ?? '', value === undefined ? {} : { value })
    expect((await ask(token, 'POST', '/api/v1/overrides', body)).status, budget).toBe(404)
  }
  const own = await overrideBody('teams', { value: 'support' })
  expect((await ask(token, 'POST', '/api/v1/overrides', own)).status).toBe(201)
})

test('a lead’s key is pinned in the subtree', async () => {
  const token = tokens.get('lead') ?? null
  const make = async (body: unknown) => (await ask(token, 'POST', '/api/v1/keys', body)).status
  expect(await make({ agent: 'triage' })).toBe(201)
  expect(await make({ team: 'support' })).toBe(201)
  expect(await make({ team: 'support', agent: 'triage', environment: 'dev' })).toBe(201)
  for (const body of [
    {},
    { agent: 'crawler' },
    { team: 'lab' },
    { team: 'support', agent: 'crawler' },
    { team: 'lab', agent: 'triage' },
    { user: 'ann', environment: 'prod' },
    // Its calls would be charged to the lab's budget for keys of this name.
    { agent: 'triage', name: 'batch' },
  ]) {
    expect(await make(body), JSON.stringify(body)).toBe(403)
  }
  // A key of the team cannot call as an agent of another one.
  const made = (await ask(token, 'POST', '/api/v1/keys', { team: 'support' })).value as {
    key: string
  }
  const as = { 'bursar-agent': 'crawler' }
  const answer = await call(world, made.key, '/v1/chat/completions', chatBody('hi'), as)
  expect(answer.status).toBe(403)
})

test('a lead approves below the top of the subtree, never the limit over himself', async () => {
  const token = tokens.get('lead') ?? null
  const decide = (id: string, verb: string) => ask(token, 'POST', `/api/v1/overrides/${id}/${verb}`)
  expect(await decide(await newOverride('triage'), 'approve')).toMatchObject({ status: 200 })
  const top = await newOverride('support')
  expect(await decide(top, 'approve')).toMatchObject({ status: 403, code: 'above_you' })
  expect(await decide(top, 'deny')).toMatchObject({ status: 200 })
})

test('another person approves, whatever names and tokens somebody has', async () => {
  const lead = tokens.get('lead') ?? null
  const post = (token: string | null, path: string, body?: unknown) =>
    ask(token, 'POST', `/api/v1${path}`, body)
  const body = await overrideBody('triage')
  const asked = (await post(lead, '/overrides', body)).value as { id: string }
  const approve = `/overrides/${asked.id}/approve`
  expect(await post(lead, approve)).toMatchObject({ code: 'needs_another_person' })
  expect(await post(lead, approve, { by: 'bob' })).toMatchObject({ code: 'admins_only' })
  expect(await post(lead, approve, { self: true })).toMatchObject({ code: 'admins_only' })
  // A token that he made himself is himself; so are two of them.
  const child = { name: `child ${++made}`, role: 'lead', subtree: 'team=support' }
  const own = ((await post(lead, '/tokens', child)).value as { token: string }).token
  expect(await post(own, approve)).toMatchObject({ code: 'needs_another_person' })
  const named = { ...body, requested_by: 'ann' }
  expect(await post(lead, '/overrides', named)).toMatchObject({ code: 'admins_only' })
  expect(await post(lead, '/overrides', { ...body, self: true })).toMatchObject({ status: 403 })
  expect(await post(await tokenFor('lead'), approve)).toMatchObject({
    value: { state: 'approved', self: false, requested_through: null },
  })
  const [row] = (await admin()('/audit?limit=1')) as { action: string; identity: string }[]
  expect(row).toMatchObject({
    action: 'override.approved',
    identity: expect.stringMatching(/^tok_/),
    before: { state: 'requested' },
    after: { state: 'approved' },
  })
})

test('an admin asks in somebody’s stead: it is recorded, and he is still one person', async () => {
  const body = await overrideBody('triage', { requested_by: 'ann' })
  const asked = (await admin()('/overrides', body)) as { id: string }
  expect(asked).toMatchObject({ requested_by: 'ann', requested_through: 'admin' })
  const approve = `/api/v1/overrides/${asked.id}/approve`
  const said = await ask('adm_test', 'POST', approve, { by: 'bob' })
  expect(said.code).toBe('needs_another_person')
  // Nor may who is said to have asked.
  const ann = (await admin()('/tokens', { name: 'ann', role: 'finops' })) as { token: string }
  expect((await ask(ann.token, 'POST', approve)).code).toBe('needs_another_person')
  expect((await ask('adm_test', 'POST', approve, { by: 'bob', self: true })).value).toMatchObject({
    state: 'approved',
    approved_by: 'bob',
    decided_through: 'admin',
    self: true,
  })
})
