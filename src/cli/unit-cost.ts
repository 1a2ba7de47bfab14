/** `bursar unit-cost`: what one outcome cost, from files alone. */
import { writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { type Command, Option } from 'commander'
import { formatDecimal } from '#core/decimal.ts'
import type { UnitCost } from '#core/unit-cost.ts'
import {
  answerJson,
  answerRows,
  shortUsd,
  type UnitCostAnswer,
  type UnitCostQuestion,
} from '#core/unit-cost-answer.ts'
import { csvOf } from '#lib/csv-safe.ts'
import { ExitError, exitCodes } from './client.ts'
import { type Output, printJson, printTable } from './output.ts'
import { progressBar } from './progress.ts'

export interface UnitCostAsk extends UnitCostQuestion {
  /** Vendors' prices; null for those that come with Bursar. */
  readonly vendors: string | null
}

/** What reads the files, as `main` reaches it: loaded only when it is asked. */
export interface UnitCosts {
  answer(ask: UnitCostAsk): Promise<UnitCostAnswer>
  writeXlsx(path: string, answer: UnitCostAnswer): Promise<void>
}

interface Options {
  readonly bill: readonly string[]
  readonly outcomes: readonly string[]
  readonly by?: string
  readonly map?: readonly string[]
  readonly same?: readonly string[]
  readonly rate?: readonly string[]
  readonly confirmed?: string
  readonly type?: string
  readonly from?: string
  readonly to?: string
  readonly all?: true
  readonly compare?: string
  readonly engine: UnitCostAsk['engine']
  readonly json?: true
  readonly csv?: string
  readonly xlsx?: string
}

const listOf = (text = ''): readonly string[] =>
  text
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '')

export function addUnitCost(program: Command, output: Output, costs: UnitCosts): void {
  program
    .command('unit-cost')
    .description('what one outcome cost: a bill divided by what it achieved; needs no server')
    .requiredOption('--bill <files...>', 'exports of Anthropic, OpenAI, AWS, Azure, Google, FOCUS')
    .requiredOption('--outcomes <files...>', 'tickets, leads, tasks: CSV or JSON')
    .option('--by <list>', 'agent, team, model, day, or any column that both have')
    .option('--map <their=ours...>', 'which column is which; kept for files with these columns')
    .option('--same <theirs=ours...>', 'two names of one agent or team')
    .option('--rate <code=usd...>', 'dollars for one of a currency: CAD=0.73')
    .option('--confirmed <list>', 'statuses that count (resolved, solved, closed, ...)')
    .option('--type <list>', 'types of outcomes that count (all)')
    .option('--from <day>', 'first UTC day, 2026-10-01 (the first of the bill)')
    .option('--to <day>', 'last UTC day (the last of the bill)')
    .option('--all', 'count lines of other services too')
    .option('--compare <file>', 'prices of vendors, as in prices/outcomes/vendors.yaml')
    .addOption(
      new Option('--engine <which>', 'how large files are read')
        .choices(['auto', 'rows', 'sql'])
        .default('auto'),
    )
    .option('--json')
    .option('--csv <file>', 'save the table; - prints it')
    .option('--xlsx <file>', 'save the table as a workbook')
    .action((options: Options) => run(output, costs, options))
}

async function run(output: Output, costs: UnitCosts, options: Options): Promise<void> {
  for (const day of [options.from, options.to]) {
    if (day !== undefined && !/^\d{4}-\d{2}-\d{2}$/.test(day)) {
      throw new ExitError(exitCodes.usage, `"${day}" is not a day: write 2026-10-01`)
    }
  }
  const bar = progressBar(output, 'reading')
  let answer: UnitCostAnswer
  try {
    answer = await costs.answer(askOf(options, bar.show))
  } catch (error) {
    const isUsage = error instanceof Error && error.name === 'UsageProblem'
    throw isUsage ? new ExitError(exitCodes.usage, error.message) : error
  } finally {
    bar.end()
  }
  if (options.xlsx !== undefined) await costs.writeXlsx(options.xlsx, answer)
  const { header, rows } = answerRows(answer)
  const csv = csvOf([header, ...rows])
  if (options.csv !== undefined && options.csv !== '-') writeFileSync(options.csv, csv)
  if (options.json) printJson(output, answerJson(answer))
  else if (options.csv === '-') output.out(csv)
  else print(output, answer)
  const { findings } = answer
  if (findings.length === 0) return
  const more = options.json || options.csv === '-' ? `:\n  ${findings.join('\n  ')}` : ''
  throw new ExitError(exitCodes.findings, `${findings.length} found that may change it${more}`)
}

function askOf(options: Options, progress: UnitCostAsk['progress']): UnitCostAsk {
  const { env } = process
  const config = env.XDG_CONFIG_HOME || join(homedir(), '.config')
  return {
    bills: options.bill,
    outcomes: options.outcomes,
    by: listOf(options.by).map((name) => name.toLowerCase()),
    map: options.map ?? [],
    same: options.same ?? [],
    rates: options.rate ?? [],
    confirmed: listOf(options.confirmed),
    types: listOf(options.type),
    from: options.from,
    to: options.to,
    all: options.all === true,
    engine: options.engine,
    vendors: options.compare ?? null,
    mappings: env.BURSAR_COLUMNS || join(config, 'bursar', 'columns.json'),
    progress,
  }
}

const count = (n: number, one: string): string =>
  `${n.toLocaleString('en')} ${one}${n === 1 ? '' : 's'}`

function print(output: Output, answer: UnitCostAnswer): void {
  const { total, by, groups, from, to } = answer
  const each =
    total.each === null ? 'no outcome counts' : `${shortUsd(total.each, total.outcomes)} each`
  output.out(
    `\n  ${shortUsd(total.cost)} / ${count(total.outcomes, 'outcome')} = ${each}\n` +
      `  ${rangeOf(total)}\n` +
      `  ${from} to ${to} (UTC); exactly $${formatDecimal(total.cost)}\n\n`,
  )
  if (by.length > 0) {
    printTable(
      output,
      groups.map((row) => groupRow(by, row)),
      [...by, ...numbers],
    )
    output.out('\n')
  }
  const kinds = answer.kinds.map(([kind, cost]) => ({ paid_for: kind, cost: shortUsd(cost) }))
  printTable(output, kinds, ['paid_for', 'cost'])
  output.out('\n')
  printTable(
    output,
    answer.comparisons.map((one) => ({
      vendor: one.vendor,
      for_one: one.outcome,
      price: shortUsd(one.usd),
      all_there: shortUsd(one.total),
      own_is: one.perMille === null ? '' : `${(one.perMille / 10).toFixed(1)}%`,
      own: one.verdict,
      checked: one.checked,
    })),
    ['vendor', 'for_one', 'price', 'all_there', 'own_is', 'own', 'checked'],
  )
  output.out('\n')
  printRest(output, answer)
}

const numbers = ['cost', 'outcomes', 'each', 'low', 'high']

function rangeOf({ low, high, outcomes }: UnitCost): string {
  if (low === null && high === null) return ''
  const few = outcomes < 30 ? '; few outcomes, so a wide range' : ''
  const end = high === null ? 'upwards' : `to ${shortUsd(high, outcomes)}`
  return `95 % interval ${shortUsd(low, outcomes)} ${end} (exact Poisson${few})`
}

function groupRow(by: readonly string[], row: UnitCost): Readonly<Record<string, unknown>> {
  const values = by.map((name, i) => [name, row.values[i] ?? `(no ${name})`])
  return {
    ...Object.fromEntries(values),
    cost: shortUsd(row.cost),
    outcomes: row.outcomes,
    each: shortUsd(row.each, row.outcomes),
    low: shortUsd(row.low, row.outcomes),
    high: shortUsd(row.high, row.outcomes),
  }
}

function printRest(output: Output, answer: UnitCostAnswer): void {
  const { unmatched, by, notCounted, notes, findings } = answer
  const lines: string[] = []
  for (const row of unmatched) {
    const name = by.map((one, i) => row.values[i] ?? `no ${one}`).join(', ')
    lines.push(
      row.outcomes === 0
        ? `${name}: ${shortUsd(row.cost)} without an outcome`
        : `${name}: ${count(row.outcomes, 'outcome')} without a cost`,
    )
  }
  for (const { what, count: n, amount, currency } of notCounted) {
    const size =
      amount === null ? String(n) : `${count(n, 'row')}, ${formatDecimal(amount)} ${currency ?? ''}`
    lines.push(`not counted: ${what}: ${size}`)
  }
  lines.push(...notes.map((note) => `note: ${note}`))
  if (lines.length > 0) output.out(`${lines.map((line) => `  ${printable(line)}`).join('\n')}\n`)
  if (findings.length > 0) {
    output.err(`${findings.map((one) => `  found: ${printable(one)}`).join('\n')}\n`)
  }
}

/** A name in a bill may hold characters that move the cursor. */
const printable = (text: string): string => text.replace(/[\p{Cc}\p{Cf}]/gu, '?')
