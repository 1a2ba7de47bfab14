/** One line of a provider's bill, as every format of bill is read into it. */
import type { Decimal } from './decimal.ts'

/**
 * What a line is for. The first four are classes of tokens, which do not overlap; `commitment` is
 * what was bought in advance (savings plans, provisioned capacity); `other` is a line whose meaning
 * the format's reader does not know: it is counted, and shown as such.
 */
export const lineKinds = [
  'input',
  'output',
  'cache_read',
  'cache_write',
  'tool',
  'storage',
  'tax',
  'credit',
  'discount',
  'refund',
  'commitment',
  'adjustment',
  'other',
] as const
export type LineKind = (typeof lineKinds)[number]

/** Where a line stands, for people who look it up: the header of a table is row 1. */
export interface LineSource {
  readonly file: string
  /** Null where the line stands for many rows, added up by the reader. */
  readonly row: number | null
}

export interface BillLine {
  /** 'anthropic', 'openai', 'aws', 'azure', 'gcp', or another as a FOCUS file names it. */
  readonly provider: string
  /** The format it was read from, such as 'aws-cur': what tells that two bills overlap. */
  readonly format: string
  readonly source: LineSource
  /** How many rows of the file it stands for. */
  readonly rows: number
  /** The UTC day of use, 'YYYY-MM-DD'. */
  readonly day: string
  /** The last UTC day of use: `day`, but for bills by the month. */
  readonly lastDay: string
  /** The invoice's month, 'YYYY-MM', which may not be the day's. */
  readonly month: string
  readonly service: string | null
  readonly model: string | null
  readonly kind: LineKind
  readonly quantity: Decimal | null
  /** 'tokens' where the bill's unit is some number of tokens, else the bill's own words. */
  readonly unit: string | null
  /** At list price; null where the bill does not say. */
  readonly list: Decimal | null
  /** What is to be paid, in `currency`; null in reports of usage, which have no money. */
  readonly net: Decimal | null
  /** ISO 4217, upper case. */
  readonly currency: string
  readonly key: string | null
  readonly project: string | null
  readonly workspace: string | null
  /** The provider's tags or labels, and what was mapped: `agent`, `team` and others. */
  readonly tags: Readonly<Record<string, string>>
}

/** The columns of a line that costs can be grouped by; any other name is looked up in the tags. */
export const dimensions = [
  'day',
  'month',
  'provider',
  'service',
  'model',
  'kind',
  'key',
  'project',
  'workspace',
] as const
export type Dimension = (typeof dimensions)[number]

export const isDimension = (name: string): name is Dimension =>
  (dimensions as readonly string[]).includes(name)

/** What the line says of `name`: a dimension, else a tag; null when it says nothing. */
export function partOf(line: BillLine, name: string): string | null {
  const tag = Object.hasOwn(line.tags, name) ? line.tags[name] : ''
  if (tag !== undefined && tag !== '') return tag
  return isDimension(name) ? line[name] : null
}
