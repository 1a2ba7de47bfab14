/** Providers as a config names them: their kinds, their paths, their credentials, environments. */
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { expect, test } from 'vitest'
import { startSimulator } from '#simulator/server.ts'
import { loadPriceBook } from '#system/price-files.ts'
import { auditBooks, call, chatBody, startWorld } from '#test/support/bursar.ts'

const user = [{ role: 'user', content: 'hi' }]
const gemini = { contents: [{ role: 'user', parts: [{ text: 'hi' }] }] }
const geminiPath = '/v1beta/models/gemini-2.5-flash:generateContent'

test('each dialect goes to its own provider; prices and books are as with the simulator', async () => {
  const listen = { host: '127.0.0.1', port: 0 }
  const provider = await startSimulator({ listen, priceBook: loadPriceBook(), delayMs: 0 })
  await using world = await startWorld({
    providers: [],
    config: `providers:
  openai:    { api_key: sk-1, base_url: "${provider.url}/v1" }
  anthropic: { api_key: sk-2, base_url: "${provider.url}" }
  google:    { api_key: sk-3, base_url: "${provider.url}/v1beta" }
  local:     { kind: openai_compatible, base_url: "${provider.url}", free: true, models: [gpt-4o] }
budgets: [{ name: all, budget_yearly_usd: 100 }, { provider: anthropic, budget_daily_usd: 5 }]
`,
  })
  const key = await world.key()
  const chat = await call(world, key, '/v1/chat/completions', chatBody('hi'))
  const claude = await call(world, key, '/v1/messages', {
    model: 'claude-haiku-4-5',
    max_tokens: 20,
    messages: user,
  })
  const google = await call(world, key, geminiPath, gemini)
  expect([chat.status, claude.status, google.status]).toEqual([200, 200, 200])
  const paid = provider.bill().total_usd
  const local = await call(world, key, '/v1/chat/completions', chatBody('hi', { model: 'gpt-4o' }))
  expect(local.headers.get('bursar-cost-usd')).toBe('0.000000000')
  const foreign = await call(
    world,
    key,
    '/v1/chat/completions',
    chatBody('hi', { model: 'claude-haiku-4-5' }),
  )
  expect(foreign.status).toBe(403)
  expect(foreign.text).toContain('served by anthropic')
  const rows = (await world.api('/budgets')) as { name: string; posted_usd: string }[]
  expect(rows.find(({ name }) => name.startsWith('all'))?.posted_usd).toBe(paid)
  expect(rows.find(({ name }) => name.startsWith('anthropic'))?.posted_usd).toBe(
    claude.headers.get('bursar-cost-usd'),
  )
  expect(await auditBooks(world)).toBe(0)
  await provider.close()
})

test('a provider sees its own credential, and nothing of who asked', async () => {
  const seen: IncomingHttpHeaders[] = []
  const upstream = createServer((request, response) => {
    seen.push(request.headers)
    request.resume()
    const body = JSON.stringify({ error: { message: `bad key ${request.headers['x-api-key']}` } })
    request.on('end', () => response.writeHead(401, { 'set-cookie': 'a=b' }).end(body))
  })
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
  const address = upstream.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  await using world = await startWorld({
    providers: [],
    config: `providers: { anthropic: { api_key: sk-very-secret, base_url: "http://127.0.0.1:${port}" } }\n`,
  })
  const key = await world.key()
  const answer = await call(
    world,
    key,
    '/v1/messages',
    { model: 'claude-haiku-4-5', max_tokens: 20, messages: user },
    {
      'bursar-user': 'ann',
      'bursar-tags': 'a=b',
      cookie: 'c=d',
      'helicone-user-id': 'x',
      'openai-organization': 'org',
      'anthropic-beta': 'new-thing',
      'x-forwarded-for': '1.2.3.4',
    },
  )
  expect(answer.status).toBe(401)
  expect(answer.headers.get('bursar-origin')).toBe('upstream')
  expect(answer.text).toContain('bad key [redacted]')
  expect(answer.headers.get('set-cookie')).toBeNull()
  const [headers] = seen
  expect(headers).toMatchObject({ 'x-api-key': 'sk-very-secret', 'anthropic-beta': 'new-thing' })
  expect(Object.keys(headers ?? {}).sort()).toEqual([
    'accept',
    'accept-encoding',
    'anthropic-beta',
    'anthropic-version',
    'connection',
    'content-length',
    'content-type',
    'host',
    'user-agent',
    'x-api-key',
  ])
  expect(JSON.stringify(headers)).not.toContain(key)
  upstream.close()
  upstream.closeAllConnections()
})

test('a credential of one environment serves no other', async () => {
  const listen = { host: '127.0.0.1', port: 0 }
  const provider = await startSimulator({ listen, priceBook: loadPriceBook(), delayMs: 0 })
  await using world = await startWorld({
    providers: [],
    config: `environments: [dev, prod]
providers: { openai: { api_key: sk-1, base_url: "${provider.url}", environments: [prod] } }
`,
  })
  const ask = async (environment: string): Promise<number> =>
    (await call(world, await world.key({ environment }), '/v1/chat/completions', chatBody('hi')))
      .status
  expect([await ask('prod'), await ask('dev')]).toEqual([200, 403])
  expect(provider.requests()).toBe(1)
  await provider.close()
})
