/** `bursar report focus`: the ledger as FinOps tools read it, and a check of such files. */
import { closeSync, openSync, readFileSync, renameSync, rmSync, statSync, writeSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { checkHeader, rowChecker } from '#core/focus-check.ts'
import { focusGrains, type FocusVersion, focusVersions } from '#core/focus.ts'
import { columnRules } from '#core/focus-rules.ts'
import { formatUsd, type Nanos } from '#core/money.ts'
import { csvOf } from '#lib/csv-safe.ts'
import { parseCsv } from '#lib/csv.ts'
import { ask, ExitError, exitCodes, type Server } from './client.ts'
import { monthSpan } from './month-span.ts'
import { type Output, printJson } from './output.ts'

/** What writes files of other kinds than text, as `main` reaches it: loaded only when asked. */
export interface FocusFiles {
  /** `lines`: a file of JSON lines, all values texts; `numbers`: columns that are decimals. */
  writeParquet(lines: string, to: string, columns: FocusTypes): Promise<void>
}

export interface FocusTypes {
  readonly columns: readonly string[]
  readonly numbers: ReadonlySet<string>
}

interface Options {
  readonly month?: string
  readonly from?: string
  readonly to?: string
  readonly version: FocusVersion
  readonly grain: string
  readonly format: 'csv' | 'jsonl' | 'parquet'
  readonly out?: string
  readonly check?: string
  readonly json?: true
}

interface Page {
  readonly columns: readonly string[]
  readonly rows: readonly (readonly (string | null)[])[]
  readonly calls: number
  readonly billed_usd: string
  readonly next: string | null
}

export function addFocus(
  report: Command,
  output: Output,
  server: () => Server,
  files: FocusFiles,
): void {
  report
    .command('focus')
    .description('what was charged, in the form of FOCUS; this month where no time is said')
    .option('--month <month>', 'the calendar month, UTC: 2026-10')
    .option('--from <day>', 'from this UTC day on: 2026-10-01')
    .option('--to <day>', 'before this day')
    .addOption(new Option('--version <version>', 'of FOCUS').choices(focusVersions).default('1.2'))
    .addOption(new Option('--grain <period>', 'a row a').choices(focusGrains).default('day'))
    .addOption(new Option('--format <format>').choices(['csv', 'jsonl', 'parquet']).default('csv'))
    .option('--out <file>', 'write it there, and not to standard output')
    .option('--check <file>', 'check a CSV or JSON lines file against the rules of FOCUS instead')
    .option('--json', 'of --check: what was found, as JSON')
    .action(async (options: Options) => {
      if (options.check !== undefined) return check(output, options.check, options)
      await write(output, server(), files, options)
    })
}

/** A page may read fifty thousand calls. */
const pageMs = 300_000

async function* pages(server: Server, options: Options): AsyncGenerator<Page> {
  const { version, grain } = options
  const span = monthSpan(options)
  for (let after: string | null = null; ; ) {
    const next: Record<string, string> = after === null ? {} : { after }
    const query = new URLSearchParams({ version, grain, ...span, ...next })
    const page = (await ask(server, 'GET', `/reports/focus?${query}`, undefined, pageMs)) as Page
    yield page
    after = page.next
    if (after === null) return
  }
}

async function write(
  output: Output,
  server: Server,
  files: FocusFiles,
  options: Options,
): Promise<void> {
  const { out, format } = options
  if (format === 'parquet' && out === undefined) {
    throw new ExitError(exitCodes.usage, 'Parquet goes to a file: add --out FILE')
  }
  // Written beside its place and then moved there: what has the name is whole.
  const part = `${out ?? ''}.part`
  const file = out === undefined ? null : openSync(part, 'w')
  let columns: readonly string[] | null = null
  let [rows, calls, billed] = [0, 0, 0n]
  try {
    const put = (text: string): void => {
      if (file === null) output.out(text)
      else writeSync(file, text)
    }
    for await (const page of pages(server, options)) {
      if (columns === null && format === 'csv') put(csvOf([page.columns]))
      columns = page.columns
      put(format === 'csv' ? csvOf(page.rows) : linesOf(page))
      rows += page.rows.length
      calls += page.calls
      billed += BigInt(page.billed_usd.replace('.', ''))
    }
    if (file !== null && out !== undefined) {
      closeSync(file)
      if (format === 'parquet') await files.writeParquet(part, out, typesOf(columns ?? [], options))
      else renameSync(part, out)
    }
  } finally {
    if (file !== null) rmSync(part, { force: true })
  }
  const usd = formatUsd(billed as Nanos)
  output.err(`FOCUS ${options.version}: ${rows} rows of ${calls} calls, $${usd}\n`)
}

function linesOf({ columns, rows }: Page): string {
  return rows
    .map((cells) => {
      const row = Object.fromEntries(columns.map((name, i) => [name, cells[i] ?? null]))
      return `${JSON.stringify(row)}\n`
    })
    .join('')
}

function typesOf(columns: readonly string[], { version }: Options): FocusTypes {
  const numbers = columnRules(version).filter(({ type }) => type === 'number')
  return { columns, numbers: new Set([...numbers.map(({ name }) => name), 'x_Calls']) }
}

/** Held in memory while it is checked. */
const checkedBytesMax = 512 * 1024 * 1024
const namedMax = 100

function check(output: Output, path: string, { version, json }: Options): void {
  const found = faultsOf(readText(path), version)
  const { rows, faults } = found
  if (json)
    printJson(output, { version, rows, faults: faults.length, found: faults.slice(0, 1000) })
  else {
    for (const { row, what } of faults.slice(0, namedMax)) output.err(`row ${row}: ${what}\n`)
    if (faults.length > namedMax) output.err(`and ${faults.length - namedMax} more\n`)
    if (faults.length === 0) output.out(`${rows} rows keep the rules of FOCUS ${version}\n`)
  }
  if (faults.length > 0) {
    throw new ExitError(exitCodes.findings, `${faults.length} rules of FOCUS ${version} broken`)
  }
}

function readText(path: string): string {
  const { size } = statSync(path, { throwIfNoEntry: false }) ?? {}
  if (size === undefined) throw new ExitError(exitCodes.failed, `there is no file "${path}"`)
  if (size > checkedBytesMax) {
    throw new ExitError(exitCodes.failed, `${path} is over 512 MB: check a part of it`)
  }
  return readFileSync(path, 'utf8')
}

interface Fault {
  /** As a spreadsheet counts: the header is row 1. */
  readonly row: number
  readonly what: string
}

/** Of a text of CSV or JSON lines. */
export function faultsOf(
  text: string,
  version: FocusVersion,
): { readonly rows: number; readonly faults: readonly Fault[] } {
  const { header, rows } = text.trimStart().startsWith('{') ? jsonRows(text) : csvRows(text)
  const faults: Fault[] = checkHeader(version, header).map((what) => ({ row: 1, what }))
  const checkRow = rowChecker(version, header)
  for (const [i, row] of rows.entries()) {
    for (const what of checkRow(row)) faults.push({ row: i + 2, what })
  }
  return { rows: rows.length, faults }
}

interface Table {
  readonly header: readonly string[]
  readonly rows: readonly Readonly<Record<string, string | null>>[]
}

/** CSV has no null: an empty cell is one. */
function csvRows(text: string): Table {
  const [head, ...rest] = parseCsv(text)
  const header = head?.cells ?? []
  const rows = rest.map(({ cells }) =>
    Object.fromEntries(header.map((name, i) => [name, cells[i] || null])),
  )
  return { header, rows }
}

function jsonRows(text: string): Table {
  const rows = text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line, i): Record<string, string | null> => {
      try {
        const row = JSON.parse(line) as Record<string, unknown>
        const texts = Object.entries(row).map(([name, value]) => [name, textOf(value)])
        return Object.fromEntries(texts)
      } catch {
        throw new ExitError(exitCodes.failed, `line ${i + 1} is not JSON`)
      }
    })
  return { header: Object.keys(rows[0] ?? {}), rows }
}

function textOf(value: unknown): string | null {
  if (value === null || value === undefined) return null
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
