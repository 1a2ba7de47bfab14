/**
 * A provider's usage, streamed or not, split at any byte: one reading and one cost. The fixtures of
 * `usage/` hold what their sources document; the tables below are what else can happen.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { charge } from '#core/charge.ts'
import { type PriceRow, priceOf } from '#core/price-book.ts'
import { instant } from '#core/time.ts'
import { meters, type UsageReport } from '#core/usage.ts'
import { loadPriceBook } from '#system/price-files.ts'
import { claude, type Counts, gem, openai, tables } from './usage-tables.ts'
import type { ParsedCall } from '#wire/dialect.ts'
import { dialectOf } from '#wire/dialects.ts'
import { matchEndpoint } from '#wire/routes.ts'

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
