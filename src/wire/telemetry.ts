/**
 * What of OpenTelemetry's spans and log records is read: a list of attributes, and none that could
 * hold a prompt or an answer. Encodings: `otlp-json.ts`, `otlp-proto.ts`; meaning: `genai.ts`.
 */

export type Signal = 'traces' | 'logs'
export type Scalar = string | number | boolean
export type Attributes = ReadonlyMap<string, Scalar>

export interface TelemetryRecord {
  readonly signal: Signal
  /** A span's name; a log record's event name, or its body where that is short. */
  readonly name: string
  /** Lower-case hex, or empty where a log record belongs to no span. */
  readonly traceId: string
  readonly spanId: string
  /** Milliseconds since 1970; NaN where it is not a time. */
  readonly startMs: number
  readonly endMs: number
  readonly attributes: Attributes
}

export interface Decoded {
  readonly records: readonly TelemetryRecord[]
  /** Beyond `recordsMax`: not read. */
  readonly left: number
}

/** In one request. */
export const recordsMax = 5000
/** Values that are longer are not read: a name or an id is not. */
export const valueMax = 256

/** The only attributes that are kept in memory, however many a span has. */
const wanted: ReadonlySet<string> = new Set([
  'gen_ai.operation.name',
  'gen_ai.provider.name',
  'gen_ai.system',
  'gen_ai.request.model',
  'gen_ai.response.model',
  'gen_ai.response.id',
  'gen_ai.conversation.id',
  'gen_ai.agent.name',
  'gen_ai.usage.input_tokens',
  'gen_ai.usage.output_tokens',
  'gen_ai.usage.prompt_tokens',
  'gen_ai.usage.completion_tokens',
  'gen_ai.usage.cache_read.input_tokens',
  'gen_ai.usage.cache_creation.input_tokens',
  'gen_ai.usage.cache_read_input_tokens',
  'gen_ai.usage.cache_creation_input_tokens',
  'gen_ai.usage.input_tokens.cached',
  'gen_ai.usage.reasoning.output_tokens',
  'gen_ai.usage.reasoning_tokens',
  'openai.request.service_tier',
  'openai.response.service_tier',
  'gen_ai.openai.request.service_tier',
  'gen_ai.openai.response.service_tier',
  'llm.request.type',
  'traceloop.span.kind',
  'traceloop.association.properties.session_id',
  'traceloop.association.properties.user_id',
  'openinference.span.kind',
  'llm.model_name',
  'llm.provider',
  'llm.system',
  'llm.token_count.prompt',
  'llm.token_count.completion',
  'llm.token_count.prompt_details.cache_read',
  'llm.token_count.prompt_details.cache_write',
  'llm.token_count.prompt_details.audio',
  'llm.token_count.completion_details.reasoning',
  'llm.token_count.completion_details.audio',
  'embedding.model_name',
  'ai.operationId',
  'ai.model.id',
  'ai.model.provider',
  'ai.response.model',
  'ai.response.id',
  'ai.usage.inputTokens',
  'ai.usage.outputTokens',
  'ai.usage.promptTokens',
  'ai.usage.completionTokens',
  'ai.usage.reasoningTokens',
  'ai.usage.cachedInputTokens',
  'ai.usage.inputTokenDetails.cacheReadTokens',
  'ai.usage.inputTokenDetails.cacheWriteTokens',
  'ai.usage.tokens',
  'ai.telemetry.metadata.userId',
  'ai.telemetry.metadata.sessionId',
  'event.name',
  'event.timestamp',
  'event.sequence',
  'model',
  'duration_ms',
  'input_tokens',
  'output_tokens',
  'cache_read_tokens',
  'cache_creation_tokens',
  'request_id',
  'speed',
  'session.id',
  'user.id',
  'user.account_uuid',
  'agent.name',
])

export const isWanted = (key: string): boolean => wanted.has(key)
