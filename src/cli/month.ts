/** `bursar report month`: the month's close, as a PDF or as JSON. */
import type { Command } from 'commander'
import type { MonthReport } from '#core/month.ts'
import { ask, ExitError, exitCodes, type Server } from './client.ts'
import { type Output, printJson, printTable } from './output.ts'

/** What draws it, as `main` reaches it: loaded only when it is asked. */
export interface MonthFiles {
  writeMonthPdf(path: string, report: MonthReport): Promise<void>
}

/** A month of a million calls is looked through for its conversations. */
const waitMs = 300_000

interface Options {
  readonly month?: string
  readonly out?: string
  readonly json?: true
}

export function addMonth(
  report: Command,
  output: Output,
  server: () => Server,
  files: MonthFiles,
): void {
  report
    .command('month')
    .description("a month's close: a page for the company, a page for each team")
    .option('--month <month>', 'the calendar month, UTC: 2026-10 (the current one)')
    .option('--out <file>', 'write it there as PDF')
    .option('--json')
    .action(async ({ month, out, json }: Options) => {
      if (out !== undefined && !out.endsWith('.pdf')) {
        throw new ExitError(exitCodes.usage, `"${out}" is written as PDF: call it .pdf`)
      }
      const query = month === undefined ? '' : `?month=${encodeURIComponent(month)}`
      const path = `/reports/month${query}`
      const found = (await ask(server(), 'GET', path, undefined, waitMs)) as MonthReport
      if (out !== undefined) {
        await files.writeMonthPdf(out, found)
        output.err(`${out}: ${found.teams.length + 1} pages\n`)
      }
      if (json) return printJson(output, found)
      if (out !== undefined) return
      const teams = found.teams.map((team) => ({ ...team }))
      const rows = [{ ...found.total, name: 'total' }, ...teams]
      printTable(output, rows, ['name', 'calls', 'cost_usd', 'presumed_usd'])
    })
}
