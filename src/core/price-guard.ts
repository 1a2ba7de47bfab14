/**
 * A new price book is looked at before it is used: one wrong digit in a feed would misstate every
 * budget. What moves far, or is gone though it is used, is for a person to accept.
 */
import { bandFor } from './charge.ts'
import { formatUsdPerMillion, type PicosPerUnit } from './money.ts'
import { type PriceBook, priceOf } from './price-book.ts'
import type { Instant } from './time.ts'

/** What is kept of the book that was last in force: USD per million tokens by model. */
export interface PriceSketch {
  readonly version: string
  readonly models: Readonly<Record<string, { readonly input: bigint; readonly output: bigint }>>
}

/** Prices at `now`, without long prompts. */
export function sketch(book: PriceBook, now: Instant): PriceSketch {
  const models: Record<string, { input: bigint; output: bigint }> = {}
  for (const { model } of book.rows) {
    const row = priceOf(book, model, now)
    if (row === null) continue
    const { rates } = bandFor(row, 0)
    models[model] = { input: rates.input ?? 0n, output: rates.output ?? 0n }
  }
  return { version: book.version, models }
}

/** A price may move by half of what it was. */
const farPercent = 50n

/** What a person has to accept, in words. `used`: models of the last 30 days. */
export function moves(
  before: PriceSketch,
  after: PriceSketch,
  used: ReadonlySet<string>,
): readonly string[] {
  if (before.version === after.version) return []
  return Object.entries(before.models).flatMap(([model, was]) => {
    const is = Object.hasOwn(after.models, model) ? after.models[model] : undefined
    if (is === undefined) {
      return used.has(model) ? [`${model} is gone, and was used in the last 30 days`] : []
    }
    return (['input', 'output'] as const).flatMap((meter) => {
      const [old, now] = [was[meter], is[meter]]
      const apart = now > old ? now - old : old - now
      if (apart * 100n <= old * farPercent) return []
      const [from, to] = [old, now].map((picos) => formatUsdPerMillion(picos as PicosPerUnit))
      return [`${model}: ${meter} from ${from} to ${to} USD per million`]
    })
  })
}

/** What is said to who loads it. */
export function refusal(version: string, found: readonly string[]): string {
  const shown = found.slice(0, 20).map((move) => `  ${move}`)
  const more = found.length > 20 ? [`  and ${found.length - 20} more`] : []
  return [
    `price book ${version} moves prices by more than ${farPercent} %, or lacks a model in use:`,
    ...shown,
    ...more,
    'Nothing was changed. If this is right, accept it: --accept-prices, or in the config ' +
      `prices: { accept: ${version} }`,
  ].join('\n')
}
