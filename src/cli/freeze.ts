/** The kill switch: `bursar freeze`, `bursar unfreeze`. */
import type { Command } from 'commander'
import { ask, ExitError, exitCodes, type Server } from './client.ts'
import { type Output, printJson, printTable } from './output.ts'

const kinds = ['business-unit', 'team', 'agent', 'environment', 'tenant', 'user', 'key', 'model']

type Options = Readonly<Record<string, string | true | undefined>>

export function addFreezeCommands(program: Command, output: Output, server: () => Server): void {
  const freeze = program
    .command('freeze')
    .description('let no call of a node pass, on any replica, until it is unfrozen')
    .option('--all', 'everything')
    .option('--reason <text>', 'why; needed to freeze')
    .option('--until <time>', 'ends then by itself, such as 2026-12-01T08:00:00Z')
    .option('--json')
  for (const kind of [...kinds, 'provider']) freeze.option(`--${kind} <name>`)
  freeze.action(async (options: Options) => {
    const selector = selectorOf(options)
    const isEmpty = Object.keys(selector).length === 0
    if (isEmpty && options.all !== true) return list(output, server, options.json === true)
    if (options.reason === undefined) {
      throw new ExitError(exitCodes.usage, 'say why: --reason TEXT')
    }
    const { reason, until, json } = options
    const body = { selector, reason, ...(until === undefined ? {} : { until }) }
    const made = await ask(server(), 'POST', '/freezes', body)
    if (json === true) return printJson(output, made)
    const { id } = made as { id: string }
    output.out(`${id} is frozen. Calls go on with: bursar unfreeze ${id}\n`)
  })
  program
    .command('unfreeze')
    .argument('<id>', 'as `bursar freeze` lists it, such as team=support')
    .option('--reason <text>')
    .option('--json')
    .description('let calls go on')
    .action(async (id: string, { json, reason }: { json?: true; reason?: string }) => {
      const body = reason === undefined ? {} : { reason }
      const path = `/freezes/${encodeURIComponent(id)}/end`
      const after = await ask(server(), 'POST', path, body)
      if (json) printJson(output, after)
      else output.out(`${id}: calls go on\n`)
    })
}

function selectorOf(options: Options): Record<string, string> {
  const pairs = [...kinds, 'provider'].flatMap((kind) => {
    const value = options[kind === 'business-unit' ? 'businessUnit' : kind]
    return typeof value === 'string' ? [[kind.replace('-', '_'), value] as const] : []
  })
  return Object.fromEntries(pairs)
}

async function list(output: Output, server: () => Server, json: boolean): Promise<void> {
  const rows = (await ask(server(), 'GET', '/freezes')) as Record<string, unknown>[]
  if (json) printJson(output, rows)
  else printTable(output, rows, ['id', 'on', 'by', 'at', 'until', 'reason'])
}
