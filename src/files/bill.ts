/** A bill's files → its lines, and everything about them that a person must be told. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import type { BillLine } from '#core/bill-line.ts'
import {
  addDecimals,
  compareDecimals,
  type Decimal,
  decimalZero,
  formatDecimal,
} from '#core/decimal.ts'
import type { Format } from '#bills/format.ts'
import { columnsFor, namesIn, recognise } from '#bills/formats.ts'
import type { Mapping } from '#bills/mapped.ts'
import { isTotalCell, readRow, type Reading, type Row } from '#bills/read-row.ts'
import { parseAmount } from '#bills/values.ts'
import { findFiles, openSource, type Source } from './find.ts'
import { groupedRows, headerOf, parquetRows, worthSqueezing } from './squeezed.ts'
import { type Stated, streamRows } from './stream.ts'

export interface BillOptions {
  /** Dimensions that lines will be grouped by: only these are told apart in large files. */
  readonly wanted: readonly string[]
  /** Which of a file's columns are which, by its header. */
  readonly mappingFor: (header: readonly string[]) => Mapping
  /** Lines of other services too. */
  readonly all: boolean
  /** How a file is read: `auto` takes the database for large ones and for Parquet. */
  readonly engine: 'auto' | 'rows' | 'sql'
  /** Bytes done of all bytes. */
  readonly progress: (done: number, of: number) => void
}

export interface BillFile {
  readonly path: string
  readonly format: Format
  readonly rows: number
  readonly hasMoney: boolean
}

export interface BadRow {
  readonly file: string
  /** Null where it is the file as a whole. */
  readonly row: number | null
  readonly message: string
}

export interface LeftOut {
  readonly file: string
  readonly currency: string
  rows: number
  net: Decimal
}

export interface BillReport {
  readonly files: readonly BillFile[]
  /** Columns that no format has: with what each could be. */
  readonly unknown: readonly { readonly path: string; readonly header: readonly string[] }[]
  readonly leftOut: readonly LeftOut[]
  readonly bad: readonly BadRow[]
}

interface Reader {
  readonly source: Source
  readonly format: Format
  readonly header: readonly string[]
  readonly mapping: Mapping
  readonly options: BillOptions
  readonly onLine: (line: BillLine) => void
  readonly leftOut: Map<string, LeftOut>
  readonly bad: BadRow[]
  readonly stated: Stated
  readonly progress: (bytes: number) => void
  rows: number
  hasMoney: boolean
  sum: Decimal
  total: Decimal | null
  /** Rows known to be bad whose place is not known yet. */
  lost: number
}

/** Bad rows that are named one by one; beyond that they are counted. */
const namedMax = 20

/** Calls `onLine` for every line of every file; a file that was given twice is read once. */
export async function readBill(
  patterns: readonly string[],
  options: BillOptions,
  onLine: (line: BillLine) => void,
): Promise<BillReport> {
  const sources = findFiles(patterns).map(openSource)
  const all = sources.reduce((sum, { bytes }) => sum + bytes, 0)
  const files: BillFile[] = []
  const unknown: { path: string; header: readonly string[] }[] = []
  const leftOut = new Map<string, LeftOut>()
  const bad: BadRow[] = []
  const seen = new Map<string, string>()
  let before = 0
  for (const source of sources) {
    const twin = await twinOf(source, sources, seen)
    if (twin !== null) {
      const message = `the same file as ${twin}: it is counted once`
      bad.push({ file: source.path, row: null, message })
      continue
    }
    const header = await headerOf(source)
    const mapping = options.mappingFor(header)
    const format = recognise(header, mapping)
    if (format === null) {
      unknown.push({ path: source.path, header })
      continue
    }
    const start = before
    const reader: Reader = {
      ...{ source, format, header, mapping, options, onLine, leftOut, bad },
      ...{ rows: 0, hasMoney: false, sum: decimalZero, total: null, lost: 0 },
      stated: { notes: [], totals: [] },
      progress: (bytes) => options.progress(start + Math.min(bytes, source.bytes), all),
    }
    await readFile(reader)
    files.push({ path: source.path, format, rows: reader.rows, hasMoney: reader.hasMoney })
    before += source.bytes
  }
  return { files, unknown, leftOut: [...leftOut.values()], bad }
}

/** An earlier file with the same bytes; only files of one size are looked at. */
async function twinOf(
  source: Source,
  all: readonly Source[],
  seen: Map<string, string>,
): Promise<string | null> {
  if (all.filter(({ bytes }) => bytes === source.bytes).length < 2) return null
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(source.path)) hash.update(chunk as Buffer)
  const digest = hash.digest('hex')
  const twin = seen.get(digest) ?? null
  if (twin === null) seen.set(digest, source.path)
  return twin
}

async function readFile(reader: Reader): Promise<void> {
  const { source, options } = reader
  const isParquet = source.content.kind === 'parquet'
  const squeeze = options.engine === 'sql' || (options.engine === 'auto' && isParquet)
  if (options.engine !== 'rows' && (squeeze || (await worthSqueezing(source)))) {
    await readSqueezed(reader)
  } else await readEach(reader, (reading, row) => take(reader, reading, row))
  checkTotals(reader)
}

async function readSqueezed(reader: Reader): Promise<void> {
  const { source, format, header, mapping, options } = reader
  const keys = columnsFor(format, options.wanted, mapping)
  let isDone: boolean
  try {
    isDone = await groupedRows(source, header, format, {
      keys: [...keys],
      all: options.all,
      progress: reader.progress,
      onRow: (row) => take(reader, readRow(format, row, { mapping, all: options.all }), row),
    })
  } catch (error) {
    // Groups come out when all is read: of a text that the database gives up on, none has yet.
    if (source.content.kind === 'parquet' || reader.rows > 0) throw error
    isDone = false
  }
  if (!isDone) return readEach(reader, (reading, row) => take(reader, reading, row))
  if (reader.lost > 0) await nameBadRows(reader)
}

/** A group does not know its rows' numbers: they are looked up, where that must be. */
async function nameBadRows(reader: Reader): Promise<void> {
  const { source, bad } = reader
  const found: BadRow[] = []
  let count = 0
  await readEach(reader, (reading, row) => {
    if (reading.kind !== 'bad') return
    count += 1
    if (found.length < namedMax) {
      found.push({ file: source.path, row: row.no, message: reading.message })
    }
  })
  bad.push(...found)
  const rest = Math.max(count, reader.lost) - found.length
  if (rest > 0) {
    bad.push({ file: source.path, row: null, message: `${rest} more bad rows like these` })
  }
}

/** Every row by itself, with its number. */
async function readEach(
  reader: Reader,
  onReading: (reading: Reading, row: Row) => void,
): Promise<void> {
  const { source, format, mapping, options, stated } = reader
  const batches =
    source.content.kind === 'parquet'
      ? parquetRows(source)
      : streamRows(source, stated, reader.progress)
  let names: readonly string[] = []
  let last: readonly string[] | null = null
  for await (const { header, rows, bad } of batches) {
    if (header !== last) names = namesIn(format, header)
    last = header
    for (const [no, cells] of rows) {
      const row = rowOf(source.path, no, names, cells)
      onReading(readRow(format, row, { mapping, all: options.all }), row)
    }
    for (const [no, message] of bad) {
      onReading({ kind: 'bad', message }, rowOf(source.path, no, [], []))
    }
  }
}

function rowOf(
  file: string,
  no: number,
  names: readonly string[],
  values: readonly (string | null)[],
): Row {
  const cells: Record<string, string | null> = {}
  for (let i = 0; i < names.length; i += 1) cells[names[i] ?? ''] = values[i] ?? null
  return {
    ...{ file, no, rows: 1, cells, sums: null },
    ...{ isTotal: isTotalCell(values[0]), isCovered: null },
  }
}

function take(reader: Reader, reading: Reading, row: Row): void {
  switch (reading.kind) {
    case 'lines':
      reader.rows += row.rows
      for (const line of reading.lines) {
        if (line.net !== null) {
          reader.hasMoney = true
          reader.sum = addDecimals(reader.sum, line.net)
        }
        reader.onLine(line)
      }
      return
    case 'left_out': {
      reader.rows += row.rows
      reader.sum = addDecimals(reader.sum, reading.net)
      reader.hasMoney = true
      const key = `${reader.source.path} ${reading.currency}`
      const have = reader.leftOut.get(key)
      if (have === undefined) {
        const { net, currency } = reading
        reader.leftOut.set(key, { file: row.file, rows: row.rows, net, currency })
      } else {
        have.rows += row.rows
        have.net = addDecimals(have.net, reading.net)
      }
      return
    }
    case 'total':
      reader.total = reading.net
      return
    case 'bad':
      reader.rows += row.rows
      if (row.no === null) reader.lost += row.rows
      else pushBad(reader, { file: row.file, row: row.no, message: reading.message })
  }
}

function pushBad({ bad, source }: Reader, one: BadRow): void {
  const named = bad.filter(({ file, row }) => file === source.path && row !== null).length
  if (named < namedMax) bad.push(one)
  else {
    const last = bad.at(-1)
    const more = /^(\d+) more bad rows/.exec(last?.message ?? '')
    if (more !== null && last?.file === one.file) bad.pop()
    const count = 1 + Number(more?.[1] ?? 0)
    bad.push({ file: one.file, row: null, message: `${count} more bad rows like these` })
  }
}

/** A total that the file states is either met to the last digit, or told. */
function checkTotals({ source, stated, total, sum, bad }: Reader): void {
  const file = source.path
  for (const message of stated.notes) bad.push({ file, row: null, message })
  const differs = (said: Decimal): string =>
    `its total says ${formatDecimal(said)}, its rows add up to ${formatDecimal(sum)}`
  if (total !== null && compareDecimals(total, sum) !== 0) {
    bad.push({ file, row: null, message: differs(total) })
  }
  const said = stated.totals.map(({ amount }) => parseAmount(amount) ?? decimalZero)
  if (said.length === 0) return
  const all = said.reduce(addDecimals)
  if (compareDecimals(all, sum) !== 0) bad.push({ file, row: null, message: differs(all) })
}
