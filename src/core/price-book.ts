/**
 * Prices with dates and sources. A name is looked up exactly, byte for byte: no case folding, no
 * prefix, no nearest match, because a guessed price is a wrong ledger. What is not found is
 * unpriced, and policy decides about that; it is never free.
 */
import type { PicosPerUnit, Ratio } from './money.ts'
import type { Instant } from './time.ts'
import type { Meter } from './usage.ts'

export type Vendor = 'anthropic' | 'openai' | 'google'

/** Service tiers in our words. `wire/` maps the providers' words to these. */
export type Tier = 'standard' | 'batch' | 'flex' | 'priority' | 'fast'

/** Pico-USD per unit; an absent meter cannot be billed for this model. */
export type Rates = Readonly<Partial<Record<Meter, PicosPerUnit>>>

/** The whole request moves to the highest band whose threshold its prompt exceeds. */
export interface PriceBand {
  /** Applies when prompt tokens (cached ones included) are greater than this. First band: -1. */
  readonly abovePromptTokens: number
  readonly rates: Rates
}

/** The prices of one model in one stretch of time. */
export interface PriceRow {
  readonly vendor: Vendor
  /** The id we send upstream and print. */
  readonly model: string
  /** Half-open: from is inside, until is not. Null: open-ended. */
  readonly from: Instant | null
  readonly until: Instant | null
  /** Ascending by `abovePromptTokens`; never empty. */
  readonly bands: readonly [PriceBand, ...PriceBand[]]
  /** Multiplier of every token rate, tool fees excepted. `standard` is always present. */
  readonly tiers: Readonly<Partial<Record<Tier, Ratio>>>
  /** Surcharge by place of inference, e.g. us: 11/10. Multiplies token rates. */
  readonly geos: Readonly<Record<string, Ratio>>
  readonly contextWindow: number
  readonly maxOutputTokens: number
  readonly source: string
  /** The day somebody last compared this row with its source, YYYY-MM-DD. */
  readonly checked: string
}

export interface PriceBook {
  /** Hash of the content: kept on every charge, so that it can be recomputed. */
  readonly version: string
  readonly rows: readonly PriceRow[]
  /** Every exact spelling (ids and aliases) → its rows, oldest first. */
  readonly byName: ReadonlyMap<string, readonly PriceRow[]>
}

/** The row in force for this exact spelling at `at`, or null: unpriced. */
export function priceOf(book: PriceBook, name: string, at: Instant): PriceRow | null {
  const rows = book.byName.get(name)
  if (rows === undefined) return null
  const inForce = (row: PriceRow): boolean =>
    (row.from === null || row.from <= at) && (row.until === null || at < row.until)
  return rows.find(inForce) ?? null
}
