/** Telemetry of calls that did not pass the gateway, from the real exporters to the report. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { SpanKind } from '@opentelemetry/api'
import { OTLPTraceExporter as JsonExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { OTLPTraceExporter as ProtoExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import { SimpleSpanProcessor, type SpanExporter, TracerProvider } from '@opentelemetry/sdk-trace'
import { expect, test } from 'vitest'
import { apiAt, call, chatBody, startWorld, until, type World } from '#test/support/bursar.ts'

const config = `organization: acme
business_units:
  customers: { teams: { support: { agents: { support-bot: {}, other: {} } }, sales: {} } }
budgets: [{ name: all, budget_yearly_usd: 1000 }]
`

interface Row {
  readonly agent?: string | null
  readonly team?: string | null
  readonly model?: string | null
  readonly provider?: string | null
  readonly calls: string
  readonly tokens: string
  readonly observed_usd: string
  readonly unpriced_calls: string
  readonly duplicates: string
}

const report = async (world: World, by = 'agent,team,provider,model'): Promise<readonly Row[]> =>
  (await world.api(`/reports/observed?by=${by}&from=2026-01-01&to=2028-01-01`)) as readonly Row[]

/** One span a record of attributes, sent by the exporter, and answered. */
async function send(
  exporter: SpanExporter,
  spans: readonly Readonly<Record<string, string | number>>[],
): Promise<void> {
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] })
  const tracer = provider.getTracer('a test')
  for (const attributes of spans) {
    tracer.startSpan('chat', { kind: SpanKind.CLIENT, attributes }).end()
  }
  await provider.forceFlush()
  await provider.shutdown()
}

const chat = {
  'gen_ai.operation.name': 'chat',
  'gen_ai.provider.name': 'openai',
  'gen_ai.request.model': 'gpt-5-mini',
  'gen_ai.response.model': 'gpt-5-mini',
  'gen_ai.usage.input_tokens': 1000,
  'gen_ai.usage.cache_read.input_tokens': 400,
  'gen_ai.usage.output_tokens': 100,
}
// 600 at 0.25, 400 at 0.025, 100 at 2 USD per million.
const chatUsd = '0.000360000'

async function post(
  world: World,
  path: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Readonly<Record<string, string>>,
): Promise<{ readonly status: number; readonly bytes: Buffer }> {
  const answer = await fetch(world.url + path, { method: 'POST', body, headers })
  return { status: answer.status, bytes: Buffer.from(await answer.arrayBuffer()) }
}

const sample = (name: string): string =>
  readFileSync(new URL(`../support/otlp/${name}.json`, import.meta.url), 'utf8')

test('the real exporters, in protobuf and JSON, packed and plain', async () => {
  await using world = await startWorld({ config })
  const key = await world.key({ agent: 'support-bot' })
  const headers = { authorization: `Bearer ${key}` }
  const url = `${world.url}/v1/traces`
  await send(new ProtoExporter({ url, headers, compression: 'gzip' as never }), [chat, chat])
  await send(new ProtoExporter({ url, headers }), [chat])
  await send(new JsonExporter({ url, headers, compression: 'gzip' as never }), [chat])
  await send(new JsonExporter({ url, headers }), [chat, { 'http.method': 'GET' }])
  await until('all have arrived', async () => (await report(world))[0]?.calls === '5')
  expect(await report(world)).toEqual([
    {
      agent: 'support-bot',
      team: 'support',
      provider: 'openai',
      model: 'gpt-5-mini',
      calls: '5',
      tokens: '5500',
      observed_usd: '0.001800000',
      unpriced_calls: '0',
      duplicates: '0',
    },
  ])
  // In no budget, in no account, in no entry.
  const [budget] = (await world.api('/budgets')) as { posted_usd?: string }[]
  expect(budget?.posted_usd ?? '0.000000000').toBe('0.000000000')
  expect(await world.api('/ledger')).toEqual([])
  const empty = { calls: '0', tokens: '0', cost_usd: '0.000000000', presumed_usd: '0.000000000' }
  const span = 'from=2026-01-01&to=2028-01-01'
  const spend = await world.api(`/reports/spend?by=team&${span}`)
  expect(spend).toEqual([{ team: 'support', ...empty, observed_usd: '0.001800000' }])
  await call(world, key, '/v1/chat/completions', chatBody('hi'))
  await until('it is settled', async () => (await world.bursar.store.openHolds()) === 0)
  const both = (await world.api(`/reports/spend?by=team&${span}`)) as Record<string, string>[]
  expect(both).toMatchObject([{ team: 'support', calls: '1', observed_usd: '0.001800000' }])
})

test('the key says who it is; a span may only fill in what the key leaves open', async () => {
  await using world = await startWorld({ config })
  const named = { ...chat, 'gen_ai.agent.name': 'other' }
  const pinned = await world.key({ agent: 'support-bot' })
  const open = await world.key({ team: 'support' })
  const url = `${world.url}/v1/traces`
  for (const key of [pinned, open]) {
    await send(new ProtoExporter({ url, headers: { authorization: `Bearer ${key}` } }), [named])
  }
  await until('both have arrived', async () => (await report(world)).length === 2)
  expect((await report(world, 'agent')).map(({ agent }) => agent)).toEqual(['other', 'support-bot'])
  // A lead sees what his subtree did, and no more.
  for (const [team, seen] of [
    ['support', [{ calls: '2' }]],
    ['sales', []],
  ] as const) {
    const body = { name: team, role: 'lead', subtree: `team=${team}` }
    const { token } = (await world.api('/tokens', body)) as { token: string }
    const rows = (await apiAt(world.url, token)('/reports/observed')) as Row[]
    expect(rows).toMatchObject(seen)
    expect(rows).toHaveLength(seen.length)
  }
})

test('a call that passed the gateway is not counted again', async () => {
  await using world = await startWorld({ config })
  const key = await world.key({ agent: 'support-bot' })
  const answer = await call(world, key, '/v1/chat/completions', chatBody('hi'))
  const id = String(answer.json().id)
  const request = answer.headers.get('x-request-id') ?? ''
  await until('it is settled', async () => (await world.bursar.store.openHolds()) === 0)
  const url = `${world.url}/v1/traces`
  const exporter = new ProtoExporter({ url, headers: { authorization: `Bearer ${key}` } })
  await send(exporter, [
    { ...chat, 'gen_ai.response.id': id },
    { ...chat, 'gen_ai.response.id': request },
    { ...chat, 'gen_ai.response.id': 'chatcmpl-elsewhere' },
  ])
  await until('all have arrived', async () => {
    const [row] = await report(world, '')
    return Number(row?.calls) + Number(row?.duplicates) === 3
  })
  expect((await report(world, ''))[0]).toMatchObject({ calls: '1', duplicates: '2' })
})

test("Claude Code's log and the sample span, twice", async () => {
  await using world = await startWorld({ config })
  const key = await world.key({ agent: 'support-bot' })
  const headers = { 'x-api-key': key, 'content-type': 'application/json' }
  // The samples are of the day the tests were written, which may lie ahead of the clock.
  const now = `${Date.now() - 60_000}000000`
  const log = sample('claude_code_api_request_log').replaceAll('1795469400000000000', now)
  const span = sample('genai_span').replaceAll(/179546940[01]000000000/g, now)
  for (let i = 0; i < 2; i += 1) {
    const answers = [
      await post(world, '/v1/logs', log, headers),
      await post(world, '/v1/traces', span, headers),
    ]
    expect(answers.map(({ status, bytes }) => [status, String(bytes)])).toEqual([
      [200, '{}'],
      [200, '{}'],
    ])
  }
  const rows = await report(world, 'provider,model')
  expect(rows.map(({ model, calls, unpriced_calls }) => [model, calls, unpriced_calls])).toEqual([
    ['claude-sonnet-4-6', '1', '0'],
    ['claude-sonnet-5-5', '1', '0'],
  ])
  // 2048 at 3, 1800 at 0.3, 248 at 3.75, 503 at 15 USD per million.
  expect(rows[0]?.observed_usd).toBe('0.015159000')
})

test('what is rejected is counted and said, and the rest is kept', async () => {
  await using world = await startWorld({ config })
  const key = await world.key({ agent: 'support-bot' })
  const headers = { 'x-api-key': key, 'content-type': 'application/json' }
  const good = JSON.parse(sample('genai_span')) as {
    resourceSpans: { scopeSpans: { spans: Record<string, unknown>[] }[] }[]
  }
  const [span = {}] = good.resourceSpans[0]?.scopeSpans[0]?.spans ?? []
  const startTimeUnixNano = `${Date.now() - 5000}000000`
  const times = { startTimeUnixNano, endTimeUnixNano: startTimeUnixNano }
  const late = { startTimeUnixNano: '1000000000000', endTimeUnixNano: '2000000000000' }
  const spans = [
    { ...span, ...times },
    { ...span, ...times, spanId: 'zz' },
    { ...span, ...late, spanId: 'aaaaaaaaaaaaaaaa' },
  ]
  const body = JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans }] }] })
  const answer = await post(world, '/v1/traces', body, headers)
  expect(answer.status).toBe(200)
  expect(JSON.parse(String(answer.bytes))).toEqual({
    partialSuccess: {
      rejectedSpans: '2',
      errorMessage: 'chat claude-sonnet-4-6: it has no trace and span id',
    },
  })
  expect((await report(world, ''))[0]?.calls).toBe('1')
})

test('an unknown model is counted, costs nothing, and reports say so', async () => {
  await using world = await startWorld({ config })
  const key = await world.key({ agent: 'support-bot' })
  const exporter = new ProtoExporter({
    url: `${world.url}/v1/traces`,
    headers: { authorization: `Bearer ${key}` },
  })
  const unknown = { ...chat, 'gen_ai.request.model': 'x-1', 'gen_ai.response.model': 'x-1' }
  await send(exporter, [unknown, chat])
  await until('both have arrived', async () => (await report(world)).length === 2)
  expect((await report(world, ''))[0]).toMatchObject({
    calls: '2',
    unpriced_calls: '1',
    observed_usd: chatUsd,
  })
})

test('what is not telemetry is refused, in the words of its encoding', async () => {
  await using world = await startWorld({ config })
  const key = await world.key({ agent: 'support-bot' })
  const json = { 'x-api-key': key, 'content-type': 'application/json' }
  const proto = { 'x-api-key': key, 'content-type': 'application/x-protobuf' }
  const bomb = new Uint8Array(gzipSync(Buffer.alloc(20 * 1024 * 1024, 0x20)))
  const large = new Uint8Array(5 * 1024 * 1024)
  const cases: readonly (readonly [
    body: string | Uint8Array<ArrayBuffer>,
    headers: Readonly<Record<string, string>>,
    status: number,
    message: RegExp,
  ])[] = [
    ['{}', { 'content-type': 'application/json' }, 401, /No key/],
    ['{}', { ...json, 'x-api-key': 'vk_wrong' }, 401, /not known/],
    ['{', json, 400, /not valid JSON/],
    ['[]', json, 400, /not an object/],
    ['{"resourceSpans":[3]}', json, 400, /resourceSpans\[0\] is not an object/],
    [new Uint8Array([1, 2, 3]), proto, 400, /not OTLP protobuf/],
    [new Uint8Array([0x0b]), proto, 400, /not OTLP protobuf: a group/],
    ['{}', { ...json, 'content-type': 'text/plain' }, 415, /Send application/],
    ['{}', { ...json, 'content-encoding': 'br' }, 415, /plain or as gzip/],
    ['{}', { ...json, 'content-encoding': 'gzip' }, 400, /not gzip/],
    [bomb, { ...json, 'content-encoding': 'gzip' }, 413, /unpacks to more than 16 MiB/],
    [large, json, 413, /larger than 4 MiB/],
  ]
  for (const [body, headers, status, message] of cases) {
    const answer = await post(world, '/v1/traces', body, headers)
    expect([answer.status, String(answer.bytes)], String(message)).toEqual([
      status,
      expect.stringMatching(message),
    ])
  }
  const metrics = await post(world, '/v1/metrics', '{"resourceMetrics":[]}', json)
  expect([metrics.status, String(metrics.bytes)]).toEqual([200, '{}'])
  expect(await report(world)).toEqual([])
})

test('no text of a prompt or an answer is kept', async () => {
  await using world = await startWorld({ config })
  const key = await world.key({ agent: 'support-bot' })
  const canary = 'canary-7f3a'
  const exporter = new ProtoExporter({
    url: `${world.url}/v1/traces`,
    headers: { authorization: `Bearer ${key}` },
  })
  await send(exporter, [
    {
      ...chat,
      'gen_ai.input.messages': `[{"content":"${canary}"}]`,
      'gen_ai.prompt.0.content': canary,
      'llm.input_messages.0.message.content': canary,
      'ai.prompt': canary,
      // A name that is far too long for one is text.
      'gen_ai.conversation.id': canary.repeat(40),
    },
  ])
  await until('it has arrived', async () => (await report(world)).length === 1)
  const files = readdirSync(world.dataFolder).filter((name) => name.startsWith('bursar.db'))
  expect(files.length).toBeGreaterThan(0)
  for (const name of files) {
    expect(readFileSync(join(world.dataFolder, name)).includes(canary), name).toBe(false)
  }
})
