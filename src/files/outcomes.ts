/** Tables of outcomes → those that count, each once. */
import { canonical } from '#bills/format.ts'
import type { Mapping } from '#bills/mapped.ts'
import {
  isConfirmed,
  outcomeColumns,
  type OutcomeColumns,
  type OutcomeRow,
  readOutcome,
} from '#bills/outcomes.ts'
import type { BadRow } from './bill.ts'
import { findFiles, openSource } from './find.ts'
import { headerOf, parquetRows } from './squeezed.ts'
import { streamRows } from './stream.ts'

export interface OutcomeOptions {
  readonly mappingFor: (header: readonly string[]) => Mapping
  /** Statuses that count, canonical; null for the usual ones. */
  readonly confirmed: ReadonlySet<string> | null
  /** Types that count; null for all. */
  readonly types: ReadonlySet<string> | null
}

export interface Outcomes {
  /** Confirmed, of the asked types, each id once. */
  readonly counted: readonly OutcomeRow[]
  readonly duplicates: number
  /** How many have which status that does not count. */
  readonly open: ReadonlyMap<string, number>
  readonly otherTypes: ReadonlyMap<string, number>
  readonly types: ReadonlyMap<string, number>
  readonly columns: OutcomeColumns
  readonly header: readonly string[]
  readonly bad: readonly BadRow[]
}

const add = (counts: Map<string, number>, name: string): void => {
  counts.set(name, (counts.get(name) ?? 0) + 1)
}

export async function readOutcomes(
  patterns: readonly string[],
  options: OutcomeOptions,
): Promise<Outcomes> {
  const kept = new Map<string, OutcomeRow>()
  const bad: BadRow[] = []
  let columns: OutcomeColumns = {}
  let header: readonly string[] = []
  let duplicates = 0
  let nameless = 0
  for (const source of findFiles(patterns).map(openSource)) {
    header = await headerOf(source)
    columns = outcomeColumns(header, options.mappingFor(header))
    const parquet = source.content.kind === 'parquet'
    const stated = { notes: [], totals: [] }
    const batches = parquet ? parquetRows(source) : streamRows(source, stated, () => {})
    for await (const batch of batches) {
      const names = batch.header.map(canonical)
      for (const [row, message] of batch.bad) bad.push({ file: source.path, row, message })
      for (const [no, cells] of batch.rows) {
        const read = readOutcome(columns, Object.fromEntries(names.map((n, i) => [n, cells[i]])))
        if (typeof read === 'string') {
          bad.push({ file: source.path, row: no, message: read })
          continue
        }
        nameless += 1
        const key = read.id === null ? `row ${nameless}` : `${read.type ?? ''}\n${read.id}`
        const before = kept.get(key)
        if (before !== undefined) duplicates += 1
        kept.set(key, before === undefined ? read : laterOf(before, read, options))
      }
    }
  }
  return { ...sorted([...kept.values()], options), duplicates, columns, header, bad }
}

/**
 * Of two rows of one outcome the later says how it stands. Where times do not tell, one that is
 * open is believed: a case that was opened again is not resolved.
 */
function laterOf(a: OutcomeRow, b: OutcomeRow, { confirmed }: OutcomeOptions): OutcomeRow {
  const order = timeOf(a) - timeOf(b)
  if (order !== 0 && !Number.isNaN(order)) return order > 0 ? a : b
  const areDays = Number.isNaN(order) && a.day !== null && b.day !== null
  if (areDays && a.day !== b.day) return (a.day ?? '') > (b.day ?? '') ? a : b
  return a.status !== null && !isConfirmed(a.status, confirmed) ? a : b
}

/** Of rows with a time of day that time, else NaN; a day alone says only that it is another day. */
function timeOf({ day, at }: OutcomeRow): number {
  if (!/\d:\d/.test(at)) return Number.NaN
  const time = Date.parse(at)
  return Number.isNaN(time) && day !== null ? Number.NaN : time
}

function sorted(rows: readonly OutcomeRow[], { confirmed, types }: OutcomeOptions) {
  const counted: OutcomeRow[] = []
  const open = new Map<string, number>()
  const otherTypes = new Map<string, number>()
  const found = new Map<string, number>()
  for (const row of rows) {
    const { status, type } = row
    if (types !== null && !types.has((type ?? '').toLowerCase())) {
      add(otherTypes, type || '(no type)')
    } else if (status !== null && !isConfirmed(status, confirmed)) {
      add(open, status || '(no status)')
    } else {
      counted.push(row)
      if (type !== null) add(found, type)
    }
  }
  return { counted, open, otherTypes, types: found }
}
