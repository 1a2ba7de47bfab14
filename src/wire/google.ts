/** Gemini: `:generateContent`, `:streamGenerateContent`, `:embedContent`, `:countTokens`. */
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
  readChoices,
  readModel,
  tagsOf,
  textBytesOf,
  unbounded,
} from './fields.ts'
import type { Json, JsonObject } from './json-scan.ts'
import { countOf, promptParts } from './media.ts'
import { forwarded } from './openai-chat.ts'
import { spliceWithin } from './splice.ts'

const known: ReadonlySet<string> = new Set([
  'contents',
  'systemInstruction',
  'system_instruction',
  'generationConfig',
  'generation_config',
  'safetySettings',
  'safety_settings',
  'tools',
  'toolConfig',
  'tool_config',
  'cachedContent',
  'cached_content',
  'labels',
  'model',
  'serviceTier',
  'service_tier',
  'generateContentRequest',
  'store',
])
/** Of `generationConfig`. Model selection and routing are not here: they change what is billed. */
const configKnown: ReadonlySet<string> = new Set([
  'audioTimestamp',
  'audioTranscriptionConfig',
  'candidateCount',
  'enableAffectiveDialog',
  'enableEnhancedCivicAnswers',
  'frequencyPenalty',
  'imageConfig',
  'logprobs',
  'maxOutputTokens',
  'mediaResolution',
  'presencePenalty',
  'responseFormat',
  'responseJsonSchema',
  '_responseJsonSchema',
  'responseLogprobs',
  'responseMimeType',
  'responseModalities',
  'responseSchema',
  'seed',
  'speechConfig',
  'stopSequences',
  'temperature',
  'thinkingConfig',
  'topK',
  'topP',
])
const embedKnown: ReadonlySet<string> = new Set([
  'content',
  'taskType',
  'title',
  'outputDimensionality',
  'model',
  'requests',
  'embedContentConfig',
])

export function parseGenerate(
  endpoint: Endpoint,
  bytes: Uint8Array,
): Result<ParsedCall, WireProblem> {
  const scanned = openBody(bytes, known)
  if (!scanned.ok) return scanned
  const { value: body } = scanned.value
  const free = endpoint.operation === 'count_tokens'
  const refused = free ? null : refusal(body)
  if (refused !== null) return failed(refused)
  const model = readModel(endpoint.pathModel ?? undefined)
  if (!model.ok) return model
  if (body.model !== undefined && bareModel(body.model) !== model.value) {
    return failed(invalid('model', 'model names another model than the path.'))
  }
  const config = configOf(body)
  if (!config.ok) return config
  const tools = toolsOf(body)
  if (!tools.ok) return tools
  const contents = isList(body.contents) ? body.contents : []
  const parts = promptParts(
    [body.contents, body.systemInstruction, body.system_instruction],
    bytes.byteLength,
    {
      messages: contents.length + 1,
      tools: countOf(body.tools),
      toolOverhead: 1024,
      hidden: typeof (body.cachedContent ?? body.cached_content) === 'string',
    },
  )
  const text =
    textBytesOf(contents) +
    textBytesOf(body.tools ?? null) * 2 +
    textBytesOf(body.systemInstruction ?? body.system_instruction ?? null)
  return succeeded({
    endpoint,
    model: model.value,
    stream: endpoint.pathStream,
    body: bytes,
    scanned: scanned.value,
    usageAsked: true,
    opening: opening(firstText(contents)),
    claims: { user: null, conversation: null, tags: tagsOf(body.labels) },
    shape: {
      ...parts,
      textTokensExpected: likelyTokens(text) + 2 * contents.length,
      outputCap: free ? 0 : config.value.cap,
      choices: config.value.choices,
      // Whether thinking counts against the cap is not documented for every model: both are held.
      thinkingOutsideCap: free ? 0 : config.value.thinking,
      cacheWrite: 'none',
      tiers: tiersOf(body),
      geo: null,
      tools: tools.value,
      audioOutput: config.value.modalities.includes('AUDIO'),
      imageOutput: config.value.modalities.includes('IMAGE'),
    },
  })
}

interface Config {
  readonly cap: number | null
  readonly choices: number
  readonly thinking: number
  readonly modalities: readonly string[]
}

function configOf(body: JsonObject): Result<Config, WireProblem> {
  const given = body.generationConfig ?? body.generation_config ?? {}
  const path = 'generationConfig'
  if (!isObject(given)) return failed(invalid(path, `${path} must be an object.`))
  const stranger = Object.keys(given).find((name) => !configKnown.has(camel(name)))
  if (stranger !== undefined) {
    const param = `${path}.${stranger.slice(0, 100)}`
    const message = `Field "${param}" is not one that Bursar knows how to bound.`
    return failed({ code: 'not_allowed', param, message })
  }
  const cap = readCap(`${path}.maxOutputTokens`, given.maxOutputTokens ?? given.max_output_tokens)
  if (!cap.ok) return cap
  const choices = readChoices(
    `${path}.candidateCount`,
    given.candidateCount ?? given.candidate_count,
  )
  if (!choices.ok) return choices
  const thinkingConfig = given.thinkingConfig ?? given.thinking_config ?? {}
  if (!isObject(thinkingConfig)) {
    return failed(invalid(`${path}.thinkingConfig`, 'thinkingConfig must be an object.'))
  }
  const twice = doubled(body, '') ?? doubled(given, path) ?? doubled(thinkingConfig, path)
  if (twice !== null) return failed(twice)
  // -1 lets the model choose, within its output.
  const budget = thinkingConfig.thinkingBudget ?? thinkingConfig.thinking_budget
  const thinking =
    budget === -1 ? succeeded(null) : readCap(`${path}.thinkingConfig.thinkingBudget`, budget, 0)
  if (!thinking.ok) return thinking
  const modalities = given.responseModalities ?? given.response_modalities
  return succeeded({
    cap: cap.value,
    choices: choices.value,
    thinking: thinking.value ?? 0,
    modalities: isList(modalities) ? modalities.map((one) => String(one).toUpperCase()) : [],
  })
}

/** Google reads a field in both spellings; two that differ are two requests in one. */
function doubled(object: JsonObject, path: string): WireProblem | null {
  const name = Object.keys(object).find(
    (one) => one !== camel(one) && Object.hasOwn(object, camel(one)),
  )
  if (name === undefined) return null
  const param = path === '' ? camel(name) : `${path}.${camel(name)}`
  return invalid(param, `Send ${param} in one spelling, not in both.`)
}

function camel(name: string): string {
  return name.replace(/(?<=.)_([a-z])/g, (_all, letter: string) => letter.toUpperCase())
}

function bareModel(value: Json): string | null {
  return typeof value === 'string' ? value.replace(/^models\//, '') : null
}

function refusal(body: JsonObject): WireProblem | null {
  if (!isList(body.contents) && !isObject(body.contents) && typeof body.contents !== 'string') {
    return invalid('contents', 'contents must be a list with at least one part.')
  }
  if (isList(body.contents) && body.contents.length === 0) {
    return invalid('contents', 'contents must not be empty.')
  }
  if (tiersOf(body).length === 0) {
    return unbounded('serviceTier', 'This serviceTier has no known price.')
  }
  return null
}

function tiersOf(body: JsonObject): readonly Tier[] {
  const tier = body.serviceTier ?? body.service_tier
  const name =
    typeof tier === 'string'
      ? tier.toLowerCase().replace('service_tier_', '')
      : (tier ?? 'standard')
  switch (name) {
    case 'standard':
    case 'unspecified':
      return ['standard']
    case 'flex':
      return ['flex', 'standard']
    case 'priority':
      return ['priority', 'standard']
    default:
      return []
  }
}

/** Gemini has no cap on its own tools: only those that the caller runs can be bounded. */
function toolsOf(body: JsonObject): Result<CallShape['tools'], WireProblem> {
  if (body.tools === undefined || body.tools === null) return succeeded([])
  if (!isList(body.tools)) return failed(invalid('tools', 'tools must be a list.'))
  for (const [i, tool] of body.tools.entries()) {
    if (!isObject(tool)) return failed(invalid(`tools[${i}]`, 'A tool must be an object.'))
    const hosted = Object.keys(tool).find(
      (name) => name !== 'functionDeclarations' && name !== 'function_declarations',
    )
    if (hosted === undefined) continue
    return failed(
      unbounded(
        `tools[${i}].${hosted}`,
        `Tool "${hosted}" runs at the provider without a cap, so its cost cannot be bounded.`,
      ),
    )
  }
  return succeeded([])
}

function firstText(contents: readonly Json[]): string {
  const [first] = contents
  if (typeof first === 'string') return first
  const parts = isObject(first) && isList(first.parts) ? first.parts : []
  const part = parts.find((one) => isObject(one) && typeof one.text === 'string')
  return isObject(part) && typeof part.text === 'string' ? part.text : ''
}

/** The model stands in the path, and in the body where the caller repeats it there. */
export function rewriteGenerate(call: ParsedCall, { model, outputCap }: Rewrite): Forwarded {
  const { scanned, endpoint } = call
  const changes = new Map<string, Json | Uint8Array>()
  const { value: body } = scanned
  const asked = endpoint.pathModel ?? model
  if (body.model !== undefined && model !== asked) changes.set('model', `models/${model}`)
  if (isList(body.requests) && model !== asked) {
    const renamed = (one: Json): Json =>
      isObject(one) && one.model !== undefined ? { ...one, model: `models/${model}` } : one
    changes.set('requests', body.requests.map(renamed))
  }
  if (outputCap !== null && endpoint.operation === 'generate') {
    const name = body.generation_config === undefined ? 'generationConfig' : 'generation_config'
    const given = body[name]
    const config = isObject(given) ? given : {}
    const key = config.max_output_tokens === undefined ? 'maxOutputTokens' : 'max_output_tokens'
    if (config[key] !== outputCap) {
      const capped = new Map([[key, outputCap]])
      changes.set(name, spliceWithin(call.body, scanned, name, capped))
    }
  }
  const { path, body: bytes } = forwarded(call, changes)
  return { path: path.replace(`/models/${asked}:`, `/models/${model}:`), body: bytes }
}

export function parseEmbed(endpoint: Endpoint, bytes: Uint8Array): Result<ParsedCall, WireProblem> {
  const scanned = openBody(bytes, embedKnown)
  if (!scanned.ok) return scanned
  const { value: body } = scanned.value
  const model = readModel(endpoint.pathModel ?? undefined)
  if (!model.ok) return model
  const requests = isList(body.requests) ? body.requests : []
  const foreign = requests.findIndex(
    (one) =>
      isObject(one) &&
      one.model !== undefined &&
      one.model !== `models/${model.value}` &&
      one.model !== model.value,
  )
  if (foreign !== -1) {
    return failed(invalid(`requests[${foreign}].model`, 'One call embeds with one model.'))
  }
  const parts = promptParts([body.content, body.requests], bytes.byteLength, {
    messages: requests.length + 1,
    tools: 0,
    toolOverhead: 0,
    hidden: false,
  })
  return succeeded({
    endpoint,
    model: model.value,
    stream: false,
    body: bytes,
    scanned: scanned.value,
    usageAsked: true,
    opening: '',
    claims: { user: null, conversation: null, tags: {} },
    shape: {
      ...parts,
      textTokensExpected: likelyTokens(textBytesOf(body)),
      outputCap: 0,
      thinkingOutsideCap: 0,
      choices: 1,
      cacheWrite: 'none',
      tiers: ['standard'],
      geo: null,
      tools: [],
      audioOutput: false,
      imageOutput: false,
    },
  })
}
