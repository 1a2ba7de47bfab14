import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { auditBooks, call, chatBody, startWorld, until, type World } from '#test/support/bursar.ts'

const config = `organization: acme
business_units:
  ops:
    teams:
      support: { agents: { resolver: {}, helper: {} } }
      sales: { agents: { hunter: {} } }
environments: [dev, prod]
budgets:
  - { name: all, budget_yearly_usd: 1000 }
  - { name: nano, model: gpt-5-nano, budget_yearly_usd: 0 }
  - { name: mini, model: gpt-5-mini, budget_yearly_usd: 10 }
  - { name: sales, team: sales, budget_yearly_usd: 10 }
  - { name: prod, environment: prod, budget_yearly_usd: 10 }
  - { name: each user, per: user, budget_daily_usd: 0.5 }
`
const path = '/v1/chat/completions'
const ask = (model: unknown): unknown => ({ model, messages: [{ role: 'user', content: 'hi' }] })

test('an unpriced model is 403 before the provider hears of it', async () => {
  await using world = await startWorld({ config })
  const key = await world.key({ agent: 'resolver' })
  const answer = await call(world, key, path, ask('gpt-99-ultra'))
  expect(answer.status).toBe(403)
  expect(answer.json()).toMatchObject({ error: { code: 'model_unpriced', param: 'model' } })
  expect(answer.headers.get('x-should-retry')).toBe('false')
  expect(world.simulator.requests()).toBe(0)
})

interface Told {
  readonly kind: string
  readonly details: Readonly<Record<string, string>>
}

test('an unpriced model is told, once a model and day, and no more than twenty of a key', async () => {
  await using world = await startWorld({ config })
  const key = await world.key({ agent: 'resolver', name: 'k' })
  for (const model of ['gpt-99', 'gpt-99', ...Array.from({ length: 40 }, (_, i) => `m${i}`)]) {
    expect((await call(world, key, path, ask(model))).status).toBe(403)
  }
  const told = async (): Promise<Told[]> => (await world.api('/alerts')) as Told[]
  await until('they are told', async () => (await told()).length === 20)
  expect((await told()).at(-1)).toMatchObject({
    kind: 'unpriced_model',
    details: { what: 'gpt-99', agent: 'resolver', key: 'k', outcome: 'refused: it has no price' },
  })
})

test('one that policy lets pass is told too', async () => {
  await using world = await startWorld({
    config: `${config}policy: { unpriced_model: hold_at_most_expensive }\n`,
  })
  const key = await world.key({ agent: 'resolver' })
  const answer = await call(world, key, path, ask('gpt-99-ultra'))
  expect(answer.headers.get('bursar-warning')).toContain('has no price')
  const told = async (): Promise<Told[]> => (await world.api('/alerts')) as Told[]
  await until('it is told', async () => (await told()).length === 1)
  expect(await told()).toMatchObject([
    { kind: 'unpriced_model', details: { outcome: 'let pass by the policy' } },
  ])
})

test('no spelling of a model reaches another budget or price', async () => {
  await using world = await startWorld({ config })
  const key = await world.key({ agent: 'resolver' })
  const spellings = [
    'GPT-5-nano',
    'gpt-5-Nano',
    ' gpt-5-nano',
    'gpt-5-nano ',
    'gpt-5-nano\t',
    'models/gpt-5-nano',
    'openai/gpt-5-nano',
    'gpt-5-nano:free',
    'gpt-5-nano@latest',
    'gpt‑5‑nano',
    'ｇｐｔ-5-nano',
    'gpt-5-nаno',
    'gpt-5-nano\u200b',
    'gpt-5-nano\u0000',
    'ft:gpt-5-nano:x',
    'gpt-5-nano/../gpt-5',
    'gpt-5-nano*',
    '*',
    '',
    'gpt-5-nan',
    'gpt-5-nanoo',
    'gpt-5_nano',
    'gpt 5 nano',
    'gpt-5-nano#',
    null,
    5,
    ['gpt-5-nano'],
    { name: 'gpt-5-nano' },
    true,
  ]
  for (const model of spellings) {
    const { status } = await call(world, key, path, ask(model))
    expect([400, 403], String(model)).toContain(status)
  }
  expect(world.simulator.requests()).toBe(0)
  // The dated alias is real, and draws from the same budget as the plain name: which is used up.
  for (const model of ['gpt-5-nano', 'gpt-5-nano-2025-08-07']) {
    expect((await call(world, key, path, ask(model))).status, model).toBe(402)
  }
  expect((await call(world, key, path, ask('gpt-5-mini-2025-08-07'))).status).toBe(200)
  const rows = (await world.api('/budgets')) as { name: string; posted_usd: string }[]
  const posted = (name: string): string | undefined =>
    rows.find((row) => row.name.startsWith(name))?.posted_usd
  expect(posted('mini')).toBe(world.simulator.bill().total_usd)
  expect(posted('all')).toBe(world.simulator.bill().total_usd)
})

test('attribution that contradicts the key is refused; what is claimed otherwise moves nothing', async () => {
  await using world = await startWorld({ config })
  const key = await world.key({ agent: 'resolver', environment: 'dev' })
  const spoofs: Readonly<Record<string, string>>[] = [
    { 'bursar-agent': 'hunter' },
    { 'bursar-agent': 'helper' },
    { 'bursar-environment': 'prod' },
  ]
  for (const headers of spoofs) {
    const { status, text } = await call(world, key, path, chatBody('hi'), headers)
    expect(status, text).toBe(403)
  }
  expect(world.simulator.requests()).toBe(0)
  const claims = [
    'x-agent-id',
    'x-team',
    'x-litellm-tags',
    'bursar-team',
    'bursar-business-unit',
    'x-bursar-agent',
    'helicone-user-id',
    'x-claude-code-agent-id',
    'baggage',
    'bursar-organization',
    'bursar-key',
  ]
  for (const name of claims) {
    await call(world, key, path, chatBody('hi', { user: 'x' }), { [name]: 'sales' })
  }
  const body = chatBody('hi', { metadata: { team: 'sales', agent: 'hunter', environment: 'prod' } })
  expect((await call(world, key, path, body)).status).toBe(200)
  const holds = await world.bursar.store.recentHolds(100)
  expect(holds).toHaveLength(claims.length + 1)
  for (const { attribution } of holds) {
    expect(attribution).toMatchObject({
      organization: 'acme',
      business_unit: 'ops',
      team: 'support',
      agent: 'resolver',
      environment: 'dev',
      key: 'resolver',
    })
  }
  const rows = (await world.api('/budgets')) as { name: string; posted_usd: string }[]
  for (const name of ['sales', 'prod']) {
    expect(rows.find((row) => row.name.startsWith(name))?.posted_usd, name).toBe('0.000000000')
  }
})

test('fields that name control-plane things, or hide cost, never reach the provider', async () => {
  await using world = await startWorld({ config })
  const key = await world.key({ agent: 'resolver' })
  const refused: readonly [string, Record<string, unknown>, number][] = [
    [path, { api_base: 'http://evil' }, 403],
    [path, { api_key: 'x' }, 403],
    [path, { input_cost_per_token: 0 }, 403],
    [path, { litellm_params: {} }, 403],
    [path, { best_of: 3 }, 403],
    [path, { n: 0 }, 400],
    [path, { n: 9 }, 400],
    [path, { n: '2' }, 400],
    [path, { max_tokens: -1 }, 400],
    [path, { max_tokens: 0 }, 400],
    [path, { max_tokens: '100' }, 400],
    [path, { max_tokens: 1.5 }, 400],
    [path, { max_tokens: 10, max_completion_tokens: 10 }, 400],
    [path, { stream: 'yes' }, 400],
    [path, { service_tier: 'gold' }, 403],
    [path, { messages: [] }, 400],
    ['/v1/responses', { model: 'gpt-5-mini', input: 'x', background: true }, 403],
    ['/v1/responses', { model: 'gpt-5-mini', input: 'x', conversation: 'conv_1' }, 403],
    ['/v1/responses', { model: 'gpt-5-mini', input: 'x', prompt: { id: 'p' } }, 403],
    ['/v1/responses', { model: 'gpt-5-mini', input: 'x', tools: [{ type: 'web_search' }] }, 403],
    ['/v1/messages', { model: 'claude-haiku-4-5', max_tokens: 9, mcp_servers: [{}] }, 403],
    [
      '/v1/messages',
      {
        model: 'claude-haiku-4-5',
        max_tokens: 9,
        tools: [{ type: 'web_search_20250305', name: 'w' }],
      },
      403,
    ],
    [
      '/v1beta/models/gemini-2.5-flash:generateContent',
      {
        contents: [{ parts: [{ text: 'x' }] }],
        tools: [{ googleSearch: {} }],
      },
      403,
    ],
  ]
  for (const [to, more, status] of refused) {
    const base = to === path || to === '/v1/messages' ? ask('gpt-5-mini') : {}
    const answer = await call(world, key, to, { ...(base as object), ...more })
    expect(answer.status, JSON.stringify(more)).toBe(status)
  }
  expect(world.simulator.requests()).toBe(0)
})

test('bodies that two parsers could read differently are 400', async () => {
  await using world = await startWorld({ config })
  const key = await world.key({ agent: 'resolver' })
  const message = '"messages":[{"role":"user","content":"hi"}]'
  const bodies = [
    `{"model":"gpt-5-mini","model":"gpt-5",${message}}`,
    `{"model":"gpt-5-mini","\\u006dodel":"gpt-5",${message}}`,
    `{"model":"gpt-5-mini","max_tokens":1e999,${message}}`,
    `{"model":"gpt-5-mini","max_tokens":99999999999999999999,${message}}`,
    `{"model":"gpt-5-mini",${message},"metadata":${'['.repeat(70)}${']'.repeat(70)}}`,
    `{"__proto__":{},"model":"gpt-5-mini",${message}}`,
    `\ufeff{"model":"gpt-5-mini",${message}}`,
    '[]',
    '"x"',
    '',
    '{',
    `{"model":"gpt-5-mini",${message}} {}`,
  ]
  for (const body of bodies) {
    const { status } = await post(world, key, body)
    expect(status, body.slice(0, 60)).toBe(400)
  }
  expect(world.simulator.requests()).toBe(0)
})

async function post(world: World, key: string, body: string): Promise<Response> {
  return fetch(world.url + path, {
    method: 'POST',
    body,
    headers: { authorization: `Bearer ${key}` },
  })
}

test('keys: all slots lead to one budget; two different ones, none, or a wrong one are 401', async () => {
  await using world = await startWorld({ config })
  const key = await world.key({ agent: 'resolver' })
  const other = await world.key({ agent: 'helper' })
  const send = (headers: Record<string, string>): Promise<Response> =>
    fetch(world.url + path, { method: 'POST', body: JSON.stringify(chatBody('hi')), headers })
  for (const headers of [
    { authorization: `Bearer ${key}` },
    { 'x-api-key': key },
    { 'api-key': key },
    { 'x-goog-api-key': key },
    { authorization: `Bearer ${key}`, 'x-api-key': key },
  ])
    expect((await send(headers)).status).toBe(200)
  for (const headers of [
    {},
    { authorization: 'Bearer vk_wrong' },
    { authorization: 'Bearer vk_demo' },
    { authorization: `Basic ${key}` },
    { authorization: `Bearer ${key}`, 'x-api-key': other },
    { 'x-api-key': `${key}x` },
    { 'x-api-key': key.slice(0, -1) },
  ])
    expect((await send(headers)).status).toBe(401)
  const [{ id }] = (await world.api('/keys')) as [{ id: string }]
  await world.api(`/keys/${id}/revoke`, {})
  expect((await send({ 'x-api-key': key })).status).toBe(401)
  expect(await auditBooks(world)).toBe(0)
})

test('paths in disguise, WebSockets and foreign endpoints reach no provider', async () => {
  await using world = await startWorld({ config })
  const key = await world.key({ agent: 'resolver' })
  const raw = (line: string, more = ''): Promise<string> =>
    new Promise((resolve, reject) => {
      const { port } = new URL(world.url)
      const socket = connect(Number(port), '127.0.0.1', () => {
        socket.write(
          `${line} HTTP/1.1\r\nhost: x\r\nx-api-key: ${key}\r\n${more}` +
            'content-length: 2\r\nconnection: close\r\n\r\n{}',
        )
      })
      let text = ''
      socket.on('data', (chunk) => {
        text += chunk
      })
      socket.on('close', () => resolve(text.split('\r\n')[0] ?? ''))
      socket.on('error', reject)
    })
  for (const target of [
    '/v1/%2e%2e/chat/completions',
    '/v1//chat/completions',
    '/v1/../v1/chat/completions',
    '/v1/chat/completions;x=1',
    '/v1\\chat\\completions',
    'http://evil/v1/chat/completions',
    '/v1/chat%2fcompletions',
  ])
    expect(await raw(`POST ${target}`), target).toMatch(/ 400 /)
  for (const target of [
    '/v1/files',
    '/v1/batches',
    '/v1/fine_tuning/jobs',
    '/v1/images/generations',
    '/v1/assistants',
    '/v1/videos',
    '/v1/audio/speech',
    '/v1/messages/batches',
    '/v1beta/models/x:predict',
    '/v2/x',
    '/v1/realtime',
    '/v1/vector_stores',
  ])
    expect(await raw(`POST ${target}`), target).toMatch(/ 404 /)
  for (const header of [
    'host: y',
    'content-type: a/b\r\ncontent-type: c/d',
    'bursar-agent: helper\r\nbursar-agent: resolver',
  ]) {
    expect(await raw('POST /v1/chat/completions', `${header}\r\n`), header).toMatch(/ 400 /)
  }
  const upgrade = 'connection: upgrade\r\nupgrade: websocket\r\n'
  expect(await raw('GET /v1/responses', upgrade)).toMatch(/ 426 /)
  expect(await raw(`POST /v1/chat/completions?key=${key}`)).toMatch(/ 401 /)
  expect(world.simulator.requests()).toBe(0)
})
