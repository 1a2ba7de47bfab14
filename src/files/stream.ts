/** A file's rows, one after another, in little memory: CSV, JSON and JSON lines, plain or gzip. */
import { createReadStream } from 'node:fs'
import { createGunzip } from 'node:zlib'
import { csvReader } from '#bills/csv.ts'
import { parseExact, parseLine, rowsOf } from '#bills/documents.ts'
import { FileProblem, type Source, withoutMark } from './find.ts'

/** The columns as the file names them, rows as texts by column. */
export interface RawRows {
  readonly header: readonly string[]
  /** Numbers of the rows in the file: a table's header is row 1, a document's first is 1. */
  readonly rows: readonly (readonly [no: number, cells: readonly (string | null)[]])[]
  readonly bad: readonly (readonly [no: number, message: string])[]
}

/** What a document says of itself, once its rows are through. */
export interface Stated {
  readonly notes: string[]
  readonly totals: { readonly amount: string; readonly from: number; readonly to: number }[]
}

/** Told how many bytes of the file have been read. */
export type Progress = (bytes: number) => void

/** A document in one piece must be held in memory: a larger one has to come as JSON lines. */
const documentMax = 128 * 1024 * 1024

export async function* streamRows(
  source: Source,
  stated: Stated,
  progress: Progress,
): AsyncGenerator<RawRows> {
  if (source.content.kind === 'csv') yield* csvRows(source, source.content.separator, progress)
  else if (source.content.kind === 'json') yield* jsonRows(source, stated, progress)
  else throw new FileProblem(`${source.path} is Parquet: this needs the package @duckdb/node-api`)
}

async function* textOf(source: Source, progress: Progress): AsyncGenerator<string> {
  const file = createReadStream(source.path, { highWaterMark: 1024 * 1024 })
  const bytes = source.isGzip ? file.pipe(createGunzip()) : file
  // Errors of the file itself do not pass through a pipe by themselves.
  if (bytes !== file) file.on('error', (error) => bytes.destroy(error))
  const decoder = new TextDecoder()
  let isFirst = true
  try {
    for await (const chunk of bytes) {
      const text = decoder.decode(chunk as Buffer, { stream: true })
      progress(file.bytesRead)
      yield isFirst ? withoutMark(text) : text
      isFirst = false
    }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new FileProblem(`${source.path} cannot be read to its end: ${why}`)
  }
  yield decoder.decode()
}

async function* csvRows(
  source: Source,
  separator: string,
  progress: Progress,
): AsyncGenerator<RawRows> {
  let header: readonly string[] | null = null
  let no = 0
  let rows: [number, readonly string[]][] = []
  let bad: [number, string][] = []
  const reader = csvReader(separator, (row, isBroken) => {
    no += 1
    if (header === null) header = row
    else if (isBroken) bad.push([no, 'a quote is not closed, or closed too soon'])
    else if (row.length === header.length || endsEmpty(row, header)) rows.push([no, row])
    else bad.push([no, `${row.length} cells, where the header has ${header.length}`])
  })
  const batch = (): RawRows => {
    const made = { header: header ?? [], rows, bad }
    rows = []
    bad = []
    return made
  }
  for await (const text of textOf(source, progress)) {
    reader.push(text)
    yield batch()
  }
  reader.end()
  yield batch()
}

/** Commas too many at the end add nothing: spreadsheets write them. */
const endsEmpty = (row: readonly string[], header: readonly string[]): boolean =>
  row.length > header.length && row.slice(header.length).every((cell) => cell === '')

async function* jsonRows(
  source: Source,
  stated: Stated,
  progress: Progress,
): AsyncGenerator<RawRows> {
  let rest = ''
  /** Null until the first line tells whether lines are documents. */
  let isLines: boolean | null = null
  let no = 0
  const unfold = (document: unknown, line: number): RawRows => {
    const { rows, notes, totals } = rowsOf(document)
    stated.notes.push(...notes)
    for (const { amount, from, to } of totals) {
      stated.totals.push({ amount, from: no + from, to: no + to })
    }
    const header = [...new Set(rows.flatMap((row) => Object.keys(row)))]
    const found = rows.map((row, i): [number, readonly (string | null)[]] => [
      isLines === true && rows.length === 1 ? line : no + i + 1,
      header.map((name) => row[name] ?? null),
    ])
    no += rows.length
    return { header, rows: found, bad: [] }
  }
  let lineNo = 0
  for await (const text of textOf(source, progress)) {
    rest += text
    if (isLines === null) isLines = startsWithWholeLine(rest)
    if (isLines !== true) {
      if (rest.length > documentMax)
        throw new FileProblem(`${source.path} is one document of over 128 MB: give JSON lines`)
      continue
    }
    const lines = rest.split('\n')
    rest = lines.pop() ?? ''
    const first = lineNo + 1
    yield merged(lines.map((line, i) => readLine(line, first + i, unfold)))
    lineNo += lines.length
  }
  if (isLines === true) yield readLine(rest, lineNo + 1, unfold)
  else yield unfold(documentOf(source, rest), 1)
}

/** One line is a document, and more follows: so each is. False: it is one document over many. */
function startsWithWholeLine(text: string): boolean | null {
  const end = text.indexOf('\n')
  if (end === -1) return null
  try {
    JSON.parse(text.slice(0, end))
    return true
  } catch {
    return false
  }
}

function documentOf(source: Source, text: string): unknown {
  try {
    return parseExact(text)
  } catch (error) {
    const where = error instanceof Error ? /at position (\d+)/.exec(error.message)?.[1] : undefined
    const at = where === undefined ? '' : ` at character ${where}`
    throw new FileProblem(`${source.path} is not valid JSON${at}`)
  }
}

function readLine(
  line: string,
  no: number,
  unfold: (document: unknown, no: number) => RawRows,
): RawRows {
  if (line.trim() === '') return { header: [], rows: [], bad: [] }
  try {
    return unfold(parseLine(line), no)
  } catch {
    return { header: [], rows: [], bad: [[no, 'not valid JSON']] }
  }
}

/** Lines of one shape together; a new shape begins where a column is new. */
function merged(parts: readonly RawRows[]): RawRows {
  const header = [...new Set(parts.flatMap((part) => part.header))]
  const rows = parts.flatMap((part) => {
    const at = header.map((name) => part.header.indexOf(name))
    return part.rows.map(
      ([no, cells]) => [no, at.map((i) => (i === -1 ? null : (cells[i] ?? null)))] as const,
    )
  })
  return { header, rows, bad: parts.flatMap((part) => part.bad) }
}
