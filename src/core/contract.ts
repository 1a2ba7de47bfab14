/**
 * What was agreed with a provider: list prices become net prices before anything is held, so that
 * a quote, its hold and its charge are all net, and a budget pays what the company pays.
 */
import { type Nanos, type PicosPerUnit, picosPerUnit, type Ratio } from './money.ts'
import type { PriceBand, PriceRow, Rates } from './price-book.ts'
import type { Instant } from './time.ts'
import type { Meter } from './usage.ts'

export type Terms =
  /** Every rate, fees too, times this: 12 % off is 88/100. */
  | { readonly kind: 'discount'; readonly keep: Ratio }
  /** These rates stand in every band; what is not named costs the list price. */
  | { readonly kind: 'fixed'; readonly rates: Rates }
  /** Capacity that is paid for by the month: a call costs nothing more. */
  | { readonly kind: 'provisioned'; readonly monthly: Nanos }

export interface Contract {
  /** The provider as the config names it. */
  readonly provider: string
  /** Exact, as the price book names it; null: all of the provider's. */
  readonly model: string | null
  /** Half-open. Null: open-ended. */
  readonly from: Instant | null
  readonly until: Instant | null
  readonly terms: Terms
}

/** The contract in force: one that names the model before one that does not, else the first. */
export function contractFor(
  contracts: readonly Contract[],
  provider: string,
  model: string,
  at: Instant,
): Contract | null {
  let general: Contract | null = null
  for (const one of contracts) {
    if (one.provider !== provider || !isInForce(one, at)) continue
    if (one.model === model) return one
    if (one.model === null) general ??= one
  }
  return general
}

const isInForce = ({ from, until }: Contract, at: Instant): boolean =>
  (from === null || from <= at) && (until === null || at < until)

/** By contract and list row: made once, so that a call pays a look-up and no arithmetic. */
const made = new WeakMap<Contract, WeakMap<PriceRow, PriceRow>>()

/** `row` at the contract's prices; the same row where there is none. */
export function netOf(row: PriceRow, contract: Contract | null): PriceRow {
  if (contract === null) return row
  const known = made.get(contract) ?? new WeakMap<PriceRow, PriceRow>()
  made.set(contract, known)
  const before = known.get(row)
  if (before !== undefined) return before
  const net = { ...row, bands: mapBands(row.bands, (rates) => agreed(rates, contract.terms)) }
  known.set(row, net)
  return net
}

function mapBands(
  [first, ...higher]: PriceRow['bands'],
  change: (rates: Rates) => Rates,
): PriceRow['bands'] {
  const one = (band: PriceBand): PriceBand => ({ ...band, rates: change(band.rates) })
  return [one(first), ...higher.map(one)]
}

function agreed(rates: Rates, terms: Terms): Rates {
  switch (terms.kind) {
    case 'discount':
      return mapRates(rates, (picos) => scaled(picos, terms.keep))
    case 'fixed':
      return { ...rates, ...terms.rates }
    case 'provisioned':
      return mapRates(rates, () => picosPerUnit(0n))
  }
}

function mapRates(rates: Rates, change: (picos: PicosPerUnit) => PicosPerUnit): Rates {
  const out: Partial<Record<Meter, PicosPerUnit>> = {}
  for (const [meter, picos] of Object.entries(rates)) out[meter as Meter] = change(picos)
  return out
}

/** Up to a whole pico-dollar: never cheaper than what was agreed. */
function scaled(picos: PicosPerUnit, { numerator, denominator }: Ratio): PicosPerUnit {
  return picosPerUnit((picos * numerator + denominator - 1n) / denominator)
}
