/** Gemini's usage: thoughts stand outside the candidates, tool results outside the prompt. */
import { type Meter, noReport, type UsageReport } from '#core/usage.ts'
import type { StreamMeter } from './dialect.ts'
import { parseAnswer, type Reported, reported, stringOr, tally } from './fields.ts'
import { overflowOddity, type RawEvent, readEvent, SseSplitter } from './sse.ts'

/** A whole answer: one document, or the list of chunks that a stream without SSE is. */
export function readGenerateUsage(body: Uint8Array): UsageReport {
  const answer = parseAnswer(body)
  if (!Array.isArray(answer)) return googleReport(reported(answer))
  const chunks = answer.map(reported).filter((one) => one !== null)
  return googleReport(chunks.reduce<Record<string, unknown> | null>(mergedChunk, null))
}

export function googleReport(answer: Reported | null): UsageReport {
  if (answer === null) return noReport
  const about = {
    ...noReport,
    model: stringOr(answer.modelVersion),
    responseId: stringOr(answer.responseId),
  }
  const usage = reported(answer.usageMetadata)
  if (usage === null) return about
  const prompt = tally(usage.promptTokenCount ?? 0)
  const candidates = tally(usage.candidatesTokenCount ?? 0)
  const total = tally(usage.totalTokenCount ?? 0)
  const zeros = total === 0 && prompt === 0
  if (prompt === null || candidates === null || total === null || zeros) {
    const oddities = zeros ? [] : ['a token count is not a count']
    return { ...about, oddities }
  }
  const oddities: string[] = []
  const counts = countsOf(usage, { prompt, candidates }, oddities)
  const tool = tally(usage.toolUsePromptTokenCount ?? 0) ?? 0
  const thoughts = tally(usage.thoughtsTokenCount ?? 0) ?? 0
  if (total > 0 && prompt + tool + candidates + thoughts !== total) {
    oddities.push('the parts are not their total')
  }
  // Where the total says more than the parts, somebody was billed for it.
  const missing = Math.max(0, total - prompt - tool - candidates - thoughts)
  return {
    ...about,
    oddities,
    tier: tierOf(usage, answer),
    usage: {
      counts: { ...counts, ...searches(answer), output: (counts.output ?? 0) + missing },
      reasoningTokens: thoughts,
    },
  }
}

function countsOf(
  usage: Reported,
  { prompt, candidates }: { prompt: number; candidates: number },
  oddities: string[],
): Partial<Record<Meter, number>> {
  const cached = tally(usage.cachedContentTokenCount ?? 0) ?? 0
  const tool = tally(usage.toolUsePromptTokenCount ?? 0) ?? 0
  const thoughts = tally(usage.thoughtsTokenCount ?? 0) ?? 0
  const audio = modality(usage.promptTokensDetails, 'AUDIO')
  const audioCached = Math.min(audio, modality(usage.cacheTokensDetails, 'AUDIO'))
  const image = modality(usage.promptTokensDetails, 'IMAGE')
  const imageCached = Math.min(image, modality(usage.cacheTokensDetails, 'IMAGE'))
  const audioOut = modality(usage.candidatesTokensDetails, 'AUDIO')
  const imageOut = modality(usage.candidatesTokensDetails, 'IMAGE')
  const freshAudio = audio - audioCached
  const freshImage = image - imageCached
  const fresh = prompt - cached - freshAudio - freshImage
  if (fresh < 0) oddities.push('more is cached than was sent')
  return {
    input: Math.max(0, fresh) + tool,
    cache_read: Math.max(0, cached - audioCached),
    audio_input: freshAudio,
    audio_cache_read: audioCached,
    image_input: freshImage,
    output: Math.max(0, candidates - audioOut - imageOut) + thoughts,
    audio_output: audioOut,
    image_output: imageOut,
  }
}

function modality(details: unknown, name: string): number {
  if (!Array.isArray(details)) return 0
  return details.reduce<number>((sum, one) => {
    const detail = reported(one)
    return detail?.modality === name ? sum + (tally(detail.tokenCount) ?? 0) : sum
  }, 0)
}

function tierOf(usage: Reported, answer: Reported): string | null {
  const said = stringOr(usage.trafficType) ?? stringOr(answer.serviceTier)
  switch (said?.toLowerCase()) {
    case undefined:
      return null
    case 'on_demand':
    case 'standard':
    case 'unspecified':
    case 'traffic_type_unspecified':
      return 'standard'
    case 'on_demand_priority':
    case 'priority':
      return 'priority'
    case 'on_demand_flex':
    case 'on_demand_offpeak':
    case 'flex':
      return 'flex'
    // Paid for by the hour: what it costs at the margin is nothing, what it costs is on the bill.
    case 'provisioned_throughput':
      return 'standard'
    default:
      return String(said)
  }
}

/** Gemini 3 bills each query; Gemini 2.5 a grounded prompt, however many queries it took. */
function searches(answer: Reported): Partial<Record<Meter, number>> {
  const candidates = Array.isArray(answer.candidates) ? answer.candidates : []
  const queries = new Set(
    candidates.flatMap((one) => {
      const asked = reported(reported(one)?.groundingMetadata)?.webSearchQueries
      return Array.isArray(asked) ? asked.map((query) => stringOr(query) ?? '') : []
    }),
  )
  if (queries.size === 0) return {}
  return stringOr(answer.modelVersion)?.startsWith('gemini-2') === true
    ? { grounded_prompt: 1 }
    : { grounding_query: queries.size }
}

/** Chunks carry totals, not differences: the last that counts anything stands. */
function mergedChunk(
  before: Record<string, unknown> | null,
  chunk: Reported,
): Record<string, unknown> {
  const usage = reported(chunk.usageMetadata)
  const counts = usage !== null && (tally(usage.totalTokenCount) ?? 0) > 0
  const candidates = Array.isArray(chunk.candidates) ? chunk.candidates : []
  const grounded = candidates.some(
    (one) => reported(reported(one)?.groundingMetadata)?.webSearchQueries !== undefined,
  )
  return {
    ...before,
    modelVersion: chunk.modelVersion ?? before?.modelVersion,
    responseId: chunk.responseId ?? before?.responseId,
    candidates: grounded ? chunk.candidates : before?.candidates,
    usageMetadata:
      counts || (usage?.promptTokenCount !== undefined && before?.usageMetadata === undefined)
        ? usage
        : before?.usageMetadata,
  }
}

const marks = ['usageMetadata', 'groundingMetadata', 'finishReason', 'blockReason']

/** Asked of the chunk itself: the words may stand in the model's text too. */
function isLast(chunk: Reported): boolean {
  const candidates = Array.isArray(chunk.candidates) ? chunk.candidates : []
  const isEnd = (one: unknown): boolean => stringOr(reported(one)?.finishReason) !== null
  return candidates.some(isEnd) || stringOr(reported(chunk.promptFeedback)?.blockReason) !== null
}

export function meterGenerate(): StreamMeter {
  const splitter = new SseSplitter()
  let last: Record<string, unknown> | null = null
  let finished = false
  const look = ({ bytes, text }: RawEvent): void => {
    if (!marks.some((mark) => text.includes(mark))) return
    const chunk = reported(parseAnswer(Buffer.from(readEvent(bytes).data)))
    if (chunk === null) return
    last = mergedChunk(last, chunk)
    finished ||= isLast(chunk)
  }
  return {
    push: (chunk) => {
      for (const event of splitter.push(chunk)) look(event)
      return chunk
    },
    end: () => {
      look(splitter.take())
      const found = googleReport(last)
      const report = splitter.overflowed
        ? { ...found, oddities: [...found.oddities, overflowOddity] }
        : found
      return { rest: new Uint8Array(0), report, complete: finished && !splitter.overflowed }
    },
  }
}
