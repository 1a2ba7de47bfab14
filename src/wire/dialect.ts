/**
 * What the gateway knows of a provider's protocol. One implementation a dialect; all are pure and
 * work on bytes, so that a fixture is a test. The same dialect goes through: nothing is translated.
 */
import type { CallShape } from '#core/quote.ts'
import type { Refusal } from '#core/refusal.ts'
import type { UsageReport } from '#core/usage.ts'
import type { Result } from '#lib/result.ts'
import type { Scanned } from './json-scan.ts'

export type DialectName = 'openai' | 'anthropic' | 'google'

export type Operation =
  | 'chat' // POST /v1/chat/completions
  | 'responses' // POST /v1/responses
  | 'embeddings' // POST /v1/embeddings
  | 'messages' // POST /v1/messages
  | 'count_tokens' // POST /v1/messages/count_tokens, also :countTokens; free
  | 'generate' // POST /v1beta/models/{m}:generateContent and :streamGenerateContent
  | 'embed' // POST /v1beta/models/{m}:embedContent and :batchEmbedContents

/** Where a request goes: the path in its canonical form, whatever prefix the client used. */
export interface Endpoint {
  readonly dialect: DialectName
  readonly operation: Operation
  /** The model where the path names it (Gemini), else null. */
  readonly pathModel: string | null
  /** True where the path says that the answer is streamed (Gemini); the body says it elsewhere. */
  readonly pathStream: boolean
  /** The provider's own path below its origin, e.g. `/v1/chat/completions`. */
  readonly upstreamPath: string
  /** Query string to forward, with its `?`, or ''. Never contains a key. */
  readonly query: string
}

/** A request that can be priced, or at least understood. */
export interface ParsedCall {
  readonly endpoint: Endpoint
  /** As the caller wrote it; looked up exactly. */
  readonly model: string
  readonly stream: boolean
  readonly shape: CallShape
  /** What the body says about who is asking. Claims only: the key decides. */
  readonly claims: BodyClaims
  /** True where the caller asked for the usage chunk (OpenAI chat) or usage needs no asking. */
  readonly usageAsked: boolean
  /** Stable text from which a conversation can be told: the first user message, cut to 1 KiB. */
  readonly opening: string
  readonly body: Uint8Array
  /** Where the members of the body stand, for `rewrite`. */
  readonly scanned: Scanned
}

export interface BodyClaims {
  readonly user: string | null
  readonly conversation: string | null
  readonly tags: Readonly<Record<string, string>>
}

export interface WireProblem {
  readonly code: 'invalid_request' | 'not_allowed' | 'unbounded_cost'
  /** The field at fault, e.g. `messages[3].content`, or null for the whole body. */
  readonly param: string | null
  readonly message: string
}

/** What the gateway may change on the way: nothing else differs from what the caller sent. */
export interface Rewrite {
  /** The provider's id for the model, where it differs from what the caller wrote. */
  readonly model: string
  /** The output cap to write, or null to leave the body's own (or none: embeddings). */
  readonly outputCap: number | null
}

export interface Forwarded {
  readonly path: string
  readonly body: Uint8Array
}

/**
 * Reads a stream as it passes. `push` returns what the client gets now, never later than needed.
 */
export interface StreamMeter {
  push(chunk: Uint8Array): Uint8Array
  /** Bytes still held back (an event cut short), and what was learnt. Call once, at the end. */
  end(): { readonly rest: Uint8Array; readonly report: UsageReport; readonly complete: boolean }
}

/** The answer that is ours, in the caller's dialect. */
export interface RefusalAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface Dialect {
  readonly name: DialectName
  /** Strict: duplicate keys, depth, wrong types, fields we cannot bound are problems, not calls. */
  parse(endpoint: Endpoint, body: Uint8Array): Result<ParsedCall, WireProblem>
  /** The caller's bytes with the few allowed changes spliced in; all other bytes are untouched. */
  rewrite(call: ParsedCall, changes: Rewrite): Forwarded
  /** Usage of a complete, non-streamed answer. Unreadable bytes give `noReport`. */
  readUsage(call: ParsedCall, body: Uint8Array): UsageReport
  meterStream(call: ParsedCall): StreamMeter
  refuse(refusal: Refusal): RefusalAnswer
  /** `GET /v1/models` in this dialect. */
  listModels(models: readonly string[]): string
}
