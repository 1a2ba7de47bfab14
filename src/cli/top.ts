/** `bursar top`: who is nearest to a limit now, looked at again every few seconds. */
import { setTimeout } from 'node:timers/promises'
import type { Command } from 'commander'
import { ask, ExitError, exitCodes, type Server } from './client.ts'
import { type Output, printJson, printTable } from './output.ts'

interface Options {
  readonly every: string
  readonly lines: string
  readonly once?: true
  readonly json?: true
}

type Row = Readonly<Record<string, unknown>>

const clear = '\u001b[H\u001b[2J'

export function addTop(program: Command, output: Output, server: () => Server): void {
  program
    .command('top')
    .description('budgets and quotas nearest to their limit: used and left')
    .option('--every <seconds>', 'look again after', '2')
    .option('--lines <count>', 'show so many', '20')
    .option('--once', 'show it once, and end')
    .option('--json', 'once, as JSON')
    .action(async ({ every, lines, once, json }: Options) => {
      const seconds = Number(every)
      if (!(seconds >= 0.2)) throw new ExitError(exitCodes.usage, '--every takes seconds, from 0.2')
      const isLive = once !== true && process.stdout.isTTY === true
      for (;;) {
        const rows = (await rowsNow(server())).slice(0, Number(lines))
        if (json) return printJson(output, rows)
        if (isLive) output.out(clear)
        printTable(output, rows, ['name', 'value', 'used', 'left', 'limit', 'percent', 'state'])
        if (!isLive) return
        await setTimeout(seconds * 1000)
      }
    })
}

async function rowsNow(server: Server): Promise<readonly Row[]> {
  const [budgets, quotas] = (await Promise.all([
    ask(server, 'GET', '/budgets'),
    ask(server, 'GET', '/quotas'),
  ])) as [Record<string, string>[], Record<string, string>[]]
  const money = budgets.map((row) => ({
    ...common(row),
    used: `$${row.posted_usd}`,
    left: `$${row.remaining_usd}`,
    limit: `$${row.limit_usd}`,
  }))
  const counts = quotas.map((row) => {
    const used = BigInt(row.used ?? 0) + BigInt(row.pending ?? 0)
    const left = BigInt(row.limit ?? 0) - used
    return {
      ...common(row),
      used: String(used),
      left: String(left > 0n ? left : 0n),
      limit: `${row.limit} ${row.unit}`,
    }
  })
  return [...money, ...counts].sort((a, b) => Number(b.percent) - Number(a.percent))
}

const common = (row: Record<string, string>) => ({
  name: row.name,
  value: row.value,
  percent: row.used_percent,
  state: row.state,
})
