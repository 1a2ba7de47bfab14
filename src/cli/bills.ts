/** `bursar bill`, `bursar reconcile`, `bursar month`: what was billed, beside what was metered. */
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import type { KeptLine } from '#core/bill-text.ts'
import { ask, ExitError, exitCodes, longMs, type Server } from './client.ts'
import { type Output, printJson, printTable } from './output.ts'
import { progressBar } from './progress.ts'

export interface BillFiles {
  /** Loaded only when it is asked. Throws with a sentence for people. */
  lines(ask: {
    readonly files: readonly string[]
    readonly map: readonly string[]
    readonly mappings: string
    readonly progress: (done: number, of: number) => void
  }): Promise<{
    readonly lines: readonly KeptLine[]
    readonly files: readonly string[]
    readonly digest: string
    readonly findings: readonly string[]
  }>
}

interface Json {
  readonly json?: true
}

/** So many lines stay below what a request may hold. */
const partLines = 1500

export function addBillCommands(
  program: Command,
  output: Output,
  server: () => Server,
  files: BillFiles,
): void {
  const bill = program.command('bill').description('bills of providers')
  bill
    .command('import')
    .argument('<files...>', 'exports of Anthropic, OpenAI, AWS, Azure, Google, FOCUS; globs')
    .option('--account <name>', 'which of several accounts at one provider', 'default')
    .option('--map <their=ours...>', 'which column is which; kept for files with these columns')
    .option('--json')
    .description('import a bill; of a month and provider the newest one counts')
    .action((paths: string[], options: ImportOptions) =>
      importBill(output, server, files, paths, options),
    )
  bill
    .command('list')
    .option('--json')
    .description('bills that were imported')
    .action(async ({ json }: Json) => {
      const rows = (await ask(server(), 'GET', '/bills')) as Record<string, unknown>[]
      if (json) printJson(output, rows)
      else printTable(output, rows, ['id', 'account', 'files', 'lines', 'covers', 'imported_at'])
    })
  addReconcile(program, output, server)
  addMonth(program, output, server)
}

interface ImportOptions extends Json {
  readonly account: string
  readonly map?: readonly string[]
}

async function importBill(
  output: Output,
  server: () => Server,
  files: BillFiles,
  paths: readonly string[],
  { account, map = [], json }: ImportOptions,
): Promise<void> {
  const { env } = process
  const config = env.XDG_CONFIG_HOME || join(homedir(), '.config')
  const mappings = env.BURSAR_COLUMNS || join(config, 'bursar', 'columns.json')
  const bar = progressBar(output, 'reading')
  const read = await files
    .lines({ files: paths, map, mappings, progress: bar.show })
    .finally(() => bar.end())
  if (read.lines.length === 0) throw new ExitError(exitCodes.failed, 'there is no line in it')
  const parts = Math.ceil(read.lines.length / partLines)
  let made: Record<string, unknown> = {}
  for (let part = 0; part < parts; part += 1) {
    const lines = read.lines.slice(part * partLines, (part + 1) * partLines)
    const body = { digest: read.digest, account, part, parts, files: read.files, lines }
    made = (await ask(server(), 'POST', '/bills/parts', body)) as Record<string, unknown>
    if (made.repeated === true) break
  }
  if (json) printJson(output, { ...made, findings: read.findings })
  else if (made.repeated === true) output.out(`${String(made.id)} was imported already\n`)
  else output.out(`${String(made.id)}: ${read.lines.length} lines\n`)
  const replaces = (made.replaces ?? []) as readonly string[]
  if (!json) for (const one of replaces) output.out(`  it counts in place of ${one}\n`)
  if (read.findings.length === 0) return
  const text = read.findings.map((one) => `  ${one}`).join('\n')
  throw new ExitError(exitCodes.findings, `${read.findings.length} found:\n${text}`)
}

interface Reconciliation {
  readonly [name: string]: unknown
  readonly id: string
  readonly causes: Readonly<Record<string, string>>
  readonly variances: readonly Record<string, unknown>[]
  readonly variances_total: number
  readonly own_keys: Readonly<Record<string, readonly string[]>>
  readonly own_keys_inferred: boolean
}

interface ReconcileOptions extends Json {
  readonly month: string
  readonly ownKey?: readonly string[]
  readonly accept?: string | true
  readonly causes?: string
}

function addReconcile(program: Command, output: Output, server: () => Server): void {
  program
    .command('reconcile')
    .requiredOption('--month <month>', 'such as 2026-10')
    .option('--own-key <name...>', 'keys or projects of the provider that the gateway uses')
    .option('--accept <reason>', 'correct the calls of the ledger by what the bills say')
    .option('--causes <list>', 'accept these only: price_drift,discount,presumed,...')
    .option('--json')
    .description('what was metered beside what was billed, and why they differ')
    .action(async ({ month, ownKey, accept, causes, json }: ReconcileOptions) => {
      const body = { month, ...(ownKey === undefined ? {} : { own_keys: ownKey }) }
      const path = '/reconciliations'
      let made = (await ask(server(), 'POST', path, body, longMs)) as Reconciliation
      if (accept !== undefined) {
        const list = causes?.split(',').map((one) => one.trim())
        const wanted = { reason: accept, ...(list === undefined ? {} : { causes: list }) }
        const accepting = `${path}/${made.id}/accept`
        made = (await ask(server(), 'POST', accepting, wanted, longMs)) as Reconciliation
      }
      if (json) printJson(output, made)
      else printReconciliation(output, made)
    })
}

const shownMax = 30

function printReconciliation(output: Output, made: Reconciliation): void {
  const { causes, variances, variances_total: total, own_keys: keys } = made
  const { own_keys_inferred: inferred, ...rest } = made
  const fields = ['id', 'month', 'state', 'metered_usd', 'billed_usd', 'unexplained_percent']
  const more = ['corrected_calls', 'corrected_usd']
  const rows = [...fields, ...more].map((field) => ({ field, value: rest[field] }))
  printTable(output, rows, ['field', 'value'])
  output.out('\n')
  printTable(
    output,
    Object.entries(causes).map(([cause, amount]) => ({ cause, amount_usd: amount })),
    ['cause', 'amount_usd'],
  )
  output.out('\n')
  printTable(output, variances.slice(0, shownMax), [
    'cause',
    'provider',
    'model',
    'kind',
    'day',
    'amount_usd',
    'detail',
  ])
  if (total > shownMax) output.out(`and ${total - shownMax} more\n`)
  if (!inferred) return
  for (const [provider, names] of Object.entries(keys)) {
    const named = names.filter((name) => name !== '')
    if (named.length === 0) continue
    output.out(`\n${provider}: taken for the gateway's own: ${named.join(', ')} (--own-key)\n`)
  }
}

function addMonth(program: Command, output: Output, server: () => Server): void {
  const month = program.command('month').description('months: metered, reconciled, final')
  const columns = [
    'month',
    'mark',
    'metered_usd',
    'billed_usd',
    'unexplained_percent',
    'closed_by',
    'note',
  ]
  month
    .command('list')
    .option('--json')
    .description('how far each month is known')
    .action(async ({ json }: Json) => {
      const rows = (await ask(server(), 'GET', '/months')) as Record<string, unknown>[]
      if (json) printJson(output, rows)
      else printTable(output, rows, columns)
    })
  month
    .command('close')
    .argument('<month>', 'such as 2026-10')
    .requiredOption('--note <text>', 'what you sign')
    .option('--json')
    .description('sign a month off: nothing of it is changed any more')
    .action(async (name: string, { note, json }: Json & { note: string }) => {
      const path = `/months/${encodeURIComponent(name)}/close`
      const row = (await ask(server(), 'POST', path, { note })) as Record<string, unknown>
      if (json) printJson(output, row)
      else printTable(output, [row], columns)
    })
}
