/** `bursar alert`: what was told, over which channels, and whether it would arrive. */
import type { Command } from 'commander'
import { ask, ExitError, exitCodes, type Server } from './client.ts'
import { type Output, printJson, printTable } from './output.ts'

interface Json {
  readonly json?: true
}

interface Tested {
  readonly channel: string
  readonly delivered: boolean
  readonly answer: string
}

export function addAlertCommands(program: Command, output: Output, server: () => Server): void {
  const alert = program.command('alert').description('alerts and their channels')
  const table = (name: string, description: string, path: string, columns: readonly string[]) =>
    alert
      .command(name)
      .option('--json')
      .description(description)
      .action(async ({ json }: Json) => {
        const rows = await ask(server(), 'GET', path)
        if (json) printJson(output, rows)
        else printTable(output, rows as Record<string, unknown>[], columns)
      })
  table('list', 'alerts, newest first', '/alerts', [
    'at',
    'kind',
    'budget',
    'value',
    'threshold',
    'posted',
    'limit',
    'actions',
  ])
  table('deliveries', 'what was sent where, newest first', '/deliveries', [
    'alert',
    'channel',
    'state',
    'attempts',
    'next_at',
    'last_error',
  ])
  table('channels', 'channels, and whether alerts arrive over them', '/channels', [
    'channel',
    'state',
    'failures',
    'failing_since',
    'delivered_at',
    'last_error',
  ])
  alert
    .command('test')
    .argument('<channel>', 'slack, pagerduty, teams, email, email:ADDRESS, webhook:NAME')
    .option('--json')
    .description('send a test alert, and say what its receiver answers')
    .action(async (channel: string, { json }: Json) => {
      const tested = (await ask(server(), 'POST', '/alerts/test', { channel })) as Tested
      if (json) printJson(output, tested)
      else if (tested.delivered) output.out(`${channel}: delivered (${tested.answer})\n`)
      if (tested.delivered) return
      throw new ExitError(exitCodes.failed, `${channel}: not delivered: ${tested.answer}`)
    })
}
