/** Anthropic's usage: cached tokens stand outside `input_tokens`; streams carry running totals. */
import { type Meter, noReport, type Usage, type UsageReport } from '#core/usage.ts'
import type { StreamMeter } from './dialect.ts'
import { counted, parseAnswer, type Reported, reported, stringOr, tally } from './fields.ts'
import { overflowOddity, type RawEvent, readEvent, SseSplitter } from './sse.ts'

export function readMessagesUsage(body: Uint8Array): UsageReport {
  return anthropicReport(reported(parseAnswer(body)))
}

export function anthropicReport(message: Reported | null): UsageReport {
  if (message === null) return noReport
  const about = {
    ...noReport,
    model: stringOr(message.model),
    responseId: stringOr(message.id),
  }
  const usage = reported(message.usage)
  return usage === null ? about : { ...about, ...usageOf(usage) }
}

type Parts = Pick<UsageReport, 'usage' | 'tier' | 'geo' | 'others' | 'oddities'>

function usageOf(usage: Reported): Parts {
  const oddities: string[] = []
  const iterations = Array.isArray(usage.iterations)
    ? usage.iterations.map(reported).filter((one) => one !== null)
    : []
  const main = iterations.filter(({ type }) => type !== 'advisor_message')
  const own =
    main.length > 0 ? sum(main.map((one) => countsOf(one, oddities))) : countsOf(usage, oddities)
  const others = iterations
    .filter(({ type }) => type === 'advisor_message')
    .flatMap((one) => {
      const counts = countsOf(one, oddities)
      const model = stringOr(one.model)
      if (counts === null || model === null) {
        oddities.push('an advisor iteration without its model or tokens')
        return []
      }
      return [{ model, usage: { counts, reasoningTokens: 0 } }]
    })
  const searches = tally(reported(usage.server_tool_use)?.web_search_requests) ?? 0
  const thinking = tally(reported(usage.output_tokens_details)?.thinking_tokens) ?? 0
  const whole: Usage | null =
    own === null ? null : { counts: { ...own, web_search: searches }, reasoningTokens: thinking }
  return {
    usage: whole,
    tier: tierOf(usage),
    geo: geoOf(usage),
    others,
    oddities,
  }
}

type Counts = Partial<Record<Meter, number>>

/** Null where input or output is missing or no count: then nothing is known. */
function countsOf(usage: Reported, oddities: string[]): Counts | null {
  const input = tally(usage.input_tokens)
  const output = tally(usage.output_tokens)
  if (input === null || output === null) {
    oddities.push('a token count is missing or not a count')
    return null
  }
  const read = counted(usage, 'cache_read_input_tokens', oddities) ?? 0
  const split = reported(usage.cache_creation) ?? {}
  const fiveMinutes = counted(split, 'ephemeral_5m_input_tokens', oddities) ?? 0
  const hour = counted(split, 'ephemeral_1h_input_tokens', oddities) ?? 0
  const total = counted(usage, 'cache_creation_input_tokens', oddities) ?? fiveMinutes + hour
  const excess = total - fiveMinutes - hour
  if (excess < 0) oddities.push('cache writes by time are more than their total')
  if (excess > 0) oddities.push(`${excess} cache writes without a time: taken as 5 minutes`)
  // Later turns of a server tool write without saying for how long: five minutes is the default.
  return {
    input,
    output,
    cache_read: read,
    cache_write_5m: fiveMinutes + Math.max(0, excess),
    cache_write_1h: hour,
  }
}

function sum(all: readonly (Counts | null)[]): Counts | null {
  const total: Record<string, number> = {}
  for (const counts of all) {
    if (counts === null) return null
    for (const [meter, count] of Object.entries(counts)) {
      total[meter] = (total[meter] ?? 0) + count
    }
  }
  return total
}

function tierOf(usage: Reported): string | null {
  if (usage.speed === 'fast') return 'fast'
  // Priority tier is committed capacity: what it costs a call is the list price at most.
  if (usage.service_tier === 'batch') return 'batch'
  return usage.service_tier === undefined && usage.speed === undefined ? null : 'standard'
}

function geoOf({ inference_geo: geo }: Reported): string | null {
  return geo === 'global' || geo === 'not_available' ? null : stringOr(geo)
}

/** `message_start` has the input, `message_delta` running totals: the last value said stands. */
export function meterMessages(): StreamMeter {
  const splitter = new SseSplitter()
  let message: Record<string, unknown> | null = null
  let usage: Record<string, unknown> = {}
  let final = false
  let broken = false
  const look = ({ bytes, text }: RawEvent): void => {
    if (!text.includes('message_') && !text.includes('error')) return
    const said = reported(parseAnswer(Buffer.from(readEvent(bytes).data)))
    if (said?.type === 'message_start') {
      message = { ...reported(said.message) }
      usage = merged(usage, reported(message.usage))
    } else if (said?.type === 'message_delta') {
      usage = merged(usage, reported(said.usage))
      // Running totals may come more than once; the one with a stop reason is the last.
      if (reported(said.usage) !== null && reported(said.delta)?.stop_reason != null) final = true
    } else if (said?.type === 'message_stop') final ||= usage.output_tokens !== undefined
    else if (said?.type === 'error') broken = true
  }
  return {
    push: (chunk) => {
      for (const event of splitter.push(chunk)) look(event)
      return chunk
    },
    end: () => {
      look(splitter.take())
      const found = anthropicReport(message === null ? null : { ...message, usage })
      const report = splitter.overflowed
        ? { ...found, oddities: [...found.oddities, overflowOddity] }
        : found
      return { rest: new Uint8Array(0), report, complete: final && !broken }
    },
  }
}

const usageNamesMax = 64

function merged(before: Record<string, unknown>, now: Reported | null): Record<string, unknown> {
  const said = Object.entries(now ?? {}).filter(
    ([, value]) => value !== null && value !== undefined,
  )
  // New names in every event would grow it without end; the real ones are a dozen.
  const room = usageNamesMax - Object.keys(before).length
  const kept = said.filter(([name]) => Object.hasOwn(before, name))
  const added = said.filter(([name]) => !Object.hasOwn(before, name)).slice(0, Math.max(0, room))
  return { ...before, ...Object.fromEntries([...kept, ...added]) }
}
