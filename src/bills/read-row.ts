/** A row of text → what it is: lines, something left out, a total to check, or bad. */
import type { BillLine } from '#core/bill-line.ts'
import { addDecimals, type Decimal, timesWhole } from '#core/decimal.ts'
import { canonical, type Draft, type Format, type RowView } from './format.ts'
import type { Mapping } from './mapped.ts'
import { dayBefore, lookUp, parseAmount, parseDay, parseTags } from './values.ts'

/** Cells by canonical name, as the file has them. */
export type Cells = Readonly<Record<string, string | null | undefined>>

/** A row of a file, or many that agree in every cell, their numbers added up. */
export interface Row {
  readonly file: string
  /** Null for many. */
  readonly no: number | null
  readonly rows: number
  readonly cells: Cells
  /** Sums of plain numbers, for many; what is in `cells` beside them is one cell of each row. */
  readonly sums: Readonly<Record<string, Decimal>> | null
  /** What the first column says where it says "Total". */
  readonly isTotal: boolean
  /** Whether it is about AI, where that was asked already; null where the cells are to be asked. */
  readonly isCovered: boolean | null
}

export type Reading =
  | { readonly kind: 'lines'; readonly lines: readonly BillLine[] }
  /** Not about AI: only its money counts, so that a total can be checked. */
  | { readonly kind: 'left_out'; readonly net: Decimal; readonly currency: string }
  /** A row at the end that says what the rows above add up to. */
  | { readonly kind: 'total'; readonly net: Decimal }
  | { readonly kind: 'bad'; readonly message: string }

export interface ReadOptions {
  readonly mapping: Mapping
  /** Read lines of other services too. */
  readonly all: boolean
}

/** What a file's rows are tried against to find its total: used by SQL as well. */
export const totalWords = '^\\s*(grand\\s+)?total:?\\s*$'
const totalPattern = new RegExp(totalWords, 'i')
export const isTotalCell = (text: string | null | undefined): boolean =>
  text !== null && text !== undefined && totalPattern.test(text)

export function readRow(format: Format, row: Row, options: ReadOptions): Reading {
  const problems: string[] = []
  const view = viewOf(row, problems)
  const currency = (format.currency === null ? '' : view.text(format.currency)).toUpperCase()
  if (row.isTotal) {
    const net = view.amount(format.amounts[0] ?? '')
    return net === null || problems.length > 0
      ? { kind: 'bad', message: 'the total is not a number' }
      : { kind: 'total', net }
  }
  if (!options.all && !(row.isCovered ?? isCovered(format, row.cells))) {
    const net = view.amount(format.amounts[0] ?? '') ?? { digits: 0n, places: 0 }
    if (problems.length > 0) return { kind: 'bad', message: problems.join('; ') }
    return { kind: 'left_out', net, currency: currency || 'USD' }
  }
  const drafts = format.read(view)
  if (problems.length > 0) return { kind: 'bad', message: problems.join('; ') }
  const lines = drafts.flatMap((draft) => lineOf(format, row, draft, currency, options.mapping))
  return { kind: 'lines', lines }
}

/** Whether the row is about AI. A database asks the same words of the same columns. */
export function isCovered({ covers }: Format, cells: Cells): boolean {
  if (covers === null) return true
  const words = new RegExp(covers.words)
  return covers.columns.some((column) => words.test((cells[column] ?? '').toLowerCase()))
}

function viewOf(row: Row, problems: string[]): RowView {
  const bad = (message: string): void => {
    if (!problems.includes(message)) problems.push(message)
  }
  const text = (column: string): string => {
    const cell = (row.cells[column] ?? '').trim()
    return cell === 'NULL' || cell === 'null' ? '' : cell
  }
  const day = (column: string): string | null => {
    const found = parseDay(text(column).slice(0, 10))
    if (found === null) bad(`${column}: "${shown(text(column))}" is not a date`)
    return found
  }
  const amount = (column: string): Decimal | null => {
    const cell = text(column)
    const sum = row.sums?.[column] ?? null
    if (cell === '') return sum
    const found = parseAmount(cell)
    if (found === null) {
      bad(`${column}: "${shown(cell)}" is not a number`)
      return null
    }
    const all = row.rows === 1 ? found : timesWhole(found, BigInt(row.rows))
    return sum === null ? all : addDecimals(sum, all)
  }
  return {
    text,
    bad,
    day,
    month: (column) => (text(column) === '' ? null : (day(column)?.slice(0, 7) ?? null)),
    lastDay(column, first) {
      const end = text(column) === '' ? null : day(column)
      if (end === null) return null
      const last = dayBefore(end)
      return first !== null && last < first ? first : last
    },
    rows: BigInt(row.rows),
    amount,
    money(column) {
      const found = amount(column)
      if (found === null && text(column) === '') bad(`${column} is empty`)
      return found
    },
    tags(column) {
      const found = parseTags(text(column))
      // Tags are names for groups: without them the money still counts.
      return found ?? {}
    },
  }
}

/** Enough of a cell to find it by, without what could move a terminal's cursor. */
const shown = (text: string): string =>
  (text.length > 40 ? `${text.slice(0, 40)}...` : text).replace(/[\p{Cc}\p{Cf}]/gu, '?')

function lineOf(
  format: Format,
  row: Row,
  draft: Draft,
  currency: string,
  mapping: Mapping,
): readonly BillLine[] {
  const { day } = draft
  if (day === null) return []
  const orNull = (text: string | null | undefined): string | null => text || null
  const tags = draft.tags ?? {}
  // What a mapped format's columns mean, its aliases say already.
  const renames = format.id.startsWith('mapped:') ? [] : [...mapping]
  const mapped = Object.fromEntries(
    renames.flatMap(([their, our]) => {
      const value = mappedValue(format, row.cells, tags, their)
      return value === '' ? [] : [[our, value]]
    }),
  )
  return [
    {
      provider: draft.provider,
      format: format.id,
      source: { file: row.file, row: row.no },
      rows: row.rows,
      day,
      lastDay: draft.lastDay ?? day,
      month: draft.month ?? day.slice(0, 7),
      service: orNull(draft.service),
      model: orNull(draft.model),
      kind: draft.kind,
      quantity: draft.quantity ?? null,
      unit: orNull(draft.unit),
      list: draft.list ?? null,
      net: draft.net,
      currency: currency || 'USD',
      key: orNull(draft.key),
      project: orNull(draft.project),
      workspace: orNull(draft.workspace),
      tags: { ...tags, ...mapped },
    },
  ]
}

/** A column of that name, else a tag. */
function mappedValue(
  format: Format,
  cells: Cells,
  tags: Readonly<Record<string, string>>,
  their: string,
): string {
  const cell = cells[lookUp(format.aliases ?? {}, their) ?? their]
  if (cell !== undefined && cell !== null && cell.trim() !== '') return cell.trim()
  return Object.entries(tags).find(([name]) => canonical(name) === their)?.[1] ?? ''
}
