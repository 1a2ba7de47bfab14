/** Lines of bills as JSON values, to be sent and kept: amounts are exact decimal strings. */
import type { BillLine, LineKind } from './bill-line.ts'
import { type Decimal, formatDecimal, parseDecimal } from './decimal.ts'

export interface KeptLine {
  readonly provider: string
  readonly format: string
  readonly file: string
  readonly row: number | null
  readonly rows: number
  readonly day: string
  readonly last_day: string
  readonly month: string
  readonly service: string | null
  readonly model: string | null
  readonly kind: LineKind
  readonly quantity: string | null
  readonly unit: string | null
  readonly list: string | null
  readonly net: string | null
  readonly currency: string
  readonly key: string | null
  readonly project: string | null
  readonly workspace: string | null
}

const shown = (amount: Decimal | null): string | null =>
  amount === null ? null : formatDecimal(amount)

export function keptLine(line: BillLine): KeptLine {
  const { source, lastDay, quantity, list, net, tags: _, ...rest } = line
  return {
    ...rest,
    file: source.file,
    row: source.row,
    last_day: lastDay,
    quantity: shown(quantity),
    list: shown(list),
    net: shown(net),
  }
}

/** Null where an amount is none: the line was kept by something else. */
export function lineOfKept(kept: KeptLine): BillLine | null {
  const { file, row, last_day: lastDay, quantity, list, net, ...rest } = kept
  const amounts = [quantity, list, net].map((text) => (text === null ? null : parseDecimal(text)))
  const [q, l, n] = amounts
  if (amounts.some((amount, i) => amount === null && [quantity, list, net][i] !== null)) return null
  return {
    ...rest,
    source: { file, row },
    lastDay,
    quantity: q ?? null,
    list: l ?? null,
    net: n ?? null,
    tags: {},
  }
}
