/**
 * From what a provider reported to what it costs: the same for a call that passes now, one that is
 * priced again, and one that was only observed.
 */
import { type Charge, charge, type ChargeContext, type ChargeProblem } from './charge.ts'
import { type Contract, contractFor, netOf } from './contract.ts'
import { max } from './money.ts'
import { type PriceBook, type PriceRow, priceOf } from './price-book.ts'
import type { Result } from '#lib/result.ts'
import { succeeded } from '#lib/result.ts'
import type { Instant } from './time.ts'
import type { UsageReport } from './usage.ts'

/** Finds a price by exact name; null: unpriced. */
export type Lookup = (name: string) => PriceRow | null

/** Where prices stand, and what was agreed. */
export interface Prices {
  readonly priceBook: PriceBook
  readonly contracts: readonly Contract[]
}

export interface Priced extends Charge {
  /** Whose price it is, where another model answered than was asked for. */
  readonly oddity: string | null
}

/**
 * Another model may have answered than was asked for: the dearer of the two prices, never the
 * cheaper.
 */
export function priced(
  report: UsageReport,
  row: PriceRow,
  context: ChargeContext,
  lookup: Lookup,
): Result<Priced, ChargeProblem> {
  const asked = charge(report, row, context, lookup)
  if (!asked.ok) return asked
  const served = report.model === null || report.model === row.model ? null : lookup(report.model)
  if (served === null || served.model === row.model) {
    return succeeded({ ...asked.value, oddity: null })
  }
  const other = charge(report, served, context, lookup)
  const cost = other.ok ? max(asked.value.cost, other.value.cost) : asked.value.cost
  const oddity = `answered by ${report.model}, asked for ${row.model}`
  return succeeded({ ...asked.value, cost, oddity })
}

export function listLookup({ priceBook }: Prices, at: Instant): Lookup {
  return (name) => priceOf(priceBook, name, at)
}

/** Prices as they were agreed with this provider. */
export function netLookup(prices: Prices, provider: string, at: Instant): Lookup {
  return (name) => {
    const row = priceOf(prices.priceBook, name, at)
    if (row === null || prices.contracts.length === 0) return row
    return netOf(row, contractFor(prices.contracts, provider, row.model, at))
  }
}
