/**
 * What a format of bill is: a value that says which columns it needs, which of them are numbers
 * that add up, and how a row of text becomes lines. Because the numbers of a row enter its lines
 * only by addition and fixed factors, a row may also stand for many rows that agree in all other
 * columns, with their numbers added up. So a database can squeeze gigabytes into a few thousand
 * such rows, and this one reader gives both their meaning: no rule is written twice.
 */
import type { BillLine } from '#core/bill-line.ts'
import type { Decimal } from '#core/decimal.ts'

/** What a format's reader says of a row; the rest of a line is filled in around it. */
export type Draft = Pick<BillLine, 'provider' | 'kind' | 'net'> &
  Partial<Omit<BillLine, 'day' | 'lastDay' | 'month' | 'source' | 'format' | 'rows'>> & {
    /** The day itself, when null. */
    readonly lastDay?: string | null
    /** That of the day, when null. */
    readonly month?: string | null
    /** Null when the row's date could not be read, which is told as a bad row. */
    readonly day: string | null
  }

/** One row, by canonical column names. What cannot be read is noted, and the row told as bad. */
export interface RowView {
  /** Trimmed; '' when the cell is empty, absent, or says NULL. */
  text(column: string): string
  /** Null when empty. */
  amount(column: string): Decimal | null
  /** The same, of what must not be empty: a bill's line without its amount is a bad row. */
  money(column: string): Decimal | null
  /** 'YYYY-MM-DD' of a date, a time or Unix seconds. Null, and a bad row, when it is none. */
  day(column: string): string | null
  /** The last day before an end that is exclusive, but no day before `first`; null when empty. */
  lastDay(column: string, first: string | null): string | null
  /** 'YYYY-MM' of a billing period's first day; null where the cell is empty. */
  month(column: string): string | null
  /** Tags of a column, by lower-case name without the provider's prefix. */
  tags(column: string): Readonly<Record<string, string>>
  /** How many rows of the file this one stands for: what is not in `amounts` counts so often. */
  readonly rows: bigint
  bad(message: string): void
}

export interface Format {
  /** Such as 'aws-cur'. */
  readonly id: string
  /** For people. */
  readonly name: string
  /** Other names of columns, canonical, and which they mean. */
  readonly aliases?: Readonly<Record<string, string>>
  /** A file with all of these columns is of this format. */
  readonly needs: readonly string[]
  /** Columns of numbers that add up, the money first. */
  readonly amounts: readonly string[]
  /** Columns without which a row cannot be read, whatever is asked. */
  readonly always: readonly string[]
  /** Of the columns above, those with a date: only their first ten characters count. */
  readonly dates: readonly string[]
  /** Further columns that the dimensions need, and `tags` for all else. */
  readonly dimensions: Readonly<Record<string, readonly string[]>>
  /** Which rows are about AI, by words in columns; null when all are. */
  readonly covers: { readonly columns: readonly string[]; readonly words: string } | null
  /** The currency's column; null when the bill is in dollars. */
  readonly currency: string | null
  read(row: RowView): readonly Draft[]
}

/** `line_item_usage_type`, `lineItem/UsageType` and `LineItemUsageType` are one name. */
export function canonical(name: string): string {
  return name.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, '')
}
