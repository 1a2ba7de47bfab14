/**
 * The provider's own books, kept apart from ours on purpose: it prices in its own words and with
 * its own arithmetic, so that a mistake in `core/charge.ts` shows as a difference and not as a
 * match.
 */
import type { PriceRow } from '#core/price-book.ts'

export interface BillLine {
  readonly id: string
  readonly client_request_id: string | null
  readonly dialect: string
  readonly model: string
  readonly usage: Billable
  readonly cost_usd: string
  readonly at: string
}

/** What a provider counts: prompt with everything in it, and the parts that have other prices. */
export interface Billable {
  readonly prompt: number
  readonly cached: number
  readonly written5m: number
  readonly written1h: number
  readonly completion: number
  readonly tier: string
}

export interface Bill {
  readonly total_usd: string
  readonly calls: number
  readonly lines: readonly BillLine[]
}

const usualLines = 200_000

export class Books {
  readonly #linesKept: number
  #total = 0n
  #calls = 0
  #lines: BillLine[] = []

  /** `linesKept`: how many of the newest; the total is of all. */
  constructor(linesKept = usualLines) {
    this.#linesKept = linesKept
  }

  add(line: Omit<BillLine, 'cost_usd'>, row: PriceRow): void {
    const nanos = priced(line.usage, row)
    this.#total += nanos
    this.#calls += 1
    this.#lines.push({ ...line, cost_usd: dollars(nanos) })
    if (this.#lines.length > this.#linesKept) this.#lines.splice(0, this.#linesKept / 10)
  }

  bill(): Bill {
    return { total_usd: dollars(this.#total), calls: this.#calls, lines: this.#lines }
  }

  reset(): void {
    this.#total = 0n
    this.#calls = 0
    this.#lines = []
  }
}

/** Nano-dollars, the whole request at the rates of the band its prompt reached. */
function priced(usage: Billable, row: PriceRow): bigint {
  const { prompt, cached, written5m, written1h, completion } = usage
  let rates = row.bands[0].rates
  for (const band of row.bands) if (prompt > band.abovePromptTokens) rates = band.rates
  const input = rates.input ?? 0n
  const fresh = BigInt(prompt - cached - written5m - written1h)
  const picos =
    fresh * input +
    BigInt(cached) * (rates.cache_read ?? input) +
    BigInt(written5m) * (rates.cache_write_5m ?? input) +
    BigInt(written1h) * (rates.cache_write_1h ?? rates.cache_write_5m ?? input) +
    BigInt(completion) * (rates.output ?? 0n)
  const by = row.tiers[usage.tier as keyof PriceRow['tiers']] ?? { numerator: 1n, denominator: 1n }
  const scaled = picos * by.numerator
  const step = by.denominator * 1000n
  return scaled / step + (scaled % step === 0n ? 0n : 1n)
}

function dollars(nanos: bigint): string {
  return `${nanos / 1_000_000_000n}.${String(nanos % 1_000_000_000n).padStart(9, '0')}`
}
