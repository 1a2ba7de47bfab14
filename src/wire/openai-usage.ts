/**
 * Usage objects of OpenAI's three operations. Cached and written tokens stand inside the prompt.
 */
import type { Tier } from '#core/price-book.ts'
import { type Meter, noReport, type UsageReport } from '#core/usage.ts'
import { type Reported, reported, stringOr, tally } from './fields.ts'
import type { Json } from './json-scan.ts'

/**
 * Tiers a request may be billed at; empty: unknown. `auto` follows a project setting that the
 * request does not show, so it is bounded by the dearest.
 */
export function openaiTiers(value: Json | undefined): readonly Tier[] {
  switch (value) {
    case undefined:
    case null:
    case 'default':
      return ['standard']
    case 'auto':
      return ['standard', 'priority']
    case 'flex':
      return ['flex', 'standard']
    case 'priority':
    case 'fast':
      return ['priority', 'standard']
    default:
      return []
  }
}

function servedTier(value: unknown): string | null {
  switch (value) {
    case undefined:
    case null:
      return null
    case 'default':
    case 'auto':
      return 'standard'
    // Scale tier is paid for in advance: its tokens are priced as standard until the bill says.
    case 'scale':
      return 'standard'
    case 'fast':
      return 'priority'
    default:
      return stringOr(value) ?? 'unknown'
  }
}

export function openaiReport(
  answer: Reported | null,
  operation: 'chat' | 'responses' | 'embeddings',
): UsageReport {
  if (answer === null) return noReport
  const usage = reported(answer.usage)
  const about = {
    model: stringOr(answer.model),
    tier: servedTier(answer.service_tier),
    responseId: stringOr(answer.id),
  }
  if (usage === null) return { ...noReport, ...about }
  const names =
    operation === 'responses'
      ? { input: 'input_tokens', output: 'output_tokens' }
      : { input: 'prompt_tokens', output: 'completion_tokens' }
  const input = tally(usage[names.input])
  const output = operation === 'embeddings' ? 0 : tally(usage[names.output])
  if (input === null || output === null) {
    return { ...noReport, ...about, oddities: ['a token count is missing or not a count'] }
  }
  const inner = reported(usage[`${names.input}_details`]) ?? {}
  const outer = reported(usage[`${names.output}_details`]) ?? {}
  const oddities: string[] = []
  const part = (from: Reported, name: string): number => {
    const value = from[name]
    if (value === undefined || value === null) return 0
    const counted = tally(value)
    if (counted === null) oddities.push(`${name} is not a count`)
    return counted ?? 0
  }
  const cached = part(inner, 'cached_tokens')
  const written = part(inner, 'cache_write_tokens')
  const audioIn = part(inner, 'audio_tokens')
  const imageIn = part(inner, 'image_tokens')
  const audioOut = part(outer, 'audio_tokens')
  const imageOut = part(outer, 'image_tokens')
  const fresh = input - cached - written - audioIn - imageIn
  const said = output - audioOut - imageOut
  if (fresh < 0 || said < 0) oddities.push('the parts are more than their total')
  const counts: Partial<Record<Meter, number>> = {
    input: Math.max(0, fresh),
    cache_read: cached,
    cache_write_5m: written,
    audio_input: audioIn,
    image_input: imageIn,
    output: Math.max(0, said),
    audio_output: audioOut,
    image_output: imageOut,
    ...(operation === 'responses' ? toolCounts(answer.output) : {}),
    ...(operation === 'chat' ? searchCount(answer) : {}),
  }
  return {
    ...noReport,
    ...about,
    oddities,
    usage: { counts, reasoningTokens: part(outer, 'reasoning_tokens') },
  }
}

/** Tool fees are not in `usage`: they are counted from the items of the answer. */
export function toolCounts(output: unknown): Partial<Record<Meter, number>> {
  if (!Array.isArray(output)) return {}
  let searches = 0
  let files = 0
  const containers = new Set<string>()
  for (const item of output.map(reported)) {
    if (item === null) continue
    // Opening a page and finding in it belong to the search that found it.
    const action = reported(item.action)?.type ?? 'search'
    if (item.type === 'web_search_call' && action === 'search') searches += 1
    if (item.type === 'file_search_call') files += 1
    if (item.type === 'code_interpreter_call') containers.add(stringOr(item.container_id) ?? '')
  }
  return { web_search: searches, file_search: files, code_session: containers.size }
}

/** A chat answer that searched shows it in its annotations. */
function searchCount(answer: Reported): Partial<Record<Meter, number>> {
  const choices = Array.isArray(answer.choices) ? answer.choices : []
  const searched = choices.some((choice) => {
    const message = reported(reported(choice)?.message)
    const annotations = message?.annotations
    return (
      Array.isArray(annotations) &&
      annotations.some((one) => reported(one)?.type === 'url_citation')
    )
  })
  return searched ? { web_search: 1 } : {}
}
