/** `POST /v1/messages` and `/v1/messages/count_tokens`. */
import type { Tier } from '#core/price-book.ts'
import type { CallShape } from '#core/quote.ts'
import { failed, type Result, succeeded } from '#lib/result.ts'
import type { Endpoint, Forwarded, ParsedCall, Rewrite, WireProblem } from './dialect.ts'
import {
  invalid,
  isList,
  isObject,
  likelyTokens,
  openBody,
  opening,
  readCap,
  readModel,
  readStream,
  textBytesOf,
  textOr,
  unbounded,
  visitObjects,
} from './fields.ts'
import { objectOf } from './claims.ts'
import type { Json, JsonObject } from './json-scan.ts'
import { countOf, promptParts } from './media.ts'
import { firstUserText, forwarded } from './openai-chat.ts'

const known: ReadonlySet<string> = new Set([
  'model',
  'messages',
  'system',
  'max_tokens',
  'stream',
  'temperature',
  'top_p',
  'top_k',
  'stop_sequences',
  'metadata',
  'tools',
  'tool_choice',
  'thinking',
  'service_tier',
  'cache_control',
  'output_config',
  'output_format',
  'inference_geo',
  'speed',
  'context_management',
  'container',
  'mcp_servers',
  'fallbacks',
  'betas',
  'anthropic_version',
  'billing_policy',
  'user_profile_id',
  'diagnostics',
])

export function parseMessages(
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
  // 0 warms the cache and is billed for its write; it is a number like any other.
  const cap = readCap('max_tokens', body.max_tokens, 0)
  if (!cap.ok) return cap
  const tools = toolsOf(body)
  if (!tools.ok) return tools
  const messages = isList(body.messages) ? body.messages : []
  const parts = promptParts([body.messages, body.system], bytes.byteLength, {
    messages: messages.length + 1,
    tools: countOf(body.tools),
    toolOverhead: 1024,
    hidden: false,
  })
  const text =
    textBytesOf(messages) + textBytesOf(body.system ?? null) + textBytesOf(body.tools ?? null) * 2
  const free = endpoint.operation === 'count_tokens'
  return succeeded({
    endpoint,
    model: model.value,
    stream: stream.value && !free,
    body: bytes,
    scanned: scanned.value,
    usageAsked: true,
    opening: opening(firstUserText(messages)),
    claims: claimsOf(body),
    shape: {
      ...parts,
      textTokensExpected:
        likelyTokens(text) + 4 * messages.length + (countOf(body.tools) > 0 ? 400 : 0),
      outputCap: free ? 0 : cap.value,
      thinkingOutsideCap: 0,
      choices: 1,
      cacheWrite: cacheWriteOf(body),
      tiers: tiersOf(body),
      geo: textOr(body.inference_geo),
      tools: tools.value,
      audioOutput: false,
      imageOutput: false,
    },
  })
}

function refusal(body: JsonObject): WireProblem | null {
  if (!isList(body.messages) || body.messages.length === 0) {
    return invalid('messages', 'messages must be a list with at least one message.')
  }
  const bad = body.messages.findIndex((message) => !isObject(message))
  if (bad !== -1) return invalid(`messages[${bad}]`, `messages[${bad}] must be an object.`)
  for (const name of ['container', 'mcp_servers', 'fallbacks', 'billing_policy'] as const) {
    const value = body[name]
    if (value === undefined || value === null || (isList(value) && value.length === 0)) continue
    return unbounded(name, `"${name}" may run up a cost that cannot be bounded here.`)
  }
  const management = body.context_management
  const edits = isObject(management) && isList(management.edits) ? management.edits : []
  if (edits.some((one) => isObject(one) && String(one.type).startsWith('compact'))) {
    return unbounded(
      'context_management',
      'Compaction is billed beside the call: it is not bounded.',
    )
  }
  if (![undefined, null, 'auto', 'standard_only'].includes(body.service_tier as null)) {
    return unbounded('service_tier', 'This service_tier has no known price.')
  }
  if (![undefined, null, 'standard', 'fast'].includes(body.speed as null)) {
    return unbounded('speed', 'This speed has no known price.')
  }
  return null
}

function tiersOf({ speed }: JsonObject): readonly Tier[] {
  return speed === 'fast' ? ['fast', 'standard'] : ['standard']
}

function claimsOf({ metadata }: JsonObject): ParsedCall['claims'] {
  const id = isObject(metadata) && typeof metadata.user_id === 'string' ? metadata.user_id : null
  if (id === null) return { user: null, conversation: null, tags: {} }
  const { device_id, account_uuid, session_id } = claudeCodeId(id)
  return {
    user: textOr(account_uuid ?? null) ?? textOr(device_id ?? null) ?? textOr(id),
    conversation: textOr(session_id ?? null),
    tags: {},
  }
}

/** Claude Code puts device, account and session there: as JSON, and before that as one text. */
function claudeCodeId(id: string): JsonObject {
  const parts = /^user_([0-9a-f]{1,64})_account_([0-9a-f-]{0,36})_session_([0-9a-f-]{1,36})$/.exec(
    id,
  )
  if (parts === null) return objectOf(id)
  const [, device_id = '', account_uuid = '', session_id = ''] = parts
  return { device_id, account_uuid, session_id }
}

/** The dearest cache mark anywhere in the request. */
function cacheWriteOf(body: JsonObject): CallShape['cacheWrite'] {
  let mark: CallShape['cacheWrite'] = 'none'
  visitObjects(body, ({ cache_control: control }) => {
    if (!isObject(control)) return
    if (control.ttl === '1h') mark = '1h'
    else if (mark === 'none') mark = '5m'
  })
  return mark
}

/** Server tools run at the provider; each names its version in its type. */
const serverTools: readonly (readonly [prefix: string, meter: 'web_search' | null])[] = [
  ['web_search_', 'web_search'],
  ['web_fetch_', null],
]

/** Run by the caller, though Anthropic defines them. */
const clientTools =
  /^(custom$|bash_|text_editor_|computer_|browser_toolset_|memory_|tool_search_tool_)/

function toolsOf(body: JsonObject): Result<CallShape['tools'], WireProblem> {
  if (body.tools === undefined || body.tools === null) return succeeded([])
  if (!isList(body.tools)) return failed(invalid('tools', 'tools must be a list.'))
  const found: CallShape['tools'][number][] = []
  for (const [i, tool] of body.tools.entries()) {
    if (!isObject(tool)) return failed(invalid(`tools[${i}]`, 'A tool must be an object.'))
    const { type } = tool
    if (type === undefined || type === null) continue
    if (typeof type !== 'string') return failed(invalid(`tools[${i}].type`, 'type must be text.'))
    if (clientTools.test(type)) continue
    const server = serverTools.find(([prefix]) => type.startsWith(prefix))
    if (server === undefined) {
      return failed(unbounded(`tools[${i}]`, `Tool "${type}" has no cost that can be bounded.`))
    }
    const uses = readCap(`tools[${i}].max_uses`, tool.max_uses)
    if (!uses.ok) return uses
    if (uses.value === null) {
      return failed(
        unbounded(
          `tools[${i}].max_uses`,
          `Tool "${type}" runs at the provider: send max_uses to bound it.`,
        ),
      )
    }
    // A fetch has no fee of its own; its result is input, which `maxUses` bounds all the same.
    found.push({ meter: server[1] ?? 'input', maxUses: uses.value })
  }
  return succeeded(found)
}

export function rewriteMessages(call: ParsedCall, { model, outputCap }: Rewrite): Forwarded {
  const { scanned } = call
  const changes = new Map<string, Json>()
  if (scanned.value.model !== model) changes.set('model', model)
  const free = call.endpoint.operation === 'count_tokens'
  if (outputCap !== null && !free && scanned.value.max_tokens !== outputCap) {
    changes.set('max_tokens', outputCap)
    // Thinking is inside max_tokens, and must be less than it.
    const { thinking } = scanned.value
    const budget = isObject(thinking) ? thinking.budget_tokens : null
    if (isObject(thinking) && typeof budget === 'number' && budget >= outputCap) {
      changes.set(
        'thinking',
        outputCap > 1024 ? { ...thinking, budget_tokens: outputCap - 1 } : { type: 'disabled' },
      )
    }
  }
  return forwarded(call, changes)
}
