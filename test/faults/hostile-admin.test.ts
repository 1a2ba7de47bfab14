/** Rows A26, A28, C, D and E of the threat model: secrets, the admin API, the config. */
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { formatProblem, loadSnapshot } from '#config/load.ts'
import { loadPriceBook } from '#system/price-files.ts'
import { auditBooks, call, chatBody, startWorld, type World } from '#test/support/bursar.ts'
import { httpAnswer, startRawProvider } from '#test/support/provider.ts'
import { raw } from '#test/support/raw.ts'

const config = 'budgets: [{ name: all, budget_yearly_usd: 100000 }]\n'
const chat = '/v1/chat/completions'

async function ask(
  world: World,
  method: string,
  path: string,
  token: string | null,
  body?: string,
): Promise<Response> {
  return fetch(world.url + path, {
    method,
    ...(body === undefined ? {} : { body }),
    headers: token === null ? {} : { authorization: `Bearer ${token}` },
  })
}

const admin = 'adm_test'

async function budgetId(world: World): Promise<string> {
  const [row] = (await world.api('/budgets')) as { id: string }[]
  return row?.id ?? ''
}

const amounts =
  '"-5" -5 0 "0" 1e30 "9223372036.854775808" "1.0000000001" "abc" {} "5 USD" "٣" " 5" "+5" "1e3"'
const noAmounts = amounts.match(/"[^"]*"|\S+/g) ?? []

test.each(noAmounts)('A26: %s is nothing to add to a budget', async (amount) => {
  await using world = await startWorld({ config })
  const budget = await budgetId(world)
  const body = `{"budget":"${budget}","reason":"because","extra_usd":${amount}}`
  const answer = await ask(world, 'POST', '/api/v1/overrides', admin, body)
  expect(answer.status, await answer.text()).toBe(400)
  expect(await world.api('/overrides')).toEqual([])
})

test('A26: an override needs a reason, a future, and the admin token', async () => {
  await using world = await startWorld({ config })
  const key = await world.key()
  const budget = await budgetId(world)
  const bodies: readonly (readonly [status: number, token: string, body: unknown])[] = [
    [400, admin, { budget, extra_usd: '5' }],
    [400, admin, { budget, extra_usd: '5', reason: '  x ' }],
    [400, admin, { budget, reason: 'because' }],
    [400, admin, { budget, reason: 'because', until: '2020-01-01T00:00:00Z' }],
    [400, admin, { budget, reason: 'because', extra_usd: '5', state: 'approved' }],
    [400, admin, { budget, reason: 'because', extra_usd: '5', value: 'ann' }],
    [404, admin, { budget: 'none', reason: 'because', extra_usd: '5' }],
    [401, key, { budget, reason: 'because', extra_usd: '5', self: true }],
  ]
  for (const [status, token, body] of bodies) {
    const answer = await ask(world, 'POST', '/api/v1/overrides', token, JSON.stringify(body))
    expect(answer.status, JSON.stringify(body)).toBe(status)
  }
  expect(await world.api('/overrides')).toEqual([])
})

test.each([
  '"-5"',
  '-1',
  '1e30',
  '"9223372036.854775808"',
  '"9223372036.854775807"',
  '"x"',
  'null',
])('A28: a cost is not adjusted to %s', async (cost) => {
  await using world = await startWorld({ config })
  await call(world, await world.key(), chat, chatBody('hi'))
  const [hold] = await world.bursar.store.recentHolds(1)
  const body = `{"hold":"${hold?.id}","reason":"because","cost_usd":${cost}}`
  const answer = await ask(world, 'POST', '/api/v1/ledger/adjustments', admin, body)
  expect(answer.status, await answer.text()).toBe(400)
  expect((await world.bursar.store.recentHolds(1))[0]).toEqual(hold)
  expect(await auditBooks(world)).toBe(0)
})

/** What has opened other people's databases. */
const injections = [
  `' or '1'='1`,
  `" or ""="`,
  `'; drop table entry; --`,
  `vk_' union select hash from virtual_key --`,
  `\\'; select 1; --`,
  '1; attach database x as y',
  `%27%20or%201=1`,
  `') or ('1'='1`,
  `vk_${'0'.repeat(43)}abcdef`,
  `vk_${"'".repeat(49)}`,
  '__proto__',
  'constructor',
  'undefined',
  '[object Object]',
  '*',
  'vk_%',
  'vk_demo',
]

test('C4, C5: a thousand wrong keys get one and the same answer', async () => {
  await using world = await startWorld({ config })
  await world.key()
  const guesses = Array.from({ length: 1000 }, (_, i) => `${injections[i % injections.length]}${i}`)
  const answers = await Promise.all(
    guesses.map(async (guess) => call(world, guess, chat, chatBody('hi'))),
  )
  const shapes = new Set(
    answers.map(({ status, text }) => `${status} ${text.replace(/call_\w+/g, '')}`),
  )
  expect([...shapes]).toHaveLength(1)
  expect(answers[0]?.status).toBe(401)
  for (const name of injections) {
    const path = `/api/v1/calls/${encodeURIComponent(name)}`
    expect((await ask(world, 'GET', path, admin)).status, name).toBe(404)
    const made = await ask(world, 'POST', '/api/v1/keys', admin, JSON.stringify({ agent: name }))
    expect(made.status, name).toBe(201)
  }
  expect((await world.api('/keys')) as unknown[]).toHaveLength(injections.length + 1)
  expect(world.simulator.requests()).toBe(0)
})

test('C8: keys that call in turns are never taken for one another', async () => {
  await using world = await startWorld({ config })
  const keys = await Promise.all(Array.from({ length: 8 }, (_, i) => world.key({ agent: `a${i}` })))
  const calls = Array.from({ length: 160 }, (_, i) => i)
  const ids = await Promise.all(
    calls.map(async (i) => {
      const { headers } = await call(world, keys[i % 8] ?? '', chat, chatBody(`hi ${i}`))
      return [headers.get('bursar-call-id'), `a${i % 8}`] as const
    }),
  )
  const holds = new Map(
    (await world.bursar.store.recentHolds(200)).map((hold) => [hold.call, hold]),
  )
  for (const [id, agent] of ids) {
    expect(holds.get(id as `call_${string}`)?.attribution.agent).toBe(agent)
  }
})

test('C12: a provider that repeats our key in an error repeats it to nobody', async () => {
  const secret = 'provider-key'
  const json = 'content-type: application/json'
  const plain = `{"error":{"message":"Incorrect API key provided: ${secret}"}}`
  const packed = gzipSync(plain)
  const answers: readonly (string | Uint8Array)[] = [
    httpAnswer([json, `content-length: ${plain.length}`], plain, 'HTTP/1.1 401 No'),
    httpAnswer([json, `x-request-id: ${secret}`, 'content-length: 0'], '', 'HTTP/1.1 401 No'),
    Buffer.concat([
      Buffer.from(`HTTP/1.1 401 No\r\n${json}\r\ncontent-encoding: gzip\r\n`),
      Buffer.from(`content-length: ${packed.length}\r\n\r\n`),
      packed,
    ]),
    `HTTP/1.1 307 ${secret}\r\nlocation: http://x/${secret}\r\ncontent-length: 0\r\n\r\n`,
  ]
  await using provider = await startRawProvider((socket, no) => socket.write(answers[no - 1] ?? ''))
  await using world = await startWorld({ config, providerUrl: provider.url })
  const key = await world.key()
  for (const _ of answers) {
    const { status, text, headers } = await call(world, key, chat, chatBody('hi'))
    expect([401, 502]).toContain(status)
    expect(headers.get('bursar-origin')).toBe('upstream')
    expect(text + JSON.stringify([...headers])).not.toContain(secret)
  }
  expect(provider.requests()).toBe(answers.length)
  expect(await auditBooks(world)).toBe(0)
})

test('D1: every admin route is 401 for no key and for a caller’s; the admin token makes no calls', async () => {
  await using world = await startWorld({ config })
  const key = await world.key()
  const described = (await (await fetch(`${world.url}/api/openapi.json`)).json()) as {
    paths: Record<string, Record<string, unknown>>
  }
  const routes = Object.entries(described.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => [method.toUpperCase(), path.replace(/\{\w+\}/g, 'x')]),
  )
  expect(routes.length).toBeGreaterThan(15)
  for (const [method = '', path = ''] of [...routes, ['GET', '/metrics']]) {
    for (const token of [null, key, 'adm_wrong', '', 'adm_test2']) {
      const answer = await ask(world, method, path, token, method === 'POST' ? '{}' : undefined)
      expect(answer.status, `${method} ${path}`).toBe(401)
    }
  }
  for (const path of [chat, '/v1/messages', '/v1/responses', '/v1/embeddings']) {
    expect((await call(world, admin, path, chatBody('hi'))).status).toBe(401)
  }
  for (const path of ['/v1/models', '/v1/budget']) {
    expect((await ask(world, 'GET', path, admin)).status).toBe(401)
  }
  expect(world.simulator.requests()).toBe(0)
})

const strangers = 'role hash id prefix spent parent createdBy revokedAt key limit_usd __proto__'

test.each(strangers.split(' '))('D3: nobody writes a key’s %s', async (field) => {
  await using world = await startWorld({ config })
  const body = `{"agent":"a","${field}":"x"}`
  expect((await ask(world, 'POST', '/api/v1/keys', admin, body)).status).toBe(400)
  expect(await world.api('/keys')).toEqual([])
})

test('D4, D12: no route takes a config, a provider or an address', async () => {
  await using world = await startWorld({ config })
  for (const path of ['config', 'providers', 'webhooks', 'reload', 'test', 'fetch', 'proxy']) {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      const body = '{"url":"http://169.254.169.254/"}'
      expect((await ask(world, method, `/api/v1/${path}`, admin, body)).status, path).toBe(404)
    }
  }
})

test('D3: a body beyond a megabyte is not read, whatever it says of its length', async () => {
  await using world = await startWorld({ config })
  const large = `{"agent":"${'x'.repeat(2 * 1024 * 1024)}"}`
  expect((await ask(world, 'POST', '/api/v1/keys', admin, large)).status).toBe(413)
  const head = `POST /api/v1/keys HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${admin}\r\n`
  const declared = await raw(world.url, `${head}content-length: 9000000000\r\n\r\n{`, {
    answers: 1,
  })
  expect(declared.statuses).toEqual([413])
  const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`.repeat(20)
  const chunked = await raw(world.url, `${head}transfer-encoding: chunked\r\n\r\n${chunk}`, {
    answers: 1,
  })
  expect(chunked.statuses).toEqual([413])
})

test('D7: a name that reads as another is not made', async () => {
  await using world = await startWorld({ config })
  for (const agent of ['a\u202eb', 'a\u2066b', 'a\nb', 'a\u0000b', '\u001b[31mred', '\ud800']) {
    const answer = await ask(world, 'POST', '/api/v1/keys', admin, JSON.stringify({ agent }))
    expect(answer.status, JSON.stringify(agent)).toBe(400)
  }
})

test('D8, D13, D15: every admin answer says what a browser may not do with it', async () => {
  await using world = await startWorld({ config })
  const asked: readonly (readonly [method: string, path: string, token: string | null])[] = [
    ['GET', '/healthz', null],
    ['GET', '/readyz', null],
    ['GET', '/metrics', admin],
    ['GET', '/metrics', null],
    ['GET', '/api/openapi.json', null],
    ['GET', '/api/v1/keys', admin],
    ['GET', '/api/v1/keys', null],
    ['GET', '/api/v1/nothing', admin],
    ['POST', '/api/v1/keys', admin],
    ['POST', '/api/v1/keys/x/revoke', admin],
    ['OPTIONS', '/api/v1/keys', null],
  ]
  for (const [method, path, token] of asked) {
    const answer = await ask(world, method, path, token)
    const text = await answer.text()
    const { headers } = answer
    expect(headers.get('cache-control'), path).toBe('no-store')
    expect(headers.get('x-content-type-options'), path).toBe('nosniff')
    expect(headers.get('referrer-policy'), path).toBe('no-referrer')
    expect(headers.get('content-security-policy'), path).toContain("default-src 'none'")
    expect([...headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
    expect(headers.get('server') ?? headers.get('x-powered-by'), path).toBeNull()
    if (path === '/healthz') expect(text).toBe('ok')
  }
  const preflight = await ask(world, 'OPTIONS', chat, null)
  expect(preflight.status).toBe(404)
  expect(preflight.headers.get('access-control-allow-origin')).toBeNull()
})

test('D11: an entry and an audit row cannot be changed or removed', async () => {
  await using world = await startWorld({ config })
  await call(world, await world.key(), chat, chatBody('hi'))
  const db = new DatabaseSync(join(world.dataFolder, 'bursar.db'))
  for (const table of ['entry', 'audit']) {
    expect(() => db.exec(`update ${table} set at = 0`)).toThrow(/immutable/)
    expect(() => db.exec(`delete from ${table}`)).toThrow(/immutable/)
    expect(db.prepare(`select count(*) as n from ${table}`).get()?.n).toBeGreaterThan(0)
  }
  expect(() => db.exec('update account set pending = -1')).toThrow(/constraint/i)
  expect(() => db.exec('update hold set amount = -1')).toThrow(/constraint/i)
  db.close()
})

const big = 'x'.repeat(1024 * 1024)
const yaml: Readonly<Record<string, readonly [text: string, problem: RegExp]>> = {
  'an alias': ['a: &a [1]\nb: *a\n', /alias/],
  laughs: ['a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n', /alias/],
  'a key twice': ['organization: a\norganization: b\n', /unique/i],
  'a tag': ['organization: !!js/function "x"\n', /tag/],
  'a tag of one’s own': ['organization: !x y\n', /tag/],
  'a merge key': ['policy:\n  <<: { no_budget: deny }\n', /unknown key/],
  'the name __proto__': ['__proto__: { organization: x }\n', /unknown key|not a name/],
  'the name constructor': ['constructor: x\n', /unknown key/],
  'a map as a name': ['? { organization: x }\n: y\n', /plain text/],
  infinity: ['budgets: [{ budget_monthly_usd: .inf }]\n', /amount/],
  'not a number': ['budgets: [{ budget_monthly_usd: .nan }]\n', /amount/],
  'a negative amount': ['budgets: [{ budget_monthly_usd: -5 }]\n', /amount/],
  hexadecimal: ['budgets: [{ budget_monthly_usd: 0x10 }]\n', /amount/],
  'an exponent': ['budgets: [{ budget_monthly_usd: 1e9 }]\n', /amount/],
  '20,000 levels': [`a: ${'['.repeat(20_000)}${']'.repeat(20_000)}\n`, /too deep/],
  'a million levels that never close': [`a: ${'{'.repeat(500_000)}`, /too deep/],
  'more than 1 MiB': [`a: ${big}\n`, /1 MiB/],
  'a reference to nothing': ['organization: ${NO_SUCH_THING}\n', /is not set/],
  'a reference in a name': [
    'budgets: [{ agent: a, budget_monthly_usd: "${X:-5}\\n" }]\n',
    /amount/,
  ],
  'a NUL': ['organization: "a\\0b"\npolicy: { no_budgt: deny }\n', /unknown key/],
}

test.each(Object.entries(yaml))('E6: %s in the config', async (_name, [text, problem]) => {
  const began = performance.now()
  const loaded = loadSnapshot({
    files: [{ name: 'bursar.yaml', text }],
    env: () => undefined,
    readFile: () => null,
    priceBook: loadPriceBook(),
  })
  if (loaded.ok) throw new Error('it was taken for good')
  const said = loaded.problem.map(formatProblem).join('\n')
  expect(said).toMatch(problem)
  expect(said).toMatch(/^bursar\.yaml:\d+:\d+: /)
  expect(performance.now() - began).toBeLessThan(3000)
  expect(Object.getOwnPropertyNames(Object.prototype)).not.toContain('organization')
})
