/**
 * A provider's usage, streamed or not, split at any byte: one reading and one cost. The fixtures of
 * `usage/` hold what their sources document; the tables below are what else can happen.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { charge } from '#core/charge.ts'
import { type PriceRow, priceOf } from '#core/price-book.ts'
import { instant } from '#core/time.ts'
import { type Meter, meters, type UsageReport } from '#core/usage.ts'
import { loadPriceBook } from '#system/price-files.ts'
import type { ParsedCall } from '#wire/dialect.ts'
import { dialectOf } from '#wire/dialects.ts'
import { matchEndpoint } from '#wire/routes.ts'

type Counts = Partial<Record<Meter, number>>
type Kind = 'chat' | 'responses' | 'embeddings' | 'anthropic' | 'gemini'

const book = loadPriceBook()
const at = instant(Date.UTC(2026, 10, 24))
const models: Readonly<Record<Kind, string>> = {
  chat: 'gpt-6-sol',
  responses: 'gpt-6-sol',
  embeddings: 'text-embedding-3-small',
  anthropic: 'claude-sonnet-4-6',
  gemini: 'gemini-2.5-pro',
}
const requests: Readonly<Record<Kind, readonly [path: string, body: unknown]>> = {
  chat: ['/v1/chat/completions', { messages: [{ role: 'user', content: 'x' }] }],
  responses: ['/v1/responses', { input: 'x' }],
  embeddings: ['/v1/embeddings', { input: 'x' }],
  anthropic: ['/v1/messages', { max_tokens: 9, messages: [{ role: 'user', content: 'x' }] }],
  gemini: [
    '/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse',
    { contents: [{ parts: [{ text: 'x' }] }] },
  ],
}

function callOf(kind: Kind, stream: boolean, asked = true): ParsedCall {
  const [path, body] = requests[kind]
  const matched = matchEndpoint('POST', path)
  if (matched.kind !== 'endpoint') throw new Error(path)
  const options = asked ? { stream_options: { include_usage: true } } : {}
  const streamed = stream ? { stream: true, ...(kind === 'chat' ? options : {}) } : {}
  const named = kind === 'gemini' ? body : { model: models[kind], ...(body as object), ...streamed }
  const parsed = dialectOf(matched.endpoint.dialect).parse(
    matched.endpoint,
    Buffer.from(JSON.stringify(named)),
  )
  if (!parsed.ok) throw new Error(parsed.problem.message)
  return parsed.value
}

function dialectFor(kind: Kind) {
  return dialectOf(kind === 'anthropic' ? 'anthropic' : kind === 'gemini' ? 'google' : 'openai')
}

function read(kind: Kind, body: unknown): UsageReport {
  return dialectFor(kind).readUsage(callOf(kind, false), Buffer.from(JSON.stringify(body)))
}

interface Metered {
  readonly report: UsageReport
  readonly out: string
  readonly complete: boolean
}

function meter(kind: Kind, chunks: readonly Uint8Array[], asked = true): Metered {
  const stream = dialectFor(kind).meterStream(callOf(kind, true, asked))
  const out = chunks.map((chunk) => Buffer.from(stream.push(chunk)))
  const { rest, report, complete } = stream.end()
  return { report, complete, out: Buffer.concat([...out, Buffer.from(rest)]).toString() }
}

/** The same answer as a stream of this dialect. */
function streamOf(kind: Kind, body: Record<string, unknown>): string {
  const event = (value: unknown, name?: string): string =>
    `${name === undefined ? '' : `event: ${name}\n`}data: ${JSON.stringify(value)}\n\n`
  switch (kind) {
    case 'chat': {
      const head = { id: body.id, model: body.model, service_tier: body.service_tier }
      const delta = { ...head, choices: [{ index: 0, delta: { content: 'a "usage" b' } }] }
      const last = { ...head, choices: [], usage: body.usage }
      return `${event({ ...delta, usage: null })}${event(last)}data: [DONE]\n\n`
    }
    case 'anthropic': {
      const usage = body.usage as Record<string, unknown>
      const start = { ...body, usage: { ...usage, output_tokens: 1 } }
      const delta = { stop_reason: 'end_turn' }
      return [
        event({ type: 'message_start', message: start }, 'message_start'),
        event({ type: 'ping' }, 'ping'),
        event({ type: 'content_block_delta', index: 0, delta: { text: 'usage' } }),
        event({ type: 'message_delta', delta, usage }, 'message_delta'),
        event({ type: 'message_stop' }, 'message_stop'),
      ].join('')
    }
    case 'gemini': {
      const { usageMetadata, ...rest } = body
      const first = { ...rest, usageMetadata: { promptTokenCount: 1, totalTokenCount: 1 } }
      const candidates = [{ finishReason: 'STOP', ...((rest.candidates as object[])?.[0] ?? {}) }]
      return event(first) + event({ ...rest, candidates, usageMetadata })
    }
    default: {
      const created = { type: 'response.created', response: { ...body, usage: null } }
      return (
        event(created, 'response.created') +
        event({ type: 'response.completed', response: body }, 'response.completed')
      )
    }
  }
}

function plain(counts: Counts | undefined): Counts {
  return Object.fromEntries(
    meters.flatMap((name) => ((counts?.[name] ?? 0) > 0 ? [[name, counts?.[name]]] : [])),
  )
}

function costOf(report: UsageReport, model: string): string {
  const row = priceOf(book, model, at)
  if (row === null) throw new Error(model)
  const lookup = (name: string): PriceRow | null => priceOf(book, name, at)
  const charged = charge(report, row, { tier: 'standard', geo: null }, lookup)
  return charged.ok ? String(charged.value.cost) : charged.problem.kind
}

/** The stream in two pieces at every byte, byte by byte, and with CRLF line ends. */
function everySplit(kind: Kind, text: string, wanted: UsageReport, asked = true): string {
  const bytes = Buffer.from(text)
  const whole = meter(kind, [bytes], asked)
  expect(whole.report).toEqual(wanted)
  expect(whole.complete).toBe(true)
  for (let i = 1; i < bytes.length; i += 1) {
    const halves = meter(kind, [bytes.subarray(0, i), bytes.subarray(i)], asked)
    if (halves.out !== whole.out || !halves.complete) throw new Error(`split at ${i}`)
    expect(halves.report).toEqual(wanted)
  }
  const single = meter(
    kind,
    [...bytes].map((byte) => Buffer.from([byte])),
    asked,
  )
  expect(single).toEqual(whole)
  expect(meter(kind, [Buffer.from(text.replaceAll('\n', '\r\n'))], asked).report).toEqual(wanted)
  return whole.out
}

interface Fixture {
  readonly body?: Record<string, unknown>
  readonly sse?: readonly (readonly [string | null, unknown])[]
  readonly expected: Readonly<Record<string, unknown>>
  readonly expected_tier?: string
}

const kinds: Readonly<Record<string, Kind>> = {
  anthropic_messages: 'anthropic',
  anthropic_stream_server_tool: 'anthropic',
  gemini_generateContent: 'gemini',
  openai_chat: 'chat',
  openai_chat_stream: 'chat',
  openai_embeddings: 'embeddings',
  openai_responses: 'responses',
  openai_responses_stream: 'responses',
}

function countsFrom(expected: Fixture['expected']): Counts {
  const tools = expected.tools as Record<string, unknown>
  const number = (name: string): number => Number(expected[name] ?? 0)
  return plain({
    input: number('input_fresh'),
    cache_read: number('cache_read'),
    cache_write_5m: number('cache_write_5m') + number('cache_write_unsplit'),
    cache_write_1h: number('cache_write_1h'),
    output: number('output'),
    web_search: Number(tools.web_search ?? 0),
    file_search: Number(tools.file_search ?? 0),
    code_session: Array.isArray(tools.containers) ? tools.containers.length : 0,
  })
}

const folder = new URL('usage/', import.meta.url)
for (const file of readdirSync(folder)) {
  test(`documented: ${file}`, () => {
    const fixture = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Fixture
    const kind = kinds[file.replace('.json', '')]
    if (kind === undefined) throw new Error(`no dialect for ${file}`)
    if (fixture.body !== undefined) {
      const report = read(kind, fixture.body)
      expect(plain(report.usage?.counts)).toEqual(countsFrom(fixture.expected))
      expect(report.usage?.reasoningTokens).toBe(fixture.expected.reasoning_in_output)
      if (kind === 'embeddings') return
      everySplit(kind, streamOf(kind, fixture.body), report)
    }
    if (fixture.sse !== undefined) {
      const text = fixture.sse
        .map(
          ([name, data]) =>
            `${name === null ? '' : `event: ${name}\n`}data: ` +
            `${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`,
        )
        .join('')
      const { report } = meter(kind, [Buffer.from(text)])
      expect(plain(report.usage?.counts)).toEqual(countsFrom(fixture.expected))
      if (fixture.expected_tier !== undefined) expect(report.tier).toBe(fixture.expected_tier)
      everySplit(kind, text, report)
    }
  })
}

type Case = readonly [name: string, usage: Record<string, unknown>, counts: Counts | null]

const openai = (prompt: number, completion: number, inner = {}, outer = {}) => ({
  prompt_tokens: prompt,
  completion_tokens: completion,
  total_tokens: prompt + completion,
  prompt_tokens_details: inner,
  completion_tokens_details: outer,
})
const chat: readonly Case[] = [
  ['plain', openai(10, 5), { input: 10, output: 5 }],
  ['no details', { prompt_tokens: 3, completion_tokens: 4 }, { input: 3, output: 4 }],
  [
    'cached',
    openai(2006, 300, { cached_tokens: 1920 }),
    { input: 86, cache_read: 1920, output: 300 },
  ],
  [
    'written',
    openai(2000, 1, { cache_write_tokens: 1500 }),
    { input: 500, cache_write_5m: 1500, output: 1 },
  ],
  [
    'cached and written',
    openai(3000, 1, { cached_tokens: 1024, cache_write_tokens: 1024 }),
    { input: 952, cache_read: 1024, cache_write_5m: 1024, output: 1 },
  ],
  ['all cached', openai(1024, 1, { cached_tokens: 1024 }), { cache_read: 1024, output: 1 }],
  ['reasoning', openai(9, 256, {}, { reasoning_tokens: 250 }), { input: 9, output: 256 }],
  [
    'rejected prediction',
    openai(9, 30, {}, { rejected_prediction_tokens: 12 }),
    { input: 9, output: 30 },
  ],
  [
    'audio',
    openai(100, 50, { audio_tokens: 80 }, { audio_tokens: 40 }),
    { input: 20, audio_input: 80, output: 10, audio_output: 40 },
  ],
  ['explicit zeros', openai(0, 0, { cached_tokens: 0 }), {}],
  [
    'null details',
    { prompt_tokens: 7, completion_tokens: 1, prompt_tokens_details: null },
    { input: 7, output: 1 },
  ],
  ['more cached than sent', openai(10, 1, { cached_tokens: 12 }), { cache_read: 12, output: 1 }],
  ['long context', openai(300_000, 10), { input: 300_000, output: 10 }],
  ['at the threshold', openai(272_000, 10), { input: 272_000, output: 10 }],
  ['negative', { prompt_tokens: -1, completion_tokens: 4 }, null],
  ['a string', { prompt_tokens: '9', completion_tokens: 4 }, null],
  ['half a token', { prompt_tokens: 1.5, completion_tokens: 4 }, null],
]
const inOut = (input: number, output: number, inner = {}) => ({
  input_tokens: input,
  output_tokens: output,
  input_tokens_details: inner,
})
const responses: readonly Case[] = [
  ['plain', inOut(10, 5), { input: 10, output: 5 }],
  [
    'cached',
    inOut(12_033, 44, { cached_tokens: 11_904 }),
    { input: 129, cache_read: 11_904, output: 44 },
  ],
  [
    'written',
    inOut(2000, 4, { cache_write_tokens: 1999 }),
    { input: 1, cache_write_5m: 1999, output: 4 },
  ],
  ['zeros', inOut(0, 0), {}],
  ['missing output', { input_tokens: 5 }, null],
]
const claude = (input: number, output: number, more = {}) => ({
  input_tokens: input,
  output_tokens: output,
  ...more,
})
const anthropic: readonly Case[] = [
  ['plain', claude(10, 5), { input: 10, output: 5 }],
  [
    'read',
    claude(10, 5, { cache_read_input_tokens: 1800 }),
    { input: 10, cache_read: 1800, output: 5 },
  ],
  [
    'written, not split',
    claude(10, 5, { cache_creation_input_tokens: 248 }),
    { input: 10, cache_write_5m: 248, output: 5 },
  ],
  [
    'written, split',
    claude(10, 5, {
      cache_creation_input_tokens: 248,
      cache_creation: { ephemeral_5m_input_tokens: 148, ephemeral_1h_input_tokens: 100 },
    }),
    { input: 10, cache_write_5m: 148, cache_write_1h: 100, output: 5 },
  ],
  [
    'written later than split',
    claude(10, 5, {
      cache_creation_input_tokens: 300,
      cache_creation: { ephemeral_5m_input_tokens: 148, ephemeral_1h_input_tokens: 100 },
    }),
    { input: 10, cache_write_5m: 200, cache_write_1h: 100, output: 5 },
  ],
  [
    'only the split',
    claude(10, 5, { cache_creation: { ephemeral_1h_input_tokens: 9 } }),
    { input: 10, cache_write_1h: 9, output: 5 },
  ],
  [
    'thinking',
    claude(10, 503, { output_tokens_details: { thinking_tokens: 300 } }),
    { input: 10, output: 503 },
  ],
  [
    'searches',
    claude(10, 5, { server_tool_use: { web_search_requests: 2 } }),
    { input: 10, output: 5, web_search: 2 },
  ],
  [
    'nulls',
    claude(10, 5, { cache_creation: null, cache_read_input_tokens: null }),
    { input: 10, output: 5 },
  ],
  [
    'compaction',
    claude(23_000, 1000, {
      iterations: [
        { type: 'compaction', input_tokens: 180_000, output_tokens: 3500 },
        { type: 'message', input_tokens: 23_000, output_tokens: 1000 },
      ],
    }),
    { input: 203_000, output: 4500 },
  ],
  ['in the US', claude(10, 5, { inference_geo: 'us' }), { input: 10, output: 5 }],
  ['zero output', claude(10, 0), { input: 10 }],
]
const gem = (prompt: number, candidates: number, more: Record<string, number> = {}) => ({
  promptTokenCount: prompt,
  candidatesTokenCount: candidates,
  totalTokenCount:
    prompt + candidates + (more.thoughtsTokenCount ?? 0) + (more.toolUsePromptTokenCount ?? 0),
  ...more,
})
const gemini: readonly Case[] = [
  ['plain', gem(10, 5), { input: 10, output: 5 }],
  ['thoughts', gem(41, 5, { thoughtsTokenCount: 343 }), { input: 41, output: 348 }],
  ['tool prompt', gem(10, 5, { toolUsePromptTokenCount: 50 }), { input: 60, output: 5 }],
  [
    'cached',
    gem(2000, 5, { cachedContentTokenCount: 1500 }),
    { input: 500, cache_read: 1500, output: 5 },
  ],
  [
    'audio',
    { ...gem(100, 5), promptTokensDetails: [{ modality: 'AUDIO', tokenCount: 60 }] },
    { input: 40, audio_input: 60, output: 5 },
  ],
  [
    'cached audio',
    {
      ...gem(100, 5, { cachedContentTokenCount: 50 }),
      promptTokensDetails: [{ modality: 'AUDIO', tokenCount: 60 }],
      cacheTokensDetails: [{ modality: 'AUDIO', tokenCount: 50 }],
    },
    { input: 40, audio_input: 10, audio_cache_read: 50, output: 5 },
  ],
  ['a total beyond its parts', { ...gem(41, 5), totalTokenCount: 389 }, { input: 41, output: 348 }],
  ['above 200 k', gem(200_001, 5), { input: 200_001, output: 5 }],
  ['at 200 k', gem(200_000, 5), { input: 200_000, output: 5 }],
  ['no candidates', { promptTokenCount: 9, totalTokenCount: 9 }, { input: 9 }],
]
const tables: Readonly<Record<string, readonly Case[]>> = { chat, responses, anthropic, gemini }

for (const [name, cases] of Object.entries(tables)) {
  const kind = name as Kind
  test.each(cases)(`${kind}: %s`, (_name, usage, counts) => {
    const model = models[kind]
    const body =
      kind === 'gemini'
        ? { candidates: [], modelVersion: model, responseId: 'r', usageMetadata: usage }
        : { id: 'r', model, usage }
    const report = read(kind, body)
    if (counts === null) expect(report.usage).toBeNull()
    else expect(plain(report.usage?.counts)).toEqual(counts)
    const text = streamOf(kind, body)
    everySplit(kind, text, report)
    const streamed = meter(kind, [Buffer.from(text)]).report
    expect(costOf(streamed, model)).toBe(costOf(report, model))
  })
}

test('there are at least 40 of these', () => {
  expect(Object.values(tables).flat().length).toBeGreaterThanOrEqual(40)
})

test('a usage chunk that only we asked for is taken out, and nothing else', () => {
  const usage = openai(10, 5)
  const text = streamOf('chat', { id: 'r', model: 'gpt-6-sol', usage })
  const report = meter('chat', [Buffer.from(text)]).report
  const out = everySplit('chat', text, report, false)
  expect(out).toBe(text.replace(/data: [^\n]*"choices":\[\],"usage"[^\n]*\n\n/, ''))
  expect(out).not.toBe(text)
  expect(everySplit('chat', text, report, true)).toBe(text)
})

test('a stream that ends before its last event is not complete', () => {
  for (const kind of ['chat', 'responses', 'anthropic', 'gemini'] as const) {
    const usage = kind === 'chat' ? openai(9, 9) : kind === 'gemini' ? gem(9, 9) : claude(9, 9)
    const body =
      kind === 'gemini'
        ? { candidates: [], modelVersion: models[kind], usageMetadata: usage }
        : { id: 'r', model: models[kind], usage }
    const [first = ''] = streamOf(kind, body).split('\n\n')
    expect(meter(kind, [Buffer.from(`${first}\n\n`)]).complete, kind).toBe(false)
  }
})
