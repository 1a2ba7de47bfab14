/**
 * Bedrock's usage, ahead of its routes: Converse in the body, ConverseStream in the `metadata`
 * event of a binary event stream, InvokeModel in headers. Cached tokens stand outside
 * `inputTokens`.
 */
import { type Meter, noReport, type UsageReport } from '#core/usage.ts'
import { parseAnswer, type Reported, reported, tally } from './fields.ts'

export function readConverseUsage(body: Uint8Array): UsageReport {
  return converseReport(reported(parseAnswer(body)))
}

function converseReport(answer: Reported | null): UsageReport {
  const usage = reported(answer?.usage)
  const tier = tierOf(reported(answer?.serviceTier)?.type)
  if (usage === null) return { ...noReport, tier }
  const input = tally(usage.inputTokens)
  const output = tally(usage.outputTokens)
  if (input === null || output === null) {
    return { ...noReport, tier, oddities: ['a token count is missing or not a count'] }
  }
  const counts = {
    input,
    output,
    cache_read: tally(usage.cacheReadInputTokens) ?? 0,
    ...writes(usage),
  }
  return { ...noReport, tier, usage: { counts, reasoningTokens: 0 } }
}

/** Writes by time to live; what is not split is five minutes, the default. */
function writes(usage: Reported): Partial<Record<Meter, number>> {
  const details = Array.isArray(usage.cacheDetails) ? usage.cacheDetails.map(reported) : []
  const hour = details.reduce(
    (sum, one) => sum + (one?.ttl === '1h' ? (tally(one.inputTokens) ?? 0) : 0),
    0,
  )
  const total = tally(usage.cacheWriteInputTokens) ?? hour
  return { cache_write_5m: Math.max(0, total - hour), cache_write_1h: hour }
}

const header = 'x-amzn-bedrock-'

/** InvokeModel: the body is the model's own, the counts are in headers. */
export function readInvokeUsage(headers: Readonly<Record<string, string>>): UsageReport {
  const count = (name: string): number | null => {
    const text = headers[`${header}${name}-token-count`]
    return text !== undefined && /^\d{1,12}$/.test(text) ? Number(text) : null
  }
  const tier = tierOf(headers[`${header}service-tier`])
  const input = count('input')
  const output = count('output')
  if (input === null || output === null) return { ...noReport, tier }
  const counts = {
    input,
    output,
    cache_read: count('cache-read-input') ?? 0,
    cache_write_5m: count('cache-write-input') ?? 0,
  }
  return {
    ...noReport,
    tier,
    responseId: headers['x-amzn-requestid'] ?? null,
    usage: { counts, reasoningTokens: 0 },
  }
}

function tierOf(value: unknown): string | null {
  if (typeof value !== 'string') return null
  return value === 'default' || value === 'reserved' ? 'standard' : value
}

const frameBytesMax = 16 * 1024 * 1024

/** Frames of `application/vnd.amazon.eventstream`, split at any byte. Reads, never changes. */
export class EventStreamMeter {
  #rest: Uint8Array = new Uint8Array(0)
  #report: UsageReport = noReport
  #broken = false

  push(chunk: Uint8Array): void {
    if (this.#broken) return
    let bytes = Buffer.concat([this.#rest, chunk])
    // Length of all, length of headers, checksum: then headers, payload, checksum.
    while (bytes.length >= 12) {
      const total = bytes.readUInt32BE(0)
      const headers = bytes.readUInt32BE(4)
      if (total > frameBytesMax || headers + 16 > total) {
        this.#broken = true
        return
      }
      if (bytes.length < total) break
      this.#read(bytes.subarray(12 + headers, total - 4))
      bytes = bytes.subarray(total)
    }
    this.#rest = bytes
  }

  end(): { readonly report: UsageReport; readonly complete: boolean } {
    return { report: this.#report, complete: this.#report.usage !== null && !this.#broken }
  }

  #read(payload: Uint8Array): void {
    const answer = reported(parseAnswer(payload))
    if (reported(answer?.usage) !== null) this.#report = converseReport(answer)
  }
}
