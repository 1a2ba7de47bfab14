/** `bursar budget review`: what is due, and that somebody has looked. */
import type { Command } from 'commander'
import { ask, ExitError, exitCodes, type Server } from './client.ts'
import { type Output, printJson, printTable } from './output.ts'

interface Options {
  readonly note?: string
  readonly overdue?: true
  readonly json?: true
}

interface Row {
  readonly [name: string]: unknown
  readonly proposal: { readonly amount_usd: string; readonly expected_usd: string } | null
}

export function addReviewCommand(budget: Command, output: Output, server: () => Server): void {
  budget
    .command('review')
    .argument('[id]', 'left out: those that are to be reviewed')
    .option('--note <text>', 'what you found; needed to review')
    .option('--overdue', 'only those that are due')
    .option('--json')
    .description('confirm a budget with a note, or list what is due, with what it might be now')
    .action(async (id: string | undefined, { note, overdue, json }: Options) => {
      if (id === undefined) {
        const query = overdue === true ? '?overdue=true' : ''
        const rows = (await ask(server(), 'GET', `/reviews${query}`)) as Row[]
        if (json) printJson(output, rows)
        else printReviews(output, rows)
        return
      }
      if (note === undefined)
        throw new ExitError(exitCodes.usage, 'say what you found: --note TEXT')
      const path = `/budgets/${encodeURIComponent(id)}/review`
      const after = (await ask(server(), 'POST', path, { note })) as Row
      if (json) printJson(output, after)
      else printReviews(output, [after])
    })
}

function printReviews(output: Output, rows: readonly Row[]): void {
  printTable(
    output,
    rows.map(({ proposal, ...row }) => ({
      ...row,
      expected_usd: proposal?.expected_usd ?? null,
      proposed_usd: proposal?.amount_usd ?? null,
    })),
    [
      'budget',
      'name',
      'owner',
      'amount',
      'expected_usd',
      'proposed_usd',
      'last_reviewed_at',
      'due_at',
      'overdue_days',
    ],
  )
}
