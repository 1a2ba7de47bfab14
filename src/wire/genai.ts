/**
 * Calls to models in telemetry: the OpenTelemetry GenAI conventions, OpenInference, OpenLLMetry,
 * the Vercel AI SDK, Claude Code's log. Each nests its usage in its own way; what comes out is the
 * disjoint classes of `core/usage.ts`. Spans that only sum up others (agents, chains, tools) are
 * none.
 */
import { count, type Meter, type Usage } from '#core/usage.ts'
import { failed, type Result, succeeded } from '#lib/result.ts'
import type { Attributes, TelemetryRecord } from './telemetry.ts'

export type TelemetryDialect =
  | 'semconv'
  | 'openinference'
  | 'openllmetry'
  | 'vercel'
  | 'claude_code'

export interface GenAiCall {
  readonly dialect: TelemetryDialect
  /** The same record has the same id, whenever and wherever it arrives. */
  readonly id: string
  readonly provider: string | null
  /** That answered, else that was asked for. */
  readonly model: string
  readonly asked: string | null
  /** The provider's id of the answer or of the request: by it calls of the gateway are known. */
  readonly responseId: string | null
  readonly usage: Usage
  readonly tier: string
  readonly conversation: string | null
  readonly agent: string | null
  readonly user: string | null
  readonly startMs: number
  readonly endMs: number
}

/** Null: no call to a model, or one without usage. A problem: why a call cannot be counted. */
export function readGenAi(record: TelemetryRecord): Result<GenAiCall | null, string> {
  const found = dialectOf(record)
  if (found === null) return succeeded(null)
  const { attributes } = record
  const shape = shapes[found]
  const amounts = shape.amounts(attributes)
  if (amounts.input === null && amounts.output === null) return succeeded(null)
  const bad = Object.entries(amounts).find(([, n]) => n !== null && !isCount(n))
  if (bad !== undefined) return failed(`its ${bad[0]} tokens are not a count`)
  const [asked, answered] = [first(attributes, shape.asked), first(attributes, shape.answered)]
  const model = answered ?? asked
  if (model === null) return failed('it names no model')
  const id = idOf(record, found, model)
  if (id === null) return failed('it has no trace and span id')
  if (!Number.isFinite(record.startMs) || record.startMs <= 0) return failed('it has no start time')
  const durationMs = numberOf(attributes, 'duration_ms')
  const endMs = Number.isFinite(record.endMs)
    ? Math.max(record.endMs, record.startMs)
    : record.startMs
  return succeeded({
    dialect: found,
    id,
    provider: shape.provider(attributes),
    model,
    asked,
    responseId: first(attributes, shape.responseId),
    usage: usageOf(amounts, found === 'claude_code'),
    tier: tierOf(attributes),
    conversation: first(attributes, conversations),
    agent: first(attributes, ['gen_ai.agent.name', 'agent.name']),
    user: first(attributes, users),
    // A log record is written when the call is over.
    startMs: Math.trunc(record.startMs - (found === 'claude_code' ? (durationMs ?? 0) : 0)),
    endMs: Math.trunc(endMs),
  })
}

const conversations = [
  'gen_ai.conversation.id',
  'session.id',
  'traceloop.association.properties.session_id',
  'ai.telemetry.metadata.sessionId',
]
const users = [
  'user.id',
  'traceloop.association.properties.user_id',
  'ai.telemetry.metadata.userId',
  'user.account_uuid',
]

/** As they are said: with or without the cache in `input`. Null: not said. */
interface Amounts {
  readonly input: number | null
  readonly output: number | null
  readonly cacheRead: number | null
  readonly cacheWrite: number | null
  readonly audioIn: number | null
  readonly audioOut: number | null
  readonly reasoning: number | null
}

interface Shape {
  readonly amounts: (attributes: Attributes) => Amounts
  readonly asked: readonly string[]
  readonly answered: readonly string[]
  readonly responseId: readonly string[]
  readonly provider: (attributes: Attributes) => string | null
}

const calls = new Set(['chat', 'text_completion', 'completion', 'generate_content', 'embeddings'])
const genAiEvent = 'gen_ai.client.inference.operation.details'

function dialectOf({ signal, name, attributes }: TelemetryRecord): TelemetryDialect | null {
  const event = textOf(attributes, 'event.name') ?? name
  if (signal === 'logs') {
    if (event === 'api_request' || event === 'claude_code.api_request') return 'claude_code'
    if (event !== genAiEvent) return null
  }
  const kind = textOf(attributes, 'openinference.span.kind')
  if (kind !== null) return kind === 'LLM' || kind === 'EMBEDDING' ? 'openinference' : null
  const operation = textOf(attributes, 'ai.operationId')
  // The outer span sums up those of its steps.
  if (operation !== null) return /\.do[A-Z]\w*$/.test(operation) ? 'vercel' : null
  if (attributes.has('traceloop.span.kind')) return null
  const request = textOf(attributes, 'llm.request.type')
  if (request !== null) return 'openllmetry'
  const said = textOf(attributes, 'gen_ai.operation.name')
  if (said !== null) return calls.has(said) ? 'semconv' : null
  return attributes.has('gen_ai.request.model') ? 'semconv' : null
}

const byGenAi: Shape = {
  amounts: (a) => ({
    input: amount(a, ['gen_ai.usage.input_tokens', 'gen_ai.usage.prompt_tokens']),
    output: amount(a, ['gen_ai.usage.output_tokens', 'gen_ai.usage.completion_tokens']),
    cacheRead: amount(a, [
      'gen_ai.usage.cache_read.input_tokens',
      'gen_ai.usage.cache_read_input_tokens',
      'gen_ai.usage.input_tokens.cached',
    ]),
    cacheWrite: amount(a, [
      'gen_ai.usage.cache_creation.input_tokens',
      'gen_ai.usage.cache_creation_input_tokens',
    ]),
    audioIn: null,
    audioOut: null,
    reasoning: amount(a, ['gen_ai.usage.reasoning.output_tokens', 'gen_ai.usage.reasoning_tokens']),
  }),
  asked: ['gen_ai.request.model'],
  answered: ['gen_ai.response.model'],
  responseId: ['gen_ai.response.id'],
  provider: (a) => first(a, ['gen_ai.provider.name', 'gen_ai.system'])?.toLowerCase() ?? null,
}

const shapes: Readonly<Record<TelemetryDialect, Shape>> = {
  semconv: byGenAi,
  openllmetry: byGenAi,
  openinference: {
    amounts: (a) => ({
      input: amount(a, ['llm.token_count.prompt']),
      output: amount(a, ['llm.token_count.completion']),
      cacheRead: amount(a, ['llm.token_count.prompt_details.cache_read']),
      cacheWrite: amount(a, ['llm.token_count.prompt_details.cache_write']),
      audioIn: amount(a, ['llm.token_count.prompt_details.audio']),
      audioOut: amount(a, ['llm.token_count.completion_details.audio']),
      reasoning: amount(a, ['llm.token_count.completion_details.reasoning']),
    }),
    asked: ['llm.model_name', 'embedding.model_name', 'gen_ai.request.model'],
    answered: ['gen_ai.response.model'],
    responseId: ['gen_ai.response.id'],
    provider: (a) => first(a, ['llm.provider', 'llm.system'])?.toLowerCase() ?? null,
  },
  vercel: {
    amounts: (a) => ({
      input: amount(a, [
        'ai.usage.inputTokens',
        'ai.usage.promptTokens',
        'ai.usage.tokens',
        'gen_ai.usage.input_tokens',
      ]),
      output: amount(a, [
        'ai.usage.outputTokens',
        'ai.usage.completionTokens',
        'gen_ai.usage.output_tokens',
      ]),
      cacheRead: amount(a, [
        'ai.usage.inputTokenDetails.cacheReadTokens',
        'ai.usage.cachedInputTokens',
      ]),
      cacheWrite: amount(a, ['ai.usage.inputTokenDetails.cacheWriteTokens']),
      audioIn: null,
      audioOut: null,
      reasoning: amount(a, ['ai.usage.reasoningTokens']),
    }),
    asked: ['ai.model.id', 'gen_ai.request.model'],
    answered: ['ai.response.model', 'gen_ai.response.model'],
    responseId: ['ai.response.id', 'gen_ai.response.id'],
    // `openai.responses` is the provider and its API.
    provider: (a) =>
      first(a, ['ai.model.provider', 'gen_ai.system'])?.toLowerCase().split('.')[0] ?? null,
  },
  claude_code: {
    amounts: (a) => ({
      input: amount(a, ['input_tokens']),
      output: amount(a, ['output_tokens']),
      cacheRead: amount(a, ['cache_read_tokens']),
      cacheWrite: amount(a, ['cache_creation_tokens']),
      audioIn: null,
      audioOut: null,
      reasoning: null,
    }),
    asked: ['model'],
    answered: [],
    responseId: ['request_id'],
    provider: () => 'anthropic',
  },
}

/**
 * The conventions count the cache into the input; where the input is less than its parts, this
 * instrumentation leaves it out. A write that does not say how long it is kept is the shorter.
 */
function usageOf(amounts: Amounts, apart: boolean): Usage {
  const [input, output] = [amounts.input ?? 0, amounts.output ?? 0]
  const [read, written] = [amounts.cacheRead ?? 0, amounts.cacheWrite ?? 0]
  const [audioIn, audioOut] = [amounts.audioIn ?? 0, amounts.audioOut ?? 0]
  const within = read + written + audioIn
  const counts: Partial<Record<Meter, number>> = {
    input: apart || input < within ? input : input - within,
    cache_read: read,
    cache_write_5m: written,
    audio_input: audioIn,
    output: output < audioOut ? output : output - audioOut,
    audio_output: audioOut,
  }
  return { counts, reasoningTokens: amounts.reasoning ?? 0 }
}

/** Of prompt and answer. */
export function tokensOf(usage: Usage): number {
  const all = ['input', 'cache_read', 'cache_write_5m', 'audio_input', 'output', 'audio_output']
  return all.reduce((sum, meter) => sum + count(usage, meter as Meter), 0)
}

const tiers: Readonly<Record<string, string>> = { default: 'standard', auto: 'standard' }

function tierOf(attributes: Attributes): string {
  if (textOf(attributes, 'speed') === 'fast') return 'fast'
  const said = first(attributes, [
    'openai.response.service_tier',
    'gen_ai.openai.response.service_tier',
    'openai.request.service_tier',
    'gen_ai.openai.request.service_tier',
  ])
  if (said === null) return 'standard'
  return Object.hasOwn(tiers, said) ? (tiers[said] ?? said) : said
}

function idOf(record: TelemetryRecord, dialect: TelemetryDialect, model: string): string | null {
  const { traceId, spanId, attributes } = record
  if (dialect === 'claude_code') {
    const request = textOf(attributes, 'request_id')
    if (request !== null) return `log:${request}`
    const parts = [
      'session.id',
      'event.timestamp',
      'event.sequence',
      'input_tokens',
      'output_tokens',
    ]
    const said = parts.map((part) => String(attributes.get(part) ?? ''))
    return `log:${[model, record.startMs, ...said].join('|')}`
  }
  const isHex = /^[0-9a-f]{32}$/.test(traceId) && /^[0-9a-f]{16}$/.test(spanId)
  const isNone = /^0*$/.test(traceId) || /^0*$/.test(spanId)
  return isHex && !isNone ? `span:${traceId}:${spanId}` : null
}

/** Beyond this a count is wrong. */
const tokensMax = 1_000_000_000

const isCount = (n: number): boolean => Number.isInteger(n) && n >= 0 && n <= tokensMax

function amount(attributes: Attributes, names: readonly string[]): number | null {
  for (const name of names) {
    const value = numberOf(attributes, name)
    if (value !== null) return value
  }
  return null
}

/** Some exporters send numbers as text. */
function numberOf(attributes: Attributes, name: string): number | null {
  const value = attributes.get(name)
  if (typeof value === 'number') return value
  return typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : null
}

function textOf(attributes: Attributes, name: string): string | null {
  const value = attributes.get(name)
  return typeof value === 'string' && value !== '' ? value : null
}

function first(attributes: Attributes, names: readonly string[]): string | null {
  for (const name of names) {
    const value = textOf(attributes, name)
    if (value !== null) return value
  }
  return null
}
