import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { type GenAiCall, readGenAi, tokensOf } from './genai.ts'
import { decodeJson } from './otlp-json.ts'
import type { Scalar, TelemetryRecord } from './telemetry.ts'

const span = (attributes: Readonly<Record<string, Scalar>>): TelemetryRecord => ({
  signal: 'traces',
  name: 'a span',
  traceId: '5b8efff798038103d269b633813fc60c',
  spanId: 'eee19b7ec3c1b174',
  startMs: 1_795_469_400_000,
  endMs: 1_795_469_401_000,
  attributes: new Map(Object.entries(attributes)),
})

function read(record: TelemetryRecord): GenAiCall | null {
  const found = readGenAi(record)
  if (!found.ok) throw new Error(found.problem)
  return found.value
}

const countsOf = (attributes: Readonly<Record<string, Scalar>>): Record<string, number> => {
  const counts = read(span(attributes))?.usage.counts ?? {}
  return Object.fromEntries(Object.entries(counts).filter(([, n]) => n > 0))
}

interface Sample {
  readonly expected: Readonly<Record<string, number>>
}

test.each([
  ['genai_span', 'traces', 'msg_S1', 'case-4711'],
  ['claude_code_api_request_log', 'logs', 'req_S1', 's-1'],
] as const)('%s: the sample', (name, signal, response, conversation) => {
  const path = new URL(`../../test/support/otlp/${name}.json`, import.meta.url)
  const text = readFileSync(path, 'utf8')
  const decoded = decodeJson(signal, text)
  if (!decoded.ok) throw new Error(decoded.problem)
  const [record] = decoded.value.records
  if (record === undefined) throw new Error('no record')
  const call = read(record)
  const { expected } = JSON.parse(text) as Sample
  expect(call?.usage.counts).toMatchObject({
    input: expected.input_fresh,
    cache_read: expected.cache_read,
    // It is not said how long it is kept: priced as the shorter.
    cache_write_5m: expected.cache_write_unsplit,
    output: expected.output,
  })
  expect(call).toMatchObject({ responseId: response, conversation })
})

test('openinference: only calls to a model, the cache within the prompt', () => {
  const tokens = {
    'llm.token_count.prompt': 1000,
    'llm.token_count.completion': 50,
    'llm.token_count.prompt_details.cache_read': 600,
    'llm.token_count.prompt_details.audio': 100,
    'llm.token_count.completion_details.reasoning': 20,
    'llm.model_name': 'gpt-5-mini',
    'llm.provider': 'openai',
  }
  const llm = { ...tokens, 'openinference.span.kind': 'LLM' }
  expect(countsOf(llm)).toEqual({ input: 300, cache_read: 600, audio_input: 100, output: 50 })
  expect(read(span(llm))).toMatchObject({ dialect: 'openinference', provider: 'openai' })
  expect(read(span({ ...tokens, 'openinference.span.kind': 'CHAIN' }))).toBeNull()
  expect(read(span({ ...tokens, 'openinference.span.kind': 'AGENT' }))).toBeNull()
})

test('openllmetry: the underscore names; workflows sum up others', () => {
  const tokens = {
    'gen_ai.system': 'Anthropic',
    'gen_ai.request.model': 'claude-sonnet-4-6',
    'gen_ai.usage.prompt_tokens': 20,
    'gen_ai.usage.completion_tokens': 7,
    'gen_ai.usage.cache_read_input_tokens': 500,
    'gen_ai.usage.cache_creation_input_tokens': 30,
  }
  const call = { ...tokens, 'llm.request.type': 'chat' }
  // Less than its parts: this version leaves the cache out.
  expect(countsOf(call)).toEqual({ input: 20, cache_read: 500, cache_write_5m: 30, output: 7 })
  expect(read(span(call))).toMatchObject({ dialect: 'openllmetry', provider: 'anthropic' })
  expect(read(span({ ...tokens, 'traceloop.span.kind': 'workflow' }))).toBeNull()
})

test('vercel: the inner span, not the one that sums up its steps', () => {
  const tokens = {
    'ai.model.id': 'gpt-5-mini',
    'ai.model.provider': 'openai.responses',
    'ai.response.id': 'resp_1',
    'ai.usage.inputTokens': 900,
    'ai.usage.cachedInputTokens': 400,
    'ai.usage.outputTokens': 60,
    'ai.usage.reasoningTokens': 10,
    'gen_ai.request.model': 'gpt-5-mini',
    'gen_ai.usage.input_tokens': 900,
    'gen_ai.usage.output_tokens': 60,
  }
  const inner = { ...tokens, 'ai.operationId': 'ai.generateText.doGenerate' }
  expect(countsOf(inner)).toEqual({ input: 500, cache_read: 400, output: 60 })
  expect(read(span(inner))).toMatchObject({ dialect: 'vercel', provider: 'openai' })
  expect(read(span({ ...tokens, 'ai.operationId': 'ai.generateText' }))).toBeNull()
  const embedding = { 'ai.operationId': 'ai.embed.doEmbed', 'ai.usage.tokens': 12 }
  expect(countsOf({ ...embedding, 'ai.model.id': 'text-embedding-3-small' })).toEqual({ input: 12 })
})

test('agents, tools and spans without usage are none', () => {
  const usage = { 'gen_ai.usage.input_tokens': 5, 'gen_ai.request.model': 'gpt-5-mini' }
  for (const operation of ['invoke_agent', 'execute_tool', 'create_agent', 'fetch_response']) {
    expect(read(span({ ...usage, 'gen_ai.operation.name': operation })), operation).toBeNull()
  }
  expect(read(span({ 'http.method': 'GET' }))).toBeNull()
  expect(read(span({ 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'm' }))).toBeNull()
})

test.each([
  [{ 'gen_ai.usage.input_tokens': -1 }, 'its input tokens are not a count'],
  [{ 'gen_ai.usage.output_tokens': 1.5 }, 'its output tokens are not a count'],
  [{ 'gen_ai.usage.input_tokens': 2e9 }, 'its input tokens are not a count'],
])('a call that cannot be counted says why: %j', (bad, why) => {
  const attributes = { 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'm' }
  const found = readGenAi(span({ ...attributes, 'gen_ai.usage.input_tokens': 1, ...bad }))
  expect(found).toEqual({ ok: false, problem: why })
})

test('no model, no id and no time are said too', () => {
  const good = { 'gen_ai.operation.name': 'chat', 'gen_ai.usage.input_tokens': 1 }
  const named = span({ ...good, 'gen_ai.request.model': 'm' })
  const problems = [span(good), { ...named, spanId: '' }, { ...named, startMs: Number.NaN }].map(
    (record) => readGenAi(record),
  )
  expect(problems).toEqual([
    { ok: false, problem: 'it names no model' },
    { ok: false, problem: 'it has no trace and span id' },
    { ok: false, problem: 'it has no start time' },
  ])
  const call = read(named)
  expect(call === null ? 0 : tokensOf(call.usage)).toBe(1)
})
