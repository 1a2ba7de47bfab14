/**
 * What reads bytes from outside, alone: whatever comes, it answers with what it read or with its
 * own problem, and never throws. fast-check prints the seed and the smallest case it failed with.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { charge } from '#core/charge.ts'
import { quote } from '#core/quote.ts'
import type { Instant } from '#core/time.ts'
import { priceOf } from '#core/price-book.ts'
import { loadPriceBook } from '#system/price-files.ts'
import { readHeaderClaims } from '#wire/claims.ts'
import type { Endpoint, ParsedCall } from '#wire/dialect.ts'
import { dialectOf } from '#wire/dialects.ts'
import { scanJson } from '#wire/json-scan.ts'
import { matchEndpoint } from '#wire/routes.ts'
import { requestBodies } from './requests.ts'

const long = process.env.BURSAR_LONG === '1' ? 5 : 1
const priceBook = loadPriceBook()

/** Bytes of all kinds: noise, JSON, JSON that is nearly right. */
const json = fc.jsonValue({ maxDepth: 6 }).map((value) => JSON.stringify(value))
const tokens = fc.constantFrom(
  ...'{ } [ ] , : " \\ \\u0041 \\ud800 null true -1 1e999 1e5 "a" "a": 9007199254740993'.split(' '),
  ...[' ', '\n', '\u0001', '\ufeff', '你', '"__proto__":', '"model":"gpt-5-mini"'],
)
const nearJson = fc.array(tokens, { maxLength: 30 }).map((all) => all.join(''))
const bent = fc
  .tuple(json, fc.nat(), fc.string({ maxLength: 3 }))
  .map(
    ([text, at, more]) =>
      text.slice(0, at % (text.length + 1)) + more + text.slice(at % (text.length + 1)),
  )
const texts = fc.oneof(
  json,
  nearJson,
  bent,
  nearJson.map((text) => `{${text}}`),
)
const bytes: fc.Arbitrary<Uint8Array> = fc.oneof(
  texts.map((text) => Buffer.from(text)),
  fc.uint8Array({ maxLength: 60 }),
)

test('JSON: what is accepted is what JSON.parse reads, large or small; the rest is a problem', () => {
  fc.assert(
    fc.property(bytes, (body) => {
      const small = scanJson(body)
      const padded = Buffer.concat([body, Buffer.alloc(70_000, 0x20)])
      const large = scanJson(padded)
      expect(large.ok).toBe(small.ok)
      if (!small.ok || !large.ok) return
      const value = JSON.parse(Buffer.from(body).toString()) as Record<string, unknown>
      expect(small.value.value).toEqual(value)
      expect(large.value.value).toEqual(value)
      expect([...small.value.members.keys()].sort()).toEqual(Object.keys(value).sort())
      for (const [name, { start, end }] of small.value.members) {
        expect(JSON.parse(Buffer.from(body.subarray(start, end)).toString())).toEqual(value[name])
      }
      expect(body[small.value.close]).toBe(0x7d)
    }),
    { numRuns: 20_000 * long },
  )
})

const endpointOf = (target: string): Endpoint => {
  const matched = matchEndpoint('POST', target)
  if (matched.kind !== 'endpoint') throw new Error(target)
  return matched.endpoint
}
const endpoints = Object.keys(requestBodies).map(endpointOf)

test('bodies: any body is a call that can be bounded and rewritten, or a problem', () => {
  fc.assert(
    fc.property(fc.constantFrom(...endpoints), bytes, (endpoint, body) => {
      bounded(endpoint, body)
    }),
    { numRuns: 10_000 * long },
  )
  const bodies = Object.entries(requestBodies).map(([path, one]) =>
    fc.tuple(fc.constant(endpointOf(path)), one),
  )
  const change = fc.tuple(fc.string(), fc.jsonValue({ maxDepth: 2 }))
  fc.assert(
    fc.property(fc.oneof(...bodies), change, ([endpoint, body], [name, value]) => {
      bounded(endpoint, Buffer.from(JSON.stringify(body)))
      const keys = Object.keys(body)
      for (const key of [name, keys[name.length % keys.length] ?? name]) {
        bounded(endpoint, Buffer.from(JSON.stringify({ ...body, [key]: value })))
      }
    }),
    { numRuns: 10_000 * long },
  )
})

function bounded(endpoint: Endpoint, body: Uint8Array): ParsedCall | null {
  const dialect = dialectOf(endpoint.dialect)
  const parsed = dialect.parse(endpoint, body)
  if (!parsed.ok) return null
  const row = priceOf(priceBook, parsed.value.model, 1_800_000_000_000 as Instant)
  if (row !== null) expect(quote(parsed.value.shape, row).max).toBeGreaterThanOrEqual(0n)
  const { body: sent } = dialect.rewrite(parsed.value, { model: 'other', outputCap: 7 })
  const before = parsed.value.scanned.value
  const after = JSON.parse(Buffer.from(sent).toString()) as Record<string, unknown>
  const written = /^(model|stream_options|thinking|generationConfig|generation_config|max_\w+)$/
  for (const name of Object.keys(before).filter((one) => !written.test(one))) {
    expect(after[name]).toEqual(before[name])
  }
  return parsed.value
}

const calls: readonly ParsedCall[] = [
  ['/v1/chat/completions', { model: 'gpt-5-mini', messages: [{}], stream: true }],
  [
    '/v1/chat/completions',
    { model: 'gpt-5-mini', messages: [{}], stream: true, stream_options: { include_usage: true } },
  ],
  ['/v1/responses', { model: 'gpt-5-mini', input: 'x', stream: true }],
  ['/v1/messages', { model: 'claude-haiku-4-5', max_tokens: 5, messages: [{}], stream: true }],
  ['/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse', { contents: [{}] }],
].map(([path, body]) => {
  const call = bounded(endpointOf(String(path)), Buffer.from(JSON.stringify(body)))
  if (call === null) throw new Error(String(path))
  return call
})

const numbers = fc.constantFrom<unknown>(0, 5, 1000, -1, 1.5, '7', null, 2 ** 53, {}, [], undefined)
/** Objects with the members that meters look for, and with anything in them. */
const usage = fc.dictionary(
  fc.constantFrom(
    ...['prompt_tokens', 'completion_tokens', 'input_tokens', 'output_tokens', 'promptTokenCount'],
    ...['candidatesTokenCount', 'totalTokenCount', 'cache_read_input_tokens', 'iterations'],
    ...['prompt_tokens_details', 'cache_creation', 'server_tool_use', 'toString', 'trafficType'],
  ),
  fc.oneof(
    numbers,
    fc.dictionary(fc.constantFrom('cached_tokens', 'x'), numbers),
    fc.array(numbers),
  ),
)
const answer = fc.record(
  {
    id: fc.oneof(fc.string(), numbers),
    model: fc.oneof(fc.constantFrom('gpt-5-mini', 'constructor'), numbers),
    type: fc.constantFrom('message_start', 'message_delta', 'message_stop', 'response.completed'),
    usage,
    usageMetadata: usage,
    message: fc.record({ usage, model: fc.string() }, { requiredKeys: [] }),
    response: fc.record({ usage, output: fc.array(numbers) }, { requiredKeys: [] }),
    delta: fc.constantFrom({ stop_reason: 'end_turn' }, {}, null, 5),
    choices: fc.constantFrom([], [{}], null, [null], 5),
    candidates: fc.constantFrom([], [{ finishReason: 'STOP' }], [null], [{ groundingMetadata: 5 }]),
    service_tier: fc.constantFrom('default', 'constructor', '__proto__', 5, null, [[]]),
  },
  { requiredKeys: [] },
)
const ending = fc.constantFrom('\n', '\r\n', '\r')
const event = fc
  .tuple(
    fc.oneof(
      answer.map((value) => JSON.stringify(value)),
      fc.constantFrom('[DONE]', '', '{', 'null', '[]', '你好'),
      nearJson.map((text) => text.replace(/[\r\n]/g, ' ')),
    ),
    ending,
    fc.constantFrom('data: ', 'data:', 'event: x', ': ', '', 'id: 1'),
  )
  .map(([text, end, field]) => `${field}${text}${end}${end}`)
const stream = fc.oneof(
  fc.array(event, { maxLength: 8 }).map((all) => Buffer.from(all.join(''))),
  fc
    .tuple(fc.array(event, { maxLength: 4 }), fc.uint8Array({ maxLength: 40 }))
    .map(([all, noise]) => Buffer.concat([Buffer.from(all.join('')), noise])),
)

function metered(call: ParsedCall, chunks: readonly Uint8Array[]): unknown {
  const meter = dialectOf(call.endpoint.dialect).meterStream(call)
  const passed = chunks.map((chunk) => Buffer.from(meter.push(chunk)))
  const { rest, report, complete } = meter.end()
  return { bytes: Buffer.concat([...passed, rest]).toString('latin1'), report, complete }
}

function pieces(all: Uint8Array, cuts: readonly number[]): readonly Uint8Array[] {
  const at = [...new Set(cuts.map((cut) => cut % (all.length + 1)))].sort((a, b) => a - b)
  return [...at, all.length].map((end, i) => all.subarray(at[i - 1] ?? 0, end))
}

test('streams: however a stream is cut into chunks, it passes and is metered the same', () => {
  fc.assert(
    fc.property(fc.constantFrom(...calls), stream, fc.array(fc.nat()), (call, all, cuts) => {
      const whole = metered(call, [all])
      expect(metered(call, pieces(all, cuts))).toEqual(whole)
      expect(
        metered(
          call,
          Array.from(all, (byte) => Uint8Array.of(byte)),
        ),
      ).toEqual(whole)
    }),
    { numRuns: 8000 * long },
  )
})

test('usage: any answer is charged, or is nothing that can be', () => {
  const rows = ['gpt-5-mini', 'claude-haiku-4-5', 'gemini-2.5-flash'].flatMap((model) => {
    const row = priceOf(priceBook, model, 1_800_000_000_000 as Instant)
    return row === null ? [] : [row]
  })
  expect(rows).toHaveLength(3)
  const bodies = fc.oneof(
    answer.map((value) => Buffer.from(JSON.stringify(value))),
    bytes,
  )
  fc.assert(
    fc.property(fc.constantFrom(...calls), fc.constantFrom(...rows), bodies, (call, row, body) => {
      const report = dialectOf(call.endpoint.dialect).readUsage(call, body)
      const charged = charge(
        report,
        row,
        { tier: report.tier ?? 'standard', geo: report.geo },
        () => row,
      )
      if (charged.ok) expect(charged.value.cost).toBeGreaterThanOrEqual(0n)
    }),
    { numRuns: 20_000 * long },
  )
})

const headerNames =
  `bursar-agent bursar-user bursar-tags bursar-run bursar-run-id baggage session-id
  x-codex-turn-metadata x-litellm-tags x-portkey-metadata cf-aig-metadata
  helicone-property-__proto__ helicone-property-x helicone-user-id bursar-outcome`.split(/\s+/)
const headerText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom(
    'a=b',
    'a=b,a=c',
    '{"__proto__":"x"}',
    '{"a":{"b":1}}',
    '%',
    '%e4%bd',
    'x'.repeat(9000),
  ),
)

test('claims: any headers are claims that can be printed, or a problem', () => {
  const headers = fc.dictionary(
    fc.constantFrom(...headerNames),
    fc.array(headerText, { maxLength: 2 }),
  )
  fc.assert(
    fc.property(headers, (all) => {
      const read = readHeaderClaims(all)
      if (!read.ok) {
        expect(read.problem.code).toBe('invalid_request')
        return
      }
      const { explicit, hints, tags } = read.value
      const values = [explicit, hints, tags].flatMap((one) => Object.values(one))
      for (const value of values) expect(value).toMatch(/^[\x20-\x7e]{1,128}$/)
      expect(Object.getPrototypeOf({})).toBe(Object.prototype)
    }),
    { numRuns: 20_000 * long },
  )
})

test('routes: any target is one of ours in its plain form, or none', () => {
  const part = fc.constantFrom(
    ...['/v1', '/v1beta', '/openai', '/gemini', '/chat/completions', '/messages', '/models/', 'x'],
    ...[
      ':generateContent',
      '/',
      '..',
      '.',
      '%2e',
      '%2f',
      ';',
      '\\',
      '?',
      'key=',
      'alt=sse',
      '&',
      '#',
    ],
    ...['//', '\0', 'é', '%', '@', 'constructor', '__proto__', '/responses', 'alt=media'],
  )
  const target = fc.oneof(
    fc.array(part, { maxLength: 8 }).map((all) => all.join('')),
    fc.string(),
  )
  fc.assert(
    fc.property(fc.constantFrom('POST', 'GET', 'PUT'), target, (method, text) => {
      const matched = matchEndpoint(method, text)
      if (matched.kind !== 'endpoint') return
      const { upstreamPath, query } = matched.endpoint
      expect(method).toBe('POST')
      expect(upstreamPath).toMatch(/^\/v1(beta|alpha)?\/[A-Za-z0-9._:@+~/-]+$/)
      expect(upstreamPath).not.toMatch(/\/\/|\/\.{1,2}(\/|$)/)
      expect(query).toMatch(
        /^(\?(alt|beta|api-version)=[\w.-]+(&(alt|beta|api-version)=[\w.-]+)*)?$/,
      )
    }),
    { numRuns: 50_000 * long },
  )
})
