/** The price book as rows of a table. */
import { formatUsdPerMillion } from '#core/money.ts'
import type { PriceBook, PriceRow } from '#core/price-book.ts'
import { type Instant, toIso } from '#core/time.ts'

type Row = Readonly<Record<string, unknown>>

/** Prices in force at `now`, or every dated row of one model. USD per million tokens or calls. */
export function priceRows(
  book: PriceBook,
  model: string | undefined,
  now: Instant,
): readonly Row[] {
  const wanted =
    model === undefined
      ? book.rows.filter((row) => isInForce(row, now))
      : (book.byName.get(model) ?? [])
  const names = [...book.byName]
  return wanted.flatMap((row) =>
    row.bands.map((band) => {
      const rates = Object.fromEntries(
        Object.entries(band.rates).map(([meter, picos]) => [meter, formatUsdPerMillion(picos)]),
      )
      const aliases = names
        .filter(([name, [first]]) => first?.model === row.model && name !== row.model)
        .map(([name]) => name)
      return {
        model: row.model,
        aliases,
        vendor: row.vendor,
        from: row.from === null ? null : toIso(row.from),
        until: row.until === null ? null : toIso(row.until),
        above: band.abovePromptTokens < 0 ? null : band.abovePromptTokens,
        ...rates,
        rates,
        tiers: Object.keys(row.tiers).join(' '),
        context_window: row.contextWindow,
        max_output_tokens: row.maxOutputTokens,
        source: row.source,
        checked: row.checked,
      }
    }),
  )
}

function isInForce(row: PriceRow, now: Instant): boolean {
  return (row.from === null || row.from <= now) && (row.until === null || now < row.until)
}
