/** Requests for the fuzzer: valid ones of every dialect, and what chance makes of them. */
import fc from 'fast-check'

export interface Shot {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

const words = fc.constantFrom('hi', 'tell me', 'a'.repeat(300), '{"a":1}', '你好', '\\', '"', '')
const user = fc.record({ role: fc.constantFrom('user', 'assistant', 'system'), content: words })
const messages = fc.array(user, { minLength: 1, maxLength: 4 })
const cap = fc.constantFrom(1, 16, 64, 200)

/** One well-formed request an operation; each costs a fraction of a cent. */
export const requestBodies: Readonly<Record<string, fc.Arbitrary<Record<string, unknown>>>> = {
  '/v1/chat/completions': fc.record(
    {
      model: fc.constantFrom('gpt-5-mini', 'gpt-5-nano', 'gpt-5-mini-2025-08-07', 'no-such-model'),
      messages,
      max_tokens: cap,
      stream: fc.boolean(),
      n: fc.constantFrom(1, 2),
      user: words,
      metadata: fc.constantFrom({ a: 'b' }, {}),
      tools: fc.constantFrom([], [{ type: 'function', function: { name: 'f', parameters: {} } }]),
    },
    { requiredKeys: ['model', 'messages', 'max_tokens'] },
  ),
  '/v1/responses': fc.record(
    {
      model: fc.constantFrom('gpt-5-mini', 'gpt-5-nano'),
      input: fc.oneof(words, messages),
      max_output_tokens: cap,
      stream: fc.boolean(),
      instructions: words,
      previous_response_id: fc.constant('resp_1'),
    },
    { requiredKeys: ['model', 'input', 'max_output_tokens'] },
  ),
  '/v1/embeddings': fc.record({ model: fc.constant('text-embedding-3-small'), input: words }),
  '/v1/messages': fc.record(
    {
      model: fc.constantFrom('claude-haiku-4-5', 'claude-sonnet-4-5'),
      max_tokens: cap,
      messages,
      stream: fc.boolean(),
      system: words,
      metadata: fc.record({ user_id: words }),
    },
    { requiredKeys: ['model', 'max_tokens', 'messages'] },
  ),
  '/v1/messages/count_tokens': fc.record({ model: fc.constant('claude-haiku-4-5'), messages }),
  '/v1beta/models/gemini-2.5-flash:generateContent': fc.record({
    contents: fc.array(
      fc.record({ parts: fc.array(fc.record({ text: words }), { minLength: 1 }) }),
    ),
    generationConfig: fc.record({ maxOutputTokens: cap }),
  }),
  '/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse': fc.record({
    contents: fc.array(
      fc.record({ parts: fc.array(fc.record({ text: words }), { minLength: 1 }) }),
    ),
    generationConfig: fc.record({ maxOutputTokens: cap }),
  }),
}

const directives = fc.constantFrom(
  ...['', '', '', 'tokens=3', 'status=400', 'status=429', 'status=500', 'status=503', 'status=529'],
  ...[
    'reset=1',
    'cut=after:0',
    'cut=after:2',
    'malformed=1',
    'usage=missing',
    'gzip=1',
    'tier=gold',
  ],
  ...['overbill=50', 'chunks=40; tokens=80', 'nonsense', 'delay=2', 'status=200', 'input=5'],
)

const strange = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom<unknown>(null, -1, 0, 1.5, 1e308, 2 ** 53, '', 'x', [], {}, true, [[]], [null]),
  fc.record({ __proto__: fc.constant(null), type: fc.string(), toString: fc.constant('x') }),
)

const names =
  `model messages stream max_tokens max_completion_tokens n tools tool_choice user metadata
  input contents generationConfig thinking service_tier cache_control system stop seed toString
  constructor prototype background store prompt conversation instructions cachedContent labels audio
  modalities stream_options reasoning web_search_options inference_geo speed container`.split(/\s+/)

/** A change somewhere in a JSON value: another value, a member more, a member less. */
type Mutation = readonly [name: string, at: number, value: unknown, how: number]
const mutation: fc.Arbitrary<Mutation> = fc.tuple(
  fc.constantFrom(...names),
  fc.nat(1000),
  strange,
  fc.nat(3),
)

function mutated(
  body: Record<string, unknown>,
  [name, at, value, how]: Mutation,
): Record<string, unknown> {
  const copy = structuredClone(body)
  const places: Record<string, unknown>[] = []
  const walk = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return
    if (!Array.isArray(node)) places.push(node as Record<string, unknown>)
    for (const inner of Object.values(node)) walk(inner)
  }
  walk(copy)
  const place = places[at % places.length] ?? copy
  const keys = Object.keys(place)
  const key = how === 0 ? name : (keys[at % Math.max(1, keys.length)] ?? name)
  if (how === 1) delete place[key]
  else Object.defineProperty(place, key, { value, enumerable: true, configurable: true })
  return copy
}

/** Changes to the bytes: one flipped, some doubled, cut off, or thrown in. */
type Scar = readonly [how: string, at: number, byte: number]
const scar: fc.Arbitrary<Scar> = fc.tuple(
  fc.constantFrom('flip', 'cut', 'insert', 'double'),
  fc.nat(),
  fc.nat(255),
)

function scarred(bytes: Uint8Array, [how, at, byte]: Scar): Uint8Array {
  const i = bytes.length === 0 ? 0 : at % bytes.length
  switch (how) {
    case 'flip':
      return Uint8Array.from(bytes, (old, j) => (j === i ? byte : old))
    case 'cut':
      return bytes.subarray(0, i)
    case 'insert':
      return Buffer.concat([bytes.subarray(0, i), Buffer.from([byte]), bytes.subarray(i)])
    default:
      return Buffer.concat([bytes.subarray(0, i), bytes.subarray(i >> 1)])
  }
}

const headerNames = `bursar-agent bursar-user bursar-tenant bursar-environment bursar-conversation
  bursar-run bursar-tags bursar-outcome idempotency-key x-api-key api-key authorization baggage
  content-type content-encoding helicone-user-id x-litellm-tags x-portkey-metadata user-agent
  x-codex-turn-metadata originator anthropic-version anthropic-beta x-goog-api-key
  expect traceparent helicone-property-a x-claude-code-session-id`.split(/\s+/)

/** Visible ASCII and Latin-1: what a header may hold at all. */
const headerValue = fc.oneof(
  fc.string({ maxLength: 40 }).map((text) => text.replace(/[^\x20-\x7e]/g, '')),
  fc.constantFrom(
    'a=b,c=d',
    '{"a":"b"}',
    '{',
    'x'.repeat(129),
    '%ff%00',
    'gzip',
    'codex_cli/1',
    '\xff',
  ),
  fc
    .uint8Array({ maxLength: 12 })
    .map((all) =>
      Buffer.from(all.map((byte) => (byte < 0x20 || byte === 0x7f ? 0x61 : byte))).toString(
        'latin1',
      ),
    ),
)
const headers = fc.dictionary(fc.constantFrom(...headerNames), headerValue, { maxKeys: 3 })

const odd = fc
  .string({ maxLength: 12, unit: fc.constantFrom(...'abv1/.:;%2e_-~@+?&=#\\*models') })
  .map((text) => `/${text}`)

const paths = Object.keys(requestBodies)
const targets = Object.entries(requestBodies).map(([path, bodies]) =>
  bodies.map((body) => ({ path, body })),
)

/** Null, but for one time in `times`. */
const seldom = <Value>(times: number, one: fc.Arbitrary<Value>): fc.Arbitrary<Value | null> =>
  fc.oneof({ arbitrary: fc.constant(null), weight: times - 1 }, { arbitrary: one, weight: 1 })

/** Half are well-formed; the rest are changed in one way or another, or in several. */
export const shot = (key: string): fc.Arbitrary<Shot> =>
  fc
    .record({
      target: fc.oneof(...targets),
      bent: seldom(10, fc.tuple(odd, fc.nat(2))),
      mutations: fc.oneof(
        { arbitrary: fc.constant<Mutation[]>([]), weight: 3 },
        { arbitrary: fc.array(mutation, { maxLength: 3 }), weight: 2 },
      ),
      scars: fc.oneof(
        { arbitrary: fc.constant<Scar[]>([]), weight: 4 },
        { arbitrary: fc.array(scar, { maxLength: 3 }), weight: 1 },
      ),
      headers: fc.oneof(
        { arbitrary: fc.constant({}), weight: 3 },
        { arbitrary: headers, weight: 2 },
      ),
      directive: directives,
      method: fc.oneof(
        { arbitrary: fc.constant('POST'), weight: 30 },
        { arbitrary: fc.constantFrom('GET', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'), weight: 1 },
      ),
      elsewhere: seldom(20, fc.constantFrom(...paths)),
    })
    .map((drawn) => {
      const to = drawn.elsewhere ?? drawn.target.path
      const body = drawn.mutations.reduce(mutated, drawn.target.body)
      const bytes = drawn.scars.reduce(scarred, Buffer.from(JSON.stringify(body)) as Uint8Array)
      const [tail, how] = drawn.bent ?? ['', 0]
      const path = how === 1 ? tail : how === 2 ? tail + to : to + tail
      return {
        method: drawn.method,
        path: drawn.bent === null ? to : path.replace(/[^\x21-\x7e]/g, '-'),
        headers: { 'x-api-key': key, 'bursar-sim': drawn.directive, ...drawn.headers },
        body: bytes,
      }
    })
