/** `bursar outcome` and `bursar report unit-cost`. */
import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { parseCsv } from '#lib/csv.ts'
import { ask, ExitError, exitCodes, type Server } from './client.ts'
import { type Output, printJson, printTable } from './output.ts'

interface Json {
  readonly json?: true
}

type Given = Readonly<Record<string, string | undefined>>

/** Option names to the API's: `valueUsd` to `value_usd`. */
function bodyOf(given: Given): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(given).flatMap(([name, value]) =>
      value === undefined
        ? []
        : [[name.replace(/[A-Z]/g, (one) => `_${one.toLowerCase()}`), value] as const],
    ),
  )
}

export function addOutcomeCommands(program: Command, output: Output, server: () => Server): void {
  const outcome = program.command('outcome').description('what the money was spent for')
  outcome
    .command('add')
    .description('tell of one; told twice under the same id, it counts once')
    .option('--id <id>', 'yours: the ticket, the lead, the task')
    .option('--type <type>', 'one of those under outcomes: in the config')
    .option('--conversation <id>')
    .option('--run <id>')
    .option('--call <id>')
    .option('--agent <name>', 'whose it is; with --tenant, all that it did for that tenant')
    .option('--tenant <name>')
    .option('--at <time>', 'when it happened; now, where nothing is said')
    .option('--value-usd <amount>')
    .option('--human-minutes <minutes>', 'of people who had to help')
    .option('--attested-by <who>', 'agent, system, human or silence')
    .option('--reverses <id>', 'take this one back')
    .option('--confirms <id>', 'say that this one holds')
    .option('--cause <text>', 'why it is taken back')
    .option('--json')
    .action(async ({ json, ...given }: Json & Given) => {
      const made = await ask(server(), 'POST', '/outcomes', bodyOf(given))
      if (json) return printJson(output, made)
      const { id, kind, repeated } = made as { id: string; kind: string; repeated: boolean }
      output.out(`${id} ${kind}${repeated ? ' before: nothing changed' : ''}\n`)
    })
  outcome
    .command('list')
    .description('outcomes, and what became of them')
    .option('--type <type>')
    .option('--from <time>')
    .option('--to <time>')
    .option('--state <state>', 'provisional, confirmed or reversed')
    .option('--after <seq>', 'the page after this one')
    .option('--limit <number>', 'at most 1000', '100')
    .option('--json')
    .action(async ({ json, ...given }: Json & Given) => {
      const found = await ask(server(), 'GET', `/outcomes?${new URLSearchParams(bodyOf(given))}`)
      if (json) return printJson(output, found)
      const columns = ['seq', 'id', 'type', 'state', 'at', 'confirms_at', 'attested_by']
      printTable(output, found as Record<string, unknown>[], [...columns, 'conversation', 'cause'])
    })
  addImport(outcome, output, server)
}

interface Imported {
  readonly added: number
  readonly repeated: number
  readonly errors: readonly { readonly line: number; readonly message: string }[]
}

interface ImportOptions extends Json {
  readonly type?: string
  readonly attestedBy?: string
  readonly map?: readonly string[]
  readonly dryRun?: true
}

function addImport(outcome: Command, output: Output, server: () => Server): void {
  outcome
    .command('import')
    .argument('<file...>', 'CSV, its first line names the columns')
    .description('outcomes from CSV; imported twice, they count once')
    .option('--type <type>', 'of rows that do not say')
    .option('--attested-by <who>', 'of rows that do not say')
    .option('--map <field=column...>', 'such as --map "id=Ticket ID" "at=Solved"')
    .option('--dry-run', 'say what would happen')
    .option('--json')
    .action(async (files: readonly string[], options: ImportOptions) => {
      const sum = { added: 0, repeated: 0, errors: [] as unknown[] }
      for (const file of files) {
        const text = await readFile(file, 'utf8').catch(() => {
          throw new ExitError(exitCodes.usage, `${file} cannot be read`)
        })
        const done = await importFile(server(), text, options)
        sum.added += done.added
        sum.repeated += done.repeated
        sum.errors.push(...done.errors.map((one) => ({ file, ...one })))
        for (const { line, message } of done.errors) output.err(`${file}:${line}: ${message}\n`)
      }
      const verb = options.dryRun ? 'would be added' : 'added'
      if (options.json) printJson(output, sum)
      else output.out(`${sum.added} ${verb}, ${sum.repeated} known before\n`)
      if (sum.errors.length === 0) return
      throw new ExitError(exitCodes.findings, `${sum.errors.length} rows were not read`)
    })
}

/** Characters: well below what the server takes in one body, however they are escaped. */
const partMax = 150_000

/** In parts, each with the file's first line and its own place in the file. */
async function importFile(
  server: Server,
  text: string,
  { type, attestedBy, map = [], dryRun }: ImportOptions,
): Promise<Imported> {
  const columns = Object.fromEntries(
    map.map((pair) => {
      const [field = '', ...rest] = pair.split('=')
      return [field.trim(), rest.join('=').trim()]
    }),
  )
  const sum = { added: 0, repeated: 0, errors: [] as { line: number; message: string }[] }
  for (const part of partsOf(text)) {
    const done = (await ask(server, 'POST', '/outcomes/import', {
      csv: part.csv,
      columns,
      ...(type === undefined ? {} : { type }),
      ...(attestedBy === undefined ? {} : { attested_by: attestedBy }),
      ...(dryRun === true ? { dry_run: true } : {}),
    })) as Imported
    sum.added += done.added
    sum.repeated += done.repeated
    sum.errors.push(
      ...done.errors.map(({ line, message }) => ({ line: part.lines[line - 1] ?? line, message })),
    )
  }
  return sum
}

interface Part {
  readonly csv: string
  /** Where each of its lines stands in the file. */
  readonly lines: readonly number[]
}

const quoted = (cell: string): string => `"${cell.replaceAll('"', '""').replaceAll('\n', ' ')}"`

function partsOf(text: string): readonly Part[] {
  const [head, ...rows] = parseCsv(text)
  if (head === undefined) return [{ csv: '', lines: [] }]
  const first = head.cells.map(quoted).join(',')
  const parts: { csv: string; lines: number[] }[] = [{ csv: first, lines: [head.line] }]
  for (const { line, cells } of rows) {
    const row = cells.map(quoted).join(',')
    let part = parts.at(-1)
    if (part === undefined || part.csv.length + row.length > partMax) {
      part = { csv: first, lines: [head.line] }
      parts.push(part)
    }
    part.csv += `\n${row}`
    part.lines.push(line)
  }
  return parts
}

interface Report {
  readonly type: string
  readonly from: string
  readonly to: string
  readonly outcomes: number
  readonly few: boolean
  readonly cost_usd: string
  readonly cost_per_outcome_usd: string | null
  readonly low_usd: string | null
  readonly high_usd: string | null
  readonly mark: string
  readonly compare_usd: string | null
  readonly definitions: readonly string[]
  readonly rows: readonly Record<string, unknown>[]
  readonly layers: Readonly<Record<string, string>>
  readonly fates: Readonly<Record<string, string>>
  readonly as_reported: Readonly<Record<string, unknown>>
}

export function addUnitCost(report: Command, output: Output, server: () => Server): void {
  report
    .command('unit-cost')
    .description(
      'what one outcome cost, failed attempts included; this month where nothing is said',
    )
    .option('--type <type>', 'one of those under outcomes: in the config')
    .option('--by <dimension>', 'agent, team, business_unit, environment, tenant, provider, model')
    .option('--from <time>', '2026-11-01, or with a time')
    .option('--to <time>', 'before this')
    .option('--closed-at <time>', 'when the period was closed')
    .option('--json')
    .action(async ({ json, ...given }: Json & Given) => {
      const query = new URLSearchParams(bodyOf(given))
      const found = await ask(server(), 'GET', `/reports/unit-cost?${query}`)
      if (json) return printJson(output, found)
      printReport(output, found as Report, given.by)
    })
}

function printReport(output: Output, found: Report, by: string | undefined): void {
  const { type, from, to, outcomes, layers, fates } = found
  const each = found.cost_per_outcome_usd
  const interval = found.low_usd === null ? '' : ` (95 %: ${found.low_usd} to ${found.high_usd})`
  output.out(`${type}, ${from} to ${to}, ${found.mark}\n`)
  output.out(`${outcomes} outcomes, ${found.cost_usd} USD\n`)
  output.out(each === null ? 'no outcome holds yet\n' : `${each} USD each${interval}\n`)
  if (found.compare_usd !== null) output.out(`to compare with: ${found.compare_usd} USD each\n`)
  if (found.few) output.out('fewer than 30 outcomes: the quotient says little\n')
  if (found.definitions.length > 1) {
    output.out(`the definition changed meanwhile: ${found.definitions.join(', ')}\n`)
  }
  output.out('\n')
  const lines = [
    ...Object.entries(layers).map(([name, amount]) => ['layer', name, amount]),
    ...Object.entries(fates).map(([name, amount]) => ['spent on', name, amount]),
    ...Object.entries(found.as_reported).map(([name, value]) => ['as reported', name, value]),
  ].map(([part, name, value]) => ({ part, name: String(name).replace(/_usd$/, ''), value }))
  printTable(output, lines, ['part', 'name', 'value'])
  if (by === undefined) return
  output.out('\n')
  const rows = found.rows.map((row) => ({ ...row, [by]: row.group ?? '(none)' }))
  const columns = ['outcomes', 'calls', 'cost_usd', 'cost_per_outcome_usd', 'low_usd', 'high_usd']
  printTable(output, rows, [by, ...columns])
}
