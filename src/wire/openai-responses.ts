/** `POST /v1/responses`. */
import type { CallShape } from '#core/quote.ts'
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
  readModel,
  readStream,
  reported,
  stringOr,
  tagsOf,
  textBytesOf,
  textOr,
  unbounded,
} from './fields.ts'
import type { Json, JsonObject } from './json-scan.ts'
import { countOf, promptParts } from './media.ts'
import { firstUserText, forwarded } from './openai-chat.ts'
import { openaiReport, openaiTiers } from './openai-usage.ts'
import { overflowOddity, type RawEvent, readEvent, SseSplitter } from './sse.ts'

const known: ReadonlySet<string> = new Set([
  'model',
  'input',
  'instructions',
  'stream',
  'stream_options',
  'max_output_tokens',
  'max_tool_calls',
  'temperature',
  'top_p',
  'top_logprobs',
  'user',
  'safety_identifier',
  'tools',
  'tool_choice',
  'parallel_tool_calls',
  'text',
  'reasoning',
  'metadata',
  'store',
  'include',
  'truncation',
  'service_tier',
  'previous_response_id',
  'prompt_cache_key',
  'prompt_cache_retention',
  'prompt_cache_options',
  'access_programs',
  'moderation',
  'image',
  'background',
  'conversation',
  'prompt',
  'client_metadata',
  'context_management',
])

const toolMeters = {
  web_search: 'web_search',
  web_search_2025_08_26: 'web_search',
  web_search_preview: 'web_search',
  web_search_preview_2025_03_11: 'web_search',
  file_search: 'file_search',
  code_interpreter: 'code_session',
} as const

/** Run by the caller, not by the provider: they cost tokens and nothing else. */
const clientTools = new Set([
  'function',
  'custom',
  'local_shell',
  'apply_patch',
  'computer',
  'computer_use_preview',
])

export function parseResponses(
  endpoint: Endpoint,
  bytes: Uint8Array,
): Result<ParsedCall, WireProblem> {
  const scanned = openBody(bytes, known)
  if (!scanned.ok) return scanned
  const { value: body } = scanned.value
  const refused = refusal(body)
  if (refused !== null) return failed(refused)
  const model = readModel(body.model)
  if (!model.ok) return model
  const stream = readStream(body.stream)
  if (!stream.ok) return stream
  const cap = readCap('max_output_tokens', body.max_output_tokens)
  if (!cap.ok) return cap
  const tools = toolsOf(body)
  if (!tools.ok) return tools
  const input = isList(body.input) ? body.input : []
  const hidden =
    typeof body.previous_response_id === 'string' ||
    input.some((item) => isObject(item) && item.type === 'item_reference')
  const parts = promptParts([body.input], bytes.byteLength, {
    messages: input.length + 1,
    tools: countOf(body.tools),
    toolOverhead: 1024,
    hidden,
  })
  const textBytes =
    textBytesOf(body.input ?? null) +
    textBytesOf(body.instructions ?? null) +
    textBytesOf(body.tools ?? null) * 2
  return succeeded({
    endpoint,
    model: model.value,
    stream: stream.value,
    body: bytes,
    scanned: scanned.value,
    usageAsked: true,
    opening: opening(typeof body.input === 'string' ? body.input : firstUserText(input)),
    claims: {
      user: textOr(body.user) ?? textOr(body.safety_identifier),
      conversation: textOr(body.prompt_cache_key),
      tags: tagsOf(body.metadata),
    },
    shape: {
      ...parts,
      textTokensExpected: likelyTokens(textBytes) + 4 * (input.length + 1),
      outputCap: cap.value,
      thinkingOutsideCap: 0,
      choices: 1,
      cacheWrite: 'implicit',
      tiers: openaiTiers(body.service_tier),
      geo: null,
      tools: tools.value,
      audioOutput: false,
      imageOutput: false,
    },
  })
}

function refusal(body: JsonObject): WireProblem | null {
  const { input } = body
  if (typeof input !== 'string' && !isList(input)) {
    return invalid('input', 'input must be text or a list of items.')
  }
  if (body.background === true) {
    return unbounded('background', 'A background response outlives its call: it is not served.')
  }
  for (const name of ['conversation', 'prompt'] as const) {
    if (body[name] === undefined || body[name] === null) continue
    return unbounded(name, `"${name}" is kept by the provider, so its cost cannot be bounded here.`)
  }
  const management = body.context_management
  if (management !== undefined && management !== null && countOf(management) > 0) {
    return unbounded(
      'context_management',
      'Compaction is billed beside the call: it is not bounded.',
    )
  }
  if (body.background !== undefined && body.background !== null && body.background !== false) {
    return invalid('background', 'background must be true or false.')
  }
  if (openaiTiers(body.service_tier).length === 0) {
    return unbounded('service_tier', 'This service_tier has no known price.')
  }
  return null
}

function toolsOf(body: JsonObject): Result<CallShape['tools'], WireProblem> {
  const declared = declaredTools(body)
  if (!declared.ok) return declared
  const calls = readCap('max_tool_calls', body.max_tool_calls)
  if (!calls.ok) return calls
  const hosted: CallShape['tools'][number][] = []
  for (const [path, tool] of declared.value) {
    const type = isObject(tool) ? tool.type : null
    if (!isObject(tool) || typeof type !== 'string') {
      return failed(invalid(path, 'A tool needs a type.'))
    }
    if (isCallersOwn(tool, type)) continue
    const meter = Object.hasOwn(toolMeters, type)
      ? toolMeters[type as keyof typeof toolMeters]
      : null
    if (meter === null) {
      return failed(unbounded(path, `Tool "${type}" has no cost that can be bounded.`))
    }
    if (calls.value === null) {
      return failed(
        unbounded(
          'max_tool_calls',
          `Tool "${type}" is billed by the call: send max_tool_calls to bound it.`,
        ),
      )
    }
    hosted.push({ meter, maxUses: calls.value })
  }
  return succeeded(hosted)
}

/**
 * Every tool with its path: those of the request, those that items of the input bring in, and those
 * in namespaces.
 */
function declaredTools(
  body: JsonObject,
): Result<readonly (readonly [path: string, tool: Json])[], WireProblem> {
  const input = isList(body.input) ? body.input : []
  const lists: [path: string, list: Json][] = [['tools', body.tools ?? []]]
  for (const [i, item] of input.entries()) {
    if (isObject(item) && bringsTools.has(String(item.type))) {
      lists.push([`input[${i}].tools`, item.tools ?? []])
    }
  }
  const found: (readonly [string, Json])[] = []
  for (let next = lists.pop(); next !== undefined; next = lists.pop()) {
    const [path, list] = next
    if (!isList(list)) return failed(invalid(path, `${path} must be a list.`))
    for (const [i, tool] of list.entries()) {
      if (isObject(tool) && tool.type === 'namespace') {
        lists.push([`${path}[${i}].tools`, tool.tools ?? []])
      } else found.push([`${path}[${i}]`, tool])
    }
  }
  return succeeded(found)
}

const bringsTools = new Set(['additional_tools', 'tool_search_output'])

/** A shell or a search is the caller's only where the request says so. */
function isCallersOwn(tool: JsonObject, type: string): boolean {
  const { environment, execution } = tool
  if (type === 'shell') return isObject(environment) && environment.type === 'local'
  if (type === 'tool_search') return execution === 'client'
  return clientTools.has(type)
}

export function rewriteResponses(call: ParsedCall, { model, outputCap }: Rewrite): Forwarded {
  const { scanned } = call
  const changes = new Map<string, Json>()
  if (scanned.value.model !== model) changes.set('model', model)
  if (outputCap !== null && scanned.value.max_output_tokens !== outputCap) {
    changes.set('max_output_tokens', outputCap)
  }
  return forwarded(call, changes)
}

export function readResponsesUsage(body: Uint8Array): UsageReport {
  return openaiReport(reported(parseAnswer(body)), 'responses')
}

const finals = ['response.completed', 'response.incomplete', 'response.failed']

/** Usage is in the last event only; `response.created` carries `usage: null`. */
export function meterResponses(): StreamMeter {
  const splitter = new SseSplitter()
  let report = noReport
  let finished = false
  const look = ({ bytes, text }: RawEvent): void => {
    if (!finals.some((name) => text.includes(name))) return
    const said = reported(parseAnswer(Buffer.from(readEvent(bytes).data)))
    if (said === null || !finals.includes(stringOr(said.type) ?? '')) return
    report = openaiReport(reported(said.response), 'responses')
    finished = true
  }
  return {
    push: (chunk) => {
      for (const event of splitter.push(chunk)) look(event)
      return chunk
    },
    end: () => {
      look(splitter.take())
      if (splitter.overflowed) {
        report = { ...report, oddities: [...report.oddities, overflowOddity] }
      }
      return { rest: new Uint8Array(0), report, complete: finished }
    },
  }
}
