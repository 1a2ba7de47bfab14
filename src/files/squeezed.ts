/** Large files and Parquet through the database: groups of rows, or rows one by one. */
import { addDecimals, type Decimal, decimalZero, parseDecimal } from '#core/decimal.ts'
import type { Format } from '#bills/format.ts'
import { namesIn } from '#bills/formats.ts'
import { type Row, totalWords } from '#bills/read-row.ts'
import {
  csvTable,
  type Desk,
  loadDuckDb,
  openDesk,
  parquetTable,
  queried,
  squeezeSql,
  type Table,
} from './duckdb.ts'
import { FileProblem, type Source } from './find.ts'
import { type RawRows, streamRows } from './stream.ts'

/** Below this, text is read sooner than a database is loaded. */
const largeBytes = 32 * 1024 * 1024
/** What a gzip file grows by, roughly. */
const unzipped = 8

export async function worthSqueezing(source: Source): Promise<boolean> {
  const bytes = source.bytes * (source.isGzip ? unzipped : 1)
  if (bytes < largeBytes || csvTable(source) === null) return false
  return (await loadDuckDb()) !== null
}

async function tableOf(desk: Desk, source: Source): Promise<Table> {
  if (source.content.kind === 'parquet') return parquetTable(desk, source)
  const table = csvTable(source)
  if (table === null) throw new FileProblem(`${source.path} cannot be read by the database`)
  return table
}

/** The columns of a file: of JSON, those of its first rows. */
export async function headerOf(source: Source): Promise<readonly string[]> {
  if (source.content.kind === 'csv') return source.content.header
  if (source.content.kind === 'parquet') {
    await using desk = await openDesk()
    return (await parquetTable(desk, source)).columns.map(({ name }) => name)
  }
  for await (const { header } of streamRows(source, { notes: [], totals: [] }, () => {})) {
    if (header.length > 0) return header
  }
  throw new FileProblem(`${source.path} has no rows`)
}

export interface Grouping {
  /** Columns to be told apart, canonical. */
  readonly keys: readonly string[]
  /** Of other services too. */
  readonly all: boolean
  readonly progress: (bytes: number) => void
  readonly onRow: (row: Row) => void
}

/**
 * Calls `onRow` for each group. False, and no group, where the file has rows that are no rows of a
 * table: what such a row does to its neighbours, two readers see in two ways, so one must read all.
 */
export async function groupedRows(
  source: Source,
  header: readonly string[],
  format: Format,
  { keys, all, progress, onRow }: Grouping,
): Promise<boolean> {
  await using desk = await openDesk()
  const table = await tableOf(desk, source)
  const { amounts, dates, currency } = format
  const covers = all ? null : format.covers
  // A column can be both asked for and added up: its number is what counts.
  const kept = keys.filter((key) => !amounts.includes(key))
  const squeeze = { keys: kept, dates, amounts, covers, always: currency, totalWords }
  const sql = squeezeSql(table, namesIn(format, header), squeeze)
  const timer = setInterval(() => {
    progress((source.bytes * Math.max(0, desk.connection.progress.percentage)) / 100)
  }, 200)
  try {
    await desk.connection.run(`CREATE TEMP TABLE squeezed AS ${sql}`)
    if ((await rejected(desk, source)) > 0) return false
    for await (const rows of queried(desk, 'SELECT * FROM squeezed')) {
      for (const row of rows) onRow(groupOf(source.path, amounts, kept, row))
    }
    progress(source.bytes)
    return true
  } finally {
    clearInterval(timer)
  }
}

/** `covered, total, k..., o..., s..., l..., n`, in the order in which the query gives them. */
function groupOf(
  file: string,
  amounts: readonly string[],
  keys: readonly string[],
  row: readonly unknown[],
): Row {
  const text = (i: number): string | null => (row[i] === null ? null : String(row[i]))
  const cells: Record<string, string | null> = {}
  const sums: Record<string, Decimal> = {}
  keys.forEach((key, i) => {
    cells[key] = text(2 + i)
  })
  const from = 2 + keys.length
  amounts.forEach((amount, i) => {
    cells[amount] = text(from + i)
    // Short numbers and long ones are added up apart.
    for (const at of [from + amounts.length + i, from + 2 * amounts.length + i]) {
      const sum = parseDecimal(text(at) ?? '')
      if (sum !== null) sums[amount] = addDecimals(sums[amount] ?? decimalZero, sum)
    }
  })
  const rows = Number(text(from + 3 * amounts.length))
  return {
    ...{ file, no: null, rows, cells, sums },
    isTotal: row[1] === true,
    // The words were looked for where the rows were: the columns they stand in are not kept.
    isCovered: row[0] === true,
  }
}

async function rejected({ connection }: Desk, source: Source): Promise<number> {
  if (source.content.kind !== 'csv') return 0
  const count = 'SELECT CAST(count(*) AS INTEGER) FROM reject_errors'
  const [row] = (await connection.runAndReadAll(count)).getRowsJS()
  return Number(row?.[0] ?? 0)
}

/** The rows of a Parquet file as texts, numbered from 1. */
export async function* parquetRows(source: Source): AsyncGenerator<RawRows> {
  await using desk = await openDesk()
  const { from, columns } = await parquetTable(desk, source)
  const header = columns.map(({ name }) => name)
  const select = columns.map(({ sql }) => sql).join(', ')
  await desk.connection.run('SET preserve_insertion_order = true')
  let no = 0
  for await (const found of queried(desk, `SELECT ${select} FROM ${from}`)) {
    const rows = found.map((row): [number, readonly (string | null)[]] => {
      no += 1
      return [no, row.map((cell) => (cell === null ? null : String(cell)))]
    })
    yield { header, rows, bad: [] }
  }
}
