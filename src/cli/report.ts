/** Reports on the command line. */
import { writeFileSync } from 'node:fs'
import type { Command } from 'commander'
import { valuesMax } from '#core/day-book.ts'
import { csvOf } from '#lib/csv-safe.ts'
import { ask, type Server } from './client.ts'
import { addFocus, type FocusFiles } from './focus.ts'
import { addMonth, type MonthFiles } from './month.ts'
import { addUnitCost } from './outcomes.ts'
import { type Output, printJson, printTable } from './output.ts'

/** What writes files that are not text, as `main` reaches it: loaded only when it is asked. */
export interface ReportFiles extends FocusFiles, MonthFiles {
  writeSheet(path: string, sheet: Sheet): Promise<void>
}

interface Sheet {
  readonly name: string
  readonly header: readonly string[]
  readonly rows: readonly (readonly (string | null)[])[]
  /** Columns that hold numbers, by index. */
  readonly numbers: ReadonlySet<number>
}

interface Options {
  readonly by?: string
  readonly from?: string
  readonly to?: string
  readonly json?: true
  readonly csv?: string
  readonly xlsx?: string
}

export function addReportCommands(
  program: Command,
  output: Output,
  server: () => Server,
  files: ReportFiles,
): void {
  const report = program.command('report').description('reports')
  addUnitCost(report, output, server)
  addFocus(report, output, server, files)
  addMonth(report, output, server, files)
  report
    .command('forecast')
    .description('what budgets will have cost at the end of their period, with an 80 % interval')
    .option('--json')
    .action(async ({ json }: { readonly json?: true }) => {
      const found = await ask(server(), 'GET', `/reports/forecast?limit=${valuesMax}`)
      if (json) return printJson(output, found)
      printForecasts(output, found as ForecastRow[])
    })
  report
    .command('observed')
    .description('calls that did not pass the gateway, as telemetry tells of them; in no budget')
    .option('--by <list>', 'day,business_unit,team,agent,environment,provider,model')
    .option('--from <time>', 'from this hour on: 2026-11-01, or with a time')
    .option('--to <time>', 'before this hour')
    .option('--json')
    .action(async ({ json, ...asked }: Options) => {
      const query = new URLSearchParams(Object.entries(asked))
      const found = await ask(server(), 'GET', `/reports/observed?${query}`)
      if (json) return printJson(output, found)
      const groups = (asked.by ?? '').split(',').filter((name) => name !== '')
      const columns = ['calls', 'tokens', 'observed_usd', 'unpriced_calls', 'duplicates']
      printTable(output, found as Record<string, unknown>[], [...groups, ...columns])
    })
  addSpend(report, output, server, files)
}

interface ForecastRow extends Record<string, unknown> {
  readonly budget: string
  readonly value: string | null
}

/** Of a budget with very many values the first, and how many more there are. */
function printForecasts(output: Output, found: readonly ForecastRow[]): void {
  const byBudget = [...Map.groupBy(found, ({ budget }) => budget).values()]
  const shown = byBudget.flatMap((rows) => rows.slice(0, valuesShown))
  const isPer = shown.some(({ value }) => value !== null)
  const columns = ['period_end', 'limit_usd', 'posted_usd', 'expected_usd']
  printTable(output, shown, [
    ...(isPer ? ['name', 'value'] : ['name']),
    ...columns,
    ...['low_usd', 'high_usd', 'passes_on'],
  ])
  if (shown.some(({ expected_usd }) => expected_usd === null)) {
    output.out('without a forecast: fewer than seven whole days to judge by\n')
  }
  for (const rows of byBudget) {
    const more = rows.length - valuesShown
    if (more > 0) output.out(`${textOr(rows[0]?.name)}: ${more} more; --json has them all\n`)
  }
}

const valuesShown = 20

function addSpend(report: Command, output: Output, server: () => Server, files: ReportFiles): void {
  report
    .command('spend')
    .description('what was spent, dearest first; this month where no time is said')
    .option('--by <list>', 'day,business_unit,team,agent,environment,provider,model')
    .option('--from <time>', 'from this hour on: 2026-11-01, or with a time')
    .option('--to <time>', 'before this hour')
    .option('--json')
    .option('--csv <file>', 'save the table; - prints it')
    .option('--xlsx <file>', 'save the table as a workbook')
    .action(async ({ json, csv, xlsx, ...asked }: Options) => {
      const query = new URLSearchParams(Object.entries(asked))
      const found = await ask(server(), 'GET', `/reports/spend?${query}`)
      const rows = found as Record<string, unknown>[]
      const groups = (asked.by ?? '').split(',').filter((name) => name !== '')
      const observed = rows.some((row) => row.observed_usd !== undefined) ? ['observed_usd'] : []
      const header = [...groups, 'calls', 'tokens', 'cost_usd', 'presumed_usd', ...observed]
      const cells = rows.map((row) => header.map((name) => textOr(row[name])))
      const text = csvOf([header, ...cells])
      if (csv !== undefined && csv !== '-') writeFileSync(csv, text)
      if (xlsx !== undefined) {
        const numbers = new Set(header.map((_, i) => i).slice(groups.length))
        await files.writeSheet(xlsx, { name: 'spend', header, rows: cells, numbers })
      }
      if (json) return printJson(output, found)
      if (csv === '-') return output.out(text)
      printTable(output, rows, header)
    })
}

const textOr = (value: unknown): string | null =>
  value === null || value === undefined ? null : String(value)
