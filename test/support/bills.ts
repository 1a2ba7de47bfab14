/** Bills for tests: files made of tables, read in every way there is. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BillLine, partOf } from '#core/bill-line.ts'
import { addDecimals, type Decimal, decimalZero, formatDecimal } from '#core/decimal.ts'
import { csvReader, separatorOf } from '#bills/csv.ts'
import { parseExact, rowsOf } from '#bills/documents.ts'
import { type BillOptions, type BillReport, readBill } from '#files/bill.ts'
import { openDesk } from '#files/duckdb.ts'

/** Where this process puts its files; gone when it ends. */
export const folder = mkdtempSync(join(tmpdir(), 'bursar-bills-test-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))

export interface Read {
  readonly lines: readonly BillLine[]
  readonly total: string
  readonly report: BillReport
}

export async function read(
  files: readonly string[],
  more: Partial<BillOptions> = {},
): Promise<Read> {
  const lines: BillLine[] = []
  const options: BillOptions = {
    wanted: [],
    mappingFor: () => new Map(),
    all: false,
    engine: 'rows',
    progress: () => {},
    ...more,
  }
  const report = await readBill(files, options, (line) => lines.push(line))
  return { lines, total: formatDecimal(sumOf(lines)), report }
}

export const sumOf = (lines: readonly BillLine[]): Decimal =>
  lines.reduce((sum, { net }) => addDecimals(sum, net ?? decimalZero), decimalZero)

let made = 0
export function file(content: string | Uint8Array, ending = 'bin'): string {
  made += 1
  const path = join(folder, `${made}.${ending}`)
  writeFileSync(path, content)
  return path
}

/** A table as its header and rows; of an API's page, the rows that it unfolds to. */
export interface Table {
  readonly header: readonly string[]
  readonly rows: readonly (readonly (string | null)[])[]
}

export function tableOf(path: string): Table {
  const text = readFileSync(path, 'utf8').replace(/^\ufeff/, '')
  if (path.endsWith('.csv')) {
    const all: string[][] = []
    const reader = csvReader(separatorOf(text.split('\n')[0] ?? ''), (row) => all.push(row))
    reader.push(text)
    reader.end()
    return { header: all[0] ?? [], rows: all.slice(1) }
  }
  const documents = path.endsWith('.jsonl')
    ? text.trim().split('\n').map(parseExact)
    : [parseExact(text)]
  const rows = documents.flatMap((one) => rowsOf(one).rows)
  const header = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  return { header, rows: rows.map((row) => header.map((name) => row[name] ?? null)) }
}

/** A CSV without protection against formulas: this is what a provider writes. */
export const asCsv = ({ header, rows }: Table): string =>
  [header, ...rows].map((row) => `${row.map((cell) => inCsv(cell ?? '')).join(',')}\n`).join('')
export const inCsv = (cell: string): string =>
  /[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell

export async function asParquet(table: Table): Promise<string> {
  const csv = file(asCsv(table), 'csv')
  const path = join(folder, `${made}.parquet`)
  await using desk = await openDesk()
  const columns = table.header.map((_, i) => `'c${i}': 'VARCHAR'`).join(', ')
  const names = table.header.map((name, i) => `c${i} AS "${name}"`).join(', ')
  const from = `read_csv('${csv}', auto_detect=false, header=true, quote='"', columns={${columns}})`
  await desk.connection.run(`COPY (SELECT ${names} FROM ${from}) TO '${path}' (FORMAT parquet)`)
  return path
}

/** Money and tokens of each group that was asked for. */
export function sums({ lines }: Read): ReadonlyMap<string, readonly [string, string, number]> {
  const found = new Map<string, [Decimal, Decimal, number]>()
  for (const { tags, model, day, kind, currency, unit, net, quantity, rows, ...more } of lines) {
    const { project, key: name, service } = more
    const dims = [tags.agent, model, day, project, name, service]
    const key = JSON.stringify([...dims, kind, currency, unit])
    const [money, tokens, count] = found.get(key) ?? [decimalZero, decimalZero, 0]
    found.set(key, [
      addDecimals(money, net ?? decimalZero),
      addDecimals(tokens, quantity ?? decimalZero),
      count + rows,
    ])
  }
  return new Map(
    [...found]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, [money, tokens, count]]) => [
        key,
        [formatDecimal(money), formatDecimal(tokens), count],
      ]),
  )
}

export const leftOut = ({ report }: Read) =>
  report.leftOut.map(({ rows, net, currency }) => [currency, rows, formatDecimal(net)]).sort()

/** Money by what was asked for. */
export function groupsOf(
  { lines }: Read,
  wanted: readonly string[],
): readonly (readonly string[])[] {
  const found = new Map<string, Decimal>()
  for (const line of lines) {
    const key = JSON.stringify([line.kind, ...wanted.map((name) => partOf(line, name))])
    found.set(key, addDecimals(found.get(key) ?? decimalZero, line.net ?? decimalZero))
  }
  return [...found].map(([key, net]) => [key, formatDecimal(net)]).sort()
}
