/** The price book on the command line; its rows are read from the files, calls from the server. */
import type { Command } from 'commander'
import { ask, ExitError, exitCodes, type Server, longMs } from './client.ts'
import { type Output, printJson, printTable } from './output.ts'

export interface PriceHouse {
  readonly output: Output
  readonly server: () => Server
  prices(model: string | undefined): readonly Readonly<Record<string, unknown>>[]
  /** The text of a file that was named. */
  readText(path: string): string
}

interface Json {
  readonly json?: true
}

const collect = (value: string, before: readonly string[]): string[] => [...before, value]

export function addPriceCommands(program: Command, house: PriceHouse): void {
  const { output } = house
  const price = program.command('price').description('the price book')
  price
    .command('list')
    .option('--json')
    .description('models and their prices per million')
    .action(({ json }: Json) => {
      const rows = house.prices(undefined)
      if (json) return printJson(output, rows)
      printTable(output, rows, [
        'model',
        'vendor',
        'from',
        'until',
        'above',
        'input',
        'cache_read',
        'output',
        'tiers',
        'checked',
        'source',
      ])
    })
  price
    .command('show')
    .argument('<model>')
    .option('--json')
    .description('one model, all dates')
    .action((model: string, { json }: Json) => {
      const rows = house.prices(model)
      if (rows.length === 0) throw new ExitError(exitCodes.failed, `"${model}" has no price`)
      if (json) return printJson(output, rows)
      const columns = ['model', 'from', 'until', 'above', 'rates', 'tiers', 'aliases', 'source']
      printTable(output, rows, columns)
    })
  addRecost(price, house)
}

interface RecostOptions extends Json {
  readonly from?: string
  readonly to?: string
  readonly prices: readonly string[]
  readonly apply?: true
  readonly accept?: true
}

interface Recosted {
  readonly applied: boolean
  readonly adjusted: number
  readonly price_book: string
  readonly old_usd: string
  readonly new_usd: string
  readonly difference_usd: string
  readonly by_model: Record<string, unknown>[]
  readonly kept: { why: string; calls: number; cost_usd: string }[]
}

function addRecost(price: Command, house: PriceHouse): void {
  const { output } = house
  price
    .command('recost')
    .description('price calls that are over again, and show what differs; 31 days if not said')
    .option('--from <time>', 'calls made from then on: 2026-11-01, or with a time')
    .option('--to <time>', 'calls made before')
    .option('--prices <file>', 'a price file over the book in force; may be repeated', collect, [])
    .option('--apply', 'write adjusting entries')
    .option('--accept', 'prices that move by more than half are meant')
    .option('--json')
    .action(async ({ json, prices, ...asked }: RecostOptions) => {
      const files = prices.map((name) => ({ name, text: house.readText(name) }))
      const body = { ...asked, ...(files.length === 0 ? {} : { prices: files }) }
      const made = await ask(house.server(), 'POST', '/prices/recost', body, longMs)
      const found = made as Recosted
      if (json) return printJson(output, found)
      const columns = ['model', 'calls', 'changed', 'old_usd', 'new_usd', 'difference_usd']
      const total = { ...found, model: 'total' }
      printTable(output, [...found.by_model, total], columns)
      for (const { why, calls, cost_usd } of found.kept) {
        output.err(`${calls} calls of ${cost_usd} USD keep their cost: ${why}\n`)
      }
      output.err(
        found.applied
          ? `${found.adjusted} adjusting entries written (price book ${found.price_book})\n`
          : 'nothing was written: --apply writes adjusting entries\n',
      )
    })
}
