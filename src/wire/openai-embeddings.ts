/** `POST /v1/embeddings`: input only. */
import type { UsageReport } from '#core/usage.ts'
import { failed, type Result, succeeded } from '#lib/result.ts'
import type { Endpoint, Forwarded, ParsedCall, Rewrite, WireProblem } from './dialect.ts'
import {
  invalid,
  isList,
  likelyTokens,
  openBody,
  opening,
  parseAnswer,
  readModel,
  reported,
  textBytesOf,
  textOr,
} from './fields.ts'
import type { Json } from './json-scan.ts'
import { forwarded } from './openai-chat.ts'
import { openaiReport } from './openai-usage.ts'

const known: ReadonlySet<string> = new Set([
  'model',
  'input',
  'encoding_format',
  'dimensions',
  'user',
])

/** Prompts may come as lists of tokens, a number each: 300,000 are OpenAI's limit for a call. */
const tokenLists = { depth: 4, nodes: 310_000, elements: 300_000 }

export function parseEmbeddings(
  endpoint: Endpoint,
  bytes: Uint8Array,
): Result<ParsedCall, WireProblem> {
  const scanned = openBody(bytes, known, tokenLists)
  if (!scanned.ok) return scanned
  const { value: body } = scanned.value
  const model = readModel(body.model)
  if (!model.ok) return model
  const { input } = body
  if ((typeof input !== 'string' && !isList(input)) || input.length === 0) {
    return failed(invalid('input', 'input must be text, or a list of texts or tokens.'))
  }
  return succeeded({
    endpoint,
    model: model.value,
    stream: false,
    body: bytes,
    scanned: scanned.value,
    usageAsked: true,
    opening: opening(typeof input === 'string' ? input : ''),
    claims: { user: textOr(body.user), conversation: null, tags: {} },
    shape: {
      // Token arrays write at least two bytes a token, so the body's length bounds them too.
      textTokensMax: bytes.byteLength + 16 * (isList(input) ? input.length : 1),
      textTokensExpected: likelyTokens(textBytesOf(input)),
      imageTokensMax: 0,
      audioTokensMax: 0,
      hiddenInput: false,
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

export function rewriteEmbeddings(call: ParsedCall, { model }: Rewrite): Forwarded {
  const { scanned } = call
  const changes = new Map<string, Json>()
  if (scanned.value.model !== model) changes.set('model', model)
  return forwarded(call, changes)
}

export function readEmbeddingsUsage(body: Uint8Array): UsageReport {
  return openaiReport(reported(parseAnswer(body)), 'embeddings')
}
