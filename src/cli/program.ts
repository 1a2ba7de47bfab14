/** The commands. What needs the rest of the house is handed in by `main`. */
import { Command, CommanderError, Option } from 'commander'
import { addAlertCommands } from './alerts.ts'
import { addConfigCommands, type ConfigText } from './config.ts'
import { ask, ExitError, exitCodes } from './client.ts'
import { addLedgerCommands, type LedgerFiles } from './ledger.ts'
import { addFreezeCommands } from './freeze.ts'
import { addPeopleCommands } from './people.ts'
import { addOutcomeCommands } from './outcomes.ts'
import { addReportCommands, type ReportFiles } from './report.ts'
import { addReviewCommand } from './reviews.ts'
import { addPriceCommands, type PriceHouse } from './price.ts'
import { addTop } from './top.ts'
import { addBillCommands, type BillFiles } from './bills.ts'
import { addUnitCost, type UnitCosts } from './unit-cost.ts'
import { printJson, printTable } from './output.ts'

export interface UpOptions {
  readonly listen: string | undefined
  readonly config: string | undefined
  readonly data: string | undefined
  readonly acceptPrices?: true
}

export interface SimulateOptions {
  readonly listen: string
  readonly seed: string
}

export interface House extends PriceHouse {
  readonly version: string
  readonly ledger: LedgerFiles
  readonly unitCosts: UnitCosts
  readonly bills: BillFiles
  readonly reportFiles: ReportFiles
  /** Runs until it is told to stop. */
  up(options: UpOptions): Promise<void>
  simulate(options: SimulateOptions): Promise<void>
  /** A file, or every YAML file of a folder. Throws with a sentence for people. */
  readConfig(path: string): readonly ConfigText[]
  /** Problems of a config, formatted for a terminal, and what it would do. */
  check(path: string): { readonly problems: readonly string[]; readonly summary: unknown }
  schema(): unknown
}

/** Runs one command line (without `node` and the script); resolves to its exit code. */
export async function runCommand(house: House, args: readonly string[]): Promise<number> {
  const program = commands(house)
  try {
    await program.parseAsync(args as string[], { from: 'user' })
    return exitCodes.ok
  } catch (error) {
    if (error instanceof CommanderError) {
      return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage
    }
    house.output.err(`bursar: ${error instanceof Error ? error.message : String(error)}\n`)
    return error instanceof ExitError ? error.code : exitCodes.failed
  }
}

function commands(house: House): Command {
  const { output } = house
  const program = new Command('bursar')
    .description('Budgets that hold, for AI agents')
    .version(house.version, '-V, --version')
    // What a command calls --version is its own: of FOCUS, not of Bursar.
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ writeOut: output.out, writeErr: output.err })
  program
    .command('up')
    .description('start the gateway')
    .option('--listen <host:port>', 'address to listen on (BURSAR_LISTEN, 127.0.0.1:4000)')
    .option('--config <path>', 'YAML file or folder (BURSAR_CONFIG, ./bursar.yaml, else a demo)')
    .option('--data <folder>', 'where the ledger is kept (BURSAR_DATA, ./data)')
    .option('--accept-prices', 'prices that move by more than half are meant')
    .action((options: UpOptions) => house.up(options))
  program
    .command('simulate')
    .description('start the provider simulator alone')
    .option('--listen <host:port>', 'address to listen on', '127.0.0.1:4010')
    .option('--seed <number>', 'same seed, same answers', '1')
    .action((options: SimulateOptions) => house.simulate(options))
  program
    .command('version')
    .description('print the version')
    .option('--json')
    .action(({ json }: { json?: true }) =>
      json ? printJson(output, { version: house.version }) : output.out(`${house.version}\n`),
    )
  addConfigCommands(program, house)
  addPriceCommands(program, house)
  addKeyCommands(program, house)
  addBudgetCommands(program, house)
  addOverrideCommands(program, house)
  addCallCommands(program, house)
  addFreezeCommands(program, output, house.server)
  addTop(program, output, house.server)
  addReportCommands(program, output, house.server, house.reportFiles)
  addAlertCommands(program, output, house.server)
  addOutcomeCommands(program, output, house.server)
  addLedgerCommands(program, output, house.ledger)
  addPeopleCommands(program, output, house.server)
  addUnitCost(program, output, house.unitCosts)
  addBillCommands(program, output, house.server, house.bills)
  return program
}

interface Json {
  readonly json?: true
}

function addKeyCommands(program: Command, house: House): void {
  const { output } = house
  const key = program.command('key').description('virtual keys')
  key
    .command('create')
    .description('a new key; its secret is shown once')
    .requiredOption('--agent <name>', 'the agent it is for')
    .option('--team <name>')
    .option('--environment <name>')
    .option('--tenant <name>')
    .option('--user <name>')
    .option('--name <name>')
    .option('--expires-at <time>')
    .option('--json')
    .action(async ({ json, expiresAt, ...given }: Json & { expiresAt?: string }) => {
      const body = { ...given, ...(expiresAt === undefined ? {} : { expires_at: expiresAt }) }
      const made = await ask(house.server(), 'POST', '/keys', body)
      if (json) return printJson(output, made)
      const { id, key: secret } = made as { id: string; key: string }
      output.err(`${id} created. This is the only time its secret is shown:\n`)
      output.out(`${secret}\n`)
    })
  listing(key.command('list').description('keys, without their secrets'), house, '/keys', [
    'id',
    'name',
    'prefix',
    'agent',
    'environment',
    'tenant',
    'user',
    'revoked_at',
  ])
  for (const verb of ['rotate', 'revoke'] as const) {
    key
      .command(verb)
      .argument('<id>')
      .option('--json')
      .description(verb === 'rotate' ? 'a new secret for the same key' : 'revoke it for good')
      .action(async (id: string, { json }: Json) => {
        const path = `/keys/${encodeURIComponent(id)}/${verb}`
        const after = await ask(house.server(), 'POST', path, {})
        if (json) return printJson(output, after)
        const { key: secret } = after as { key?: string }
        output.out(secret === undefined ? `${id} revoked\n` : `${secret}\n`)
      })
  }
}

function listing(command: Command, house: House, path: string, columns: readonly string[]): void {
  command.option('--json').action(async ({ json }: Json) => {
    const rows = await ask(house.server(), 'GET', path)
    if (json) printJson(house.output, rows)
    else printTable(house.output, rows as Record<string, unknown>[], columns)
  })
}

const budgetColumns = [
  'id',
  'value',
  'period_start',
  'limit_usd',
  'posted_usd',
  'pending_usd',
  'used_percent',
  'state',
]

function addBudgetCommands(program: Command, house: House): void {
  const budget = program.command('budget').description('budgets')
  listing(
    budget.command('list').description('budgets and where they stand'),
    house,
    '/budgets',
    budgetColumns,
  )
  budget
    .command('show')
    .argument('<id>')
    .option('--json')
    .description('one budget')
    .action(async (id: string, { json }: Json) => {
      const rows = await ask(house.server(), 'GET', `/budgets/${encodeURIComponent(id)}`)
      if (json) printJson(house.output, rows)
      else printTable(house.output, rows as Record<string, unknown>[], budgetColumns)
    })
  addReviewCommand(budget, house.output, house.server)
  const quota = program.command('quota').description('quotas')
  listing(quota.command('list').description('quotas and where they stand'), house, '/quotas', [
    'id',
    'value',
    'unit',
    'period',
    'limit',
    'used',
    'pending',
    'state',
  ])
}

interface OverrideRequest extends Json {
  readonly budget: string
  readonly value?: string
  readonly extraUsd?: string
  readonly until?: string
  readonly reason: string
  readonly by?: string
  readonly self?: true
}

function addOverrideCommands(program: Command, house: House): void {
  const { output } = house
  const override = program.command('override').description('exceptions to a budget')
  override
    .command('request')
    .description('ask for more, or for a stop to be lifted for a while')
    .requiredOption('--budget <id>')
    .requiredOption('--reason <text>')
    .option('--extra-usd <amount>', 'on top of the hard limit')
    .option('--until <time>', 'ends then, at the latest with the period')
    .option('--value <value>', 'for one account of a `per` budget')
    .option('--by <name>', 'in whose stead you ask, as admin; this is recorded')
    .option('--self', 'approve it yourself, as admin; this is recorded')
    .option('--json')
    .action(async (asked: OverrideRequest) => {
      const { json, extraUsd, by, ...rest } = asked
      const made = await ask(house.server(), 'POST', '/overrides', {
        ...rest,
        ...(by === undefined ? {} : { requested_by: by }),
        ...(extraUsd === undefined ? {} : { extra_usd: extraUsd }),
      })
      if (json) return printJson(output, made)
      const { id, state } = made as { id: string; state: string }
      output.out(`${id} ${state}\n`)
    })
  listing(override.command('list').description('overrides'), house, '/overrides', [
    'id',
    'budget',
    'extra_usd',
    'until',
    'state',
    'requested_by',
    'approved_by',
    'reason',
  ])
  addOverrideEnd(override, house)
  for (const verb of ['approve', 'deny'] as const) {
    override
      .command(verb)
      .argument('<id>')
      .option('--json')
      .option('--by <name>', 'in whose stead you decide, as admin; this is recorded')
      .addOption(new Option('--self', 'approve your own request, as admin; this is recorded'))
      .description(`${verb} a request`)
      .action(async (id: string, { json, by, self }: Json & { by?: string; self?: true }) => {
        const path = `/overrides/${encodeURIComponent(id)}/${verb}`
        const body = { ...(by === undefined ? {} : { by }), ...(self === true ? { self } : {}) }
        const after = await ask(house.server(), 'POST', path, body)
        if (json) return printJson(output, after)
        output.out(`${id} ${(after as { state: string }).state}\n`)
      })
  }
}

function addOverrideEnd(override: Command, house: House): void {
  override
    .command('end')
    .argument('<id>')
    .option('--reason <text>')
    .option('--json')
    .description('end one before its time')
    .action(async (id: string, { json, reason }: Json & { reason?: string }) => {
      const path = `/overrides/${encodeURIComponent(id)}/end`
      const body = reason === undefined ? {} : { reason }
      const after = await ask(house.server(), 'POST', path, body)
      if (json) return printJson(house.output, after)
      house.output.out(`${id} ${(after as { state: string }).state}\n`)
    })
}

function addCallCommands(program: Command, house: House): void {
  const { output } = house
  program
    .command('call')
    .argument('<id>')
    .option('--json')
    .description('one call: who, what, how much, each attempt')
    .action(async (id: string, { json }: Json) => {
      const call = await ask(house.server(), 'GET', `/calls/${encodeURIComponent(id)}`)
      if (json) return printJson(output, call)
      const { attempts, usage, ...rest } = call as {
        attempts: Record<string, unknown>[]
        usage: Record<string, unknown>
      }
      printTable(
        output,
        Object.entries({ ...rest, usage }).map(([field, value]) => ({ field, value })),
        ['field', 'value'],
      )
      output.out('\n')
      printTable(output, attempts, [
        'id',
        'provider',
        'model',
        'state',
        'basis',
        'held_usd',
        'cost_usd',
        'status',
        'reason',
      ])
    })
}
