/**
 * What a call did cost: the plain sum over disjoint classes, exact until one rounding at the end.
 */
import { failed, type Result, succeeded } from '#lib/result.ts'
import { type Nanos, one, type PicosPerUnit, type Ratio, roundPicosUp } from './money.ts'
import type { PriceBand, PriceRow, Tier } from './price-book.ts'
import { count, type Meter, meters, promptTokens, type Usage, type UsageReport } from './usage.ts'

export interface ChargeLine {
  readonly meter: Meter
  readonly quantity: number
  /** List price of one unit, before the multiplier. */
  readonly unitPrice: PicosPerUnit
  /** Service tier times place of inference; 1 for tool fees. */
  readonly multiplier: Ratio
}

export interface Charge {
  readonly lines: readonly ChargeLine[]
  readonly cost: Nanos
}

export interface ChargeProblem {
  readonly kind:
    | 'unknown_tier'
    | 'unknown_geo'
    | 'unpriced_meter'
    | 'unpriced_model'
    | 'beyond_belief'
  readonly message: string
}

/** What was asked for; what the answer says wins. */
export interface ChargeContext {
  readonly tier: string
  readonly geo: string | null
}

/** Meters counted in calls, not tokens: tiers and places do not change their fee. */
export const feeMeters: ReadonlySet<Meter> = new Set<Meter>([
  'web_search',
  'file_search',
  'code_session',
  'grounded_prompt',
  'grounding_query',
])

/** Ten million dollars: beyond it a count is wrong, and the ledger must be able to add it up. */
const costMax = 10_000_000n * 1_000_000_000_000n

/**
 * Prices a report. The whole request moves to the band its prompt, cached tokens included, exceeds.
 * `lookup` finds the rows of other models that worked on the call.
 */
export function charge(
  report: UsageReport,
  row: PriceRow,
  context: ChargeContext,
  lookup: (model: string) => PriceRow | null,
): Result<Charge, ChargeProblem> {
  const lines: ChargeLine[] = []
  const parts = [
    { row, usage: report.usage },
    ...report.others.map(({ model, usage }) => ({ row: lookup(model), usage, model })),
  ]
  for (const part of parts) {
    if (part.row === null) {
      return failed({ kind: 'unpriced_model', message: `"${nameOf(part)}" has no price` })
    }
    if (part.usage === null) continue
    const priced = linesOf(part.usage, part.row, {
      tier: report.tier ?? context.tier,
      geo: report.geo ?? context.geo,
    })
    if (!priced.ok) return priced
    lines.push(...priced.value)
  }
  const picos = lines.reduce((sum, line) => sum + picosOf(line), 0n)
  if (picos > costMax) {
    return failed({ kind: 'beyond_belief', message: 'no call costs this much' })
  }
  return succeeded({ lines, cost: roundPicosUp(picos) })
}

function nameOf(part: object): string {
  return 'model' in part ? String(part.model) : ''
}

function linesOf(
  usage: Usage,
  row: PriceRow,
  context: ChargeContext,
): Result<readonly ChargeLine[], ChargeProblem> {
  const multiplier = multiplierOf(row, context)
  if (!multiplier.ok) return multiplier
  const band = bandFor(row, promptTokens(usage))
  const lines: ChargeLine[] = []
  for (const meter of meters) {
    const quantity = count(usage, meter)
    if (quantity === 0) continue
    const unitPrice = rateOf(band, meter)
    if (unitPrice === null) {
      return failed({
        kind: 'unpriced_meter',
        message: `${row.model} has no price for ${meter}`,
      })
    }
    lines.push({
      meter,
      quantity,
      unitPrice,
      multiplier: feeMeters.has(meter) ? one : multiplier.value,
    })
  }
  return succeeded(lines)
}

/** The band a prompt of this many tokens falls into: the last whose threshold it exceeds. */
export function bandFor(row: PriceRow, prompt: number): PriceBand {
  const [first, ...higher] = row.bands
  let band = first
  for (const next of higher) if (prompt > next.abovePromptTokens) band = next
  return band
}

/**
 * A token class without a rate of its own costs what its kind costs: a cache write of a model that
 * does not bill writes is ordinary input. A fee without a rate is unpriced; it is never free.
 */
export function rateOf({ rates }: PriceBand, meter: Meter): PicosPerUnit | null {
  const own = rates[meter]
  if (own !== undefined) return own
  switch (meter) {
    case 'cache_read':
    case 'cache_write_5m':
    case 'audio_input':
    case 'image_input':
      return rates.input ?? null
    case 'cache_write_1h':
      return rates.cache_write_5m ?? rates.input ?? null
    case 'audio_cache_read':
      return rates.audio_input ?? rates.input ?? null
    case 'audio_output':
    case 'image_output':
      return rates.output ?? null
    default:
      return null
  }
}

export function multiplierOf(
  row: PriceRow,
  { tier, geo }: ChargeContext,
): Result<Ratio, ChargeProblem> {
  // Both are the provider's words: `constructor` must not find what every object inherits.
  const byTier = Object.hasOwn(row.tiers, tier) ? row.tiers[tier as Tier] : undefined
  if (byTier === undefined) {
    return failed({ kind: 'unknown_tier', message: `${row.model} has no price for tier "${tier}"` })
  }
  // A place without a surcharge costs the list price; only places that cost more are listed.
  const byGeo = geo !== null && Object.hasOwn(row.geos, geo) ? (row.geos[geo] ?? one) : one
  return succeeded({
    numerator: byTier.numerator * byGeo.numerator,
    denominator: byTier.denominator * byGeo.denominator,
  })
}

/** Pico-USD of a line. A fraction of a pico-dollar is carried up, so the sum is never too small. */
export function picosOf({ quantity, unitPrice, multiplier }: ChargeLine): bigint {
  const { numerator, denominator } = multiplier
  return (BigInt(quantity) * unitPrice * numerator + denominator - 1n) / denominator
}
