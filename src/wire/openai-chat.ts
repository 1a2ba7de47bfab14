/** `POST /v1/chat/completions`. */
import type { Tier } from '#core/price-book.ts'
import { noReport, type UsageReport } from '#core/usage.ts'
import { failed, type Result, succeeded } from '#lib/result.ts'
import type {
  Endpoint,
  Forwarded,
  ParsedCall,
  Rewrite,
  StreamMeter,
  WireProblem,
} from './dialect.ts'
import {
  invalid,
  isList,
  isObject,
  likelyTokens,
  openBody,
  opening,
  parseAnswer,
  readCap,
  readChoices,
  readModel,
  readStream,
  reported,
  tagsOf,
  textBytesOf,
  textOr,
  unbounded,
  withOddities,
} from './fields.ts'
import type { Json, JsonObject } from './json-scan.ts'
import { countOf, promptParts } from './media.ts'
import { openaiReport, openaiTiers } from './openai-usage.ts'
import { type Changes, splice, spliceWithin } from './splice.ts'
import { mentionsMember, overflowOddity, type RawEvent, readEvent, SseSplitter } from './sse.ts'

const known: ReadonlySet<string> = new Set([
  'model',
  'messages',
  'stream',
  'stream_options',
  'max_tokens',
  'max_completion_tokens',
  'n',
  'temperature',
  'top_p',
  'top_k',
  'stop',
  'presence_penalty',
  'frequency_penalty',
  'logit_bias',
  'logprobs',
  'top_logprobs',
  'user',
  'safety_identifier',
  'seed',
  'tools',
  'tool_choice',
  'parallel_tool_calls',
  'functions',
  'function_call',
  'response_format',
  'metadata',
  'store',
  'modalities',
  'audio',
  'reasoning_effort',
  'verbosity',
  'service_tier',
  'prediction',
  'prompt_cache_key',
  'prompt_cache_retention',
  'prompt_cache_options',
  'web_search_options',
  'min_p',
  'repetition_penalty',
  'moderation',
])

export function parseChat(endpoint: Endpoint, bytes: Uint8Array): Result<ParsedCall, WireProblem> {
  const scanned = openBody(bytes, known)
  if (!scanned.ok) return scanned
  const { value: body } = scanned.value
  const model = readModel(body.model)
  if (!model.ok) return model
  const stream = readStream(body.stream)
  if (!stream.ok) return stream
  const cap = capOf(body)
  if (!cap.ok) return cap
  const choices = readChoices('n', body.n)
  if (!choices.ok) return choices
  const refused = refusal(body)
  if (refused !== null) return failed(refused)
  const messages = isList(body.messages) ? body.messages : []
  const tools = countOf(body.tools) + countOf(body.functions)
  const parts = promptParts([body.messages], bytes.byteLength, {
    messages: messages.length,
    tools,
    toolOverhead: 1024,
    hidden: false,
  })
  const options = isObject(body.stream_options) ? body.stream_options : {}
  return succeeded({
    endpoint,
    model: model.value,
    stream: stream.value,
    body: bytes,
    scanned: scanned.value,
    usageAsked: !stream.value || options.include_usage === true,
    opening: opening(firstUserText(messages)),
    claims: {
      user: textOr(body.user) ?? textOr(body.safety_identifier),
      conversation: textOr(body.prompt_cache_key),
      tags: tagsOf(body.metadata),
    },
    shape: {
      ...parts,
      textTokensExpected:
        likelyTokens(textBytesOf(messages) + textBytesOf(body.tools ?? null) * 2) +
        4 * messages.length,
      outputCap: cap.value,
      // A prediction's rejected tokens are billed as output, and the cap does not bound them.
      thinkingOutsideCap: predictionBytes(body.prediction),
      choices: choices.value,
      cacheWrite: 'implicit',
      tiers: openaiTiers(body.service_tier),
      geo: null,
      tools:
        body.web_search_options === undefined || body.web_search_options === null
          ? []
          : [{ meter: 'web_search', maxUses: 1 }],
      audioOutput: isList(body.modalities) && body.modalities.includes('audio'),
      imageOutput: false,
    },
  })
}

function predictionBytes(prediction: Json | undefined): number {
  return prediction === undefined ? 0 : textBytesOf(prediction)
}

function capOf(body: JsonObject): Result<number | null, WireProblem> {
  const old = readCap('max_tokens', body.max_tokens)
  const now = readCap('max_completion_tokens', body.max_completion_tokens)
  if (!old.ok) return old
  if (!now.ok) return now
  if (old.value !== null && now.value !== null) {
    return failed(invalid('max_tokens', 'Send max_tokens or max_completion_tokens, not both.'))
  }
  return succeeded(now.value ?? old.value)
}

function refusal(body: JsonObject): WireProblem | null {
  if (!isList(body.messages) || body.messages.length === 0) {
    return invalid('messages', 'messages must be a list with at least one message.')
  }
  const bad = body.messages.findIndex((message) => !isObject(message))
  if (bad !== -1) return invalid(`messages[${bad}]`, `messages[${bad}] must be an object.`)
  const options = body.stream_options
  if (options !== undefined && options !== null && !isObject(options)) {
    return invalid('stream_options', 'stream_options must be an object.')
  }
  const asked = isObject(options) ? options.include_usage : null
  if (asked !== undefined && asked !== null && typeof asked !== 'boolean') {
    return invalid('stream_options.include_usage', 'include_usage must be true or false.')
  }
  if (body.tools !== undefined && body.tools !== null && !isList(body.tools)) {
    return invalid('tools', 'tools must be a list.')
  }
  // Chat knows only tools that the caller runs; others belong to servers that run them themselves.
  const hosted = (body.tools ?? []).findIndex(
    (tool) => !isObject(tool) || (tool.type !== 'function' && tool.type !== 'custom'),
  )
  if (hosted !== -1) {
    return unbounded(`tools[${hosted}]`, 'Only tools of type function and custom can be bounded.')
  }
  if (isTier(body.service_tier) === null) {
    return unbounded('service_tier', 'This service_tier has no known price.')
  }
  return null
}

function isTier(value: Json | undefined): readonly Tier[] | null {
  const tiers = openaiTiers(value)
  return tiers.length === 0 ? null : tiers
}

export function firstUserText(messages: readonly Json[]): string {
  const first = messages.find((message) => isObject(message) && message.role === 'user')
  if (!isObject(first)) return ''
  if (typeof first.content === 'string') return first.content
  if (!isList(first.content)) return ''
  const part = first.content.find((one) => isObject(one) && typeof one.text === 'string')
  return isObject(part) && typeof part.text === 'string' ? part.text : ''
}

export function rewriteChat(call: ParsedCall, { model, outputCap }: Rewrite): Forwarded {
  const { scanned } = call
  const changes = new Map<string, Json | Uint8Array>()
  const { value: body } = scanned
  if (body.model !== model) changes.set('model', model)
  if (outputCap !== null) {
    // The field the caller knows is kept: local servers and old models know only the old one.
    const name = typeof body.max_tokens === 'number' ? 'max_tokens' : 'max_completion_tokens'
    if (body[name] !== outputCap) changes.set(name, outputCap)
  }
  if (call.stream && !call.usageAsked) {
    const asked = new Map([['include_usage', true]])
    changes.set('stream_options', spliceWithin(call.body, scanned, 'stream_options', asked))
  }
  return forwarded(call, changes)
}

export function forwarded(call: ParsedCall, changes: Changes): Forwarded {
  const { upstreamPath, query } = call.endpoint
  return { path: upstreamPath + query, body: splice(call.body, call.scanned, changes) }
}

export function readChatUsage(body: Uint8Array): UsageReport {
  return openaiReport(reported(parseAnswer(body)), 'chat')
}

/** Events of one piece of memory stand side by side in it: where none was taken out, no copy. */
function joined(events: readonly RawEvent[], kept: readonly RawEvent[]): Uint8Array {
  const pieces = kept.map(({ bytes }) => bytes)
  const [first] = pieces
  const last = pieces.at(-1)
  if (first === undefined || last === undefined || kept.length < events.length) {
    return Buffer.concat(pieces)
  }
  const length = last.byteOffset + last.byteLength - first.byteOffset
  const sideBySide = pieces.reduce((sum, { byteLength }) => sum + byteLength, 0) === length
  return sideBySide && first.buffer === last.buffer
    ? new Uint8Array(first.buffer, first.byteOffset, length)
    : Buffer.concat(pieces)
}

/**
 * Usage comes in one extra chunk near the end. Where it was us who asked for it, that chunk is
 * taken out again; everything else passes as it is.
 */
export function meterChat(call: ParsedCall): StreamMeter {
  const splitter = new SseSplitter()
  let report = noReport
  let finished = false
  const look = ({ bytes, text }: RawEvent): boolean => {
    if (text.includes('[DONE]') && readEvent(bytes).data.trim() === '[DONE]') finished = true
    if (report.model !== null && !mentionsMember(text, 'usage')) return true
    const chunk = reported(parseAnswer(Buffer.from(readEvent(bytes).data)))
    if (chunk === null) return true
    const found = openaiReport(chunk, 'chat')
    report =
      found.usage === null
        ? {
            ...report,
            model: report.model ?? found.model,
            responseId: found.responseId,
            oddities: withOddities(report.oddities, found.oddities),
          }
        : { ...found, model: found.model ?? report.model, tier: found.tier ?? report.tier }
    const isExtra =
      found.usage !== null &&
      isList(chunk.choices as Json) &&
      (chunk.choices as readonly unknown[]).length === 0
    return call.usageAsked || !isExtra
  }
  return {
    push: (chunk) => {
      const events = splitter.push(chunk)
      const kept = events.filter(look)
      if (call.usageAsked) return chunk
      return joined(events, kept)
    },
    end: () => {
      const left = splitter.take()
      const keep = left.bytes.length === 0 || look(left)
      const rest = call.usageAsked || !keep ? new Uint8Array(0) : left.bytes
      if (!splitter.overflowed) {
        return { rest, report, complete: finished || report.usage !== null }
      }
      const oddities = [...report.oddities, overflowOddity]
      return { rest, report: { ...report, oddities }, complete: report.usage !== null }
    },
  }
}
