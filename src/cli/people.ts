/** Commands about people: admin tokens, who you are, and the audit log. */
import type { Command } from 'commander'
import { ask, ExitError, exitCodes, type Server } from './client.ts'
import { type Output, printJson, printTable } from './output.ts'

interface Json {
  readonly json?: true
}

export function addPeopleCommands(program: Command, output: Output, server: () => Server): void {
  addTokenCommands(program, output, server)
  program
    .command('whoami')
    .option('--json')
    .description('as whom the server knows you, and what you may')
    .action(async ({ json }: Json) => {
      const me = (await ask(server(), 'GET', '/me')) as Record<string, unknown>
      if (json) return printJson(output, me)
      printTable(output, [me], ['id', 'name', 'role', 'subtree', 'via', 'expires_at'])
    })
  const audit = program.command('audit').description('who changed what')
  audit
    .command('list')
    .option('--json')
    .description('newest first')
    .action(async ({ json }: Json) => {
      const rows = (await ask(server(), 'GET', '/audit')) as Record<string, unknown>[]
      if (json) return printJson(output, rows)
      printTable(output, rows, ['at', 'actor', 'action', 'subject', 'reason'])
    })
  audit
    .command('verify')
    .option('--head <hash>', 'where the chain ended at an earlier check: it must still be in it')
    .option('--json')
    .description('follow the hash chain of the audit log, and name the first bad row')
    .action((options: Json & { readonly head?: string }) => verify(output, server(), options))
}

interface Verified {
  readonly ok: boolean
  readonly rows: number
  readonly head: string
  readonly findings: readonly {
    readonly seq: number | null
    readonly id: string | null
    readonly message: string
  }[]
}

async function verify(
  output: Output,
  server: Server,
  { head, json }: Json & { readonly head?: string },
): Promise<void> {
  const query = head === undefined ? '' : `?head=${encodeURIComponent(head)}`
  const found = (await ask(server, 'GET', `/audit/verify${query}`)) as Verified
  if (json) printJson(output, found)
  else if (found.ok) output.out(`${found.rows} rows: whole\nhead ${found.head}\n`)
  for (const { seq, id, message } of json ? [] : found.findings) {
    output.err(`${seq === null ? '' : `row ${seq}, ${id}: `}${message}\n`)
  }
  if (!found.ok) throw new ExitError(exitCodes.findings, 'the audit log was tampered with')
}

interface TokenOptions extends Json {
  readonly name: string
  readonly role: string
  readonly subtree?: string
  readonly expiresAt?: string
  readonly reason?: string
}

function addTokenCommands(program: Command, output: Output, server: () => Server): void {
  const token = program.command('token').description('admin tokens, for people and programs')
  token
    .command('create')
    .description('a new token, with no more rights than yours; its secret is shown once')
    .requiredOption('--name <name>', 'whose or what for it is')
    .requiredOption('--role <role>', 'admin, finops, lead or viewer')
    .option('--subtree <node>', 'of a lead: business_unit=NAME, team=NAME or agent=NAME')
    .option('--expires-at <time>', '2026-12-31T00:00:00Z')
    .option('--reason <text>')
    .option('--json')
    .action(async ({ json, expiresAt, ...given }: TokenOptions) => {
      const body = { ...given, ...(expiresAt === undefined ? {} : { expires_at: expiresAt }) }
      const made = await ask(server(), 'POST', '/tokens', body)
      if (json) return printJson(output, made)
      const { id, token: secret } = made as { id: string; token: string }
      output.err(`${id} created. This is the only time its secret is shown:\n`)
      output.out(`${secret}\n`)
    })
  token
    .command('list')
    .option('--json')
    .description('tokens that you might have made, without their secrets')
    .action(async ({ json }: Json) => {
      const rows = (await ask(server(), 'GET', '/tokens')) as Record<string, unknown>[]
      if (json) return printJson(output, rows)
      const columns = 'id name prefix role subtree created_by expires_at last_used_at revoked_at'
      printTable(output, rows, columns.split(' '))
    })
  token
    .command('revoke')
    .argument('<id>')
    .option('--reason <text>')
    .option('--json')
    .description('revoke it for good')
    .action(async (id: string, { json, ...body }: Json & { readonly reason?: string }) => {
      const path = `/tokens/${encodeURIComponent(id)}/revoke`
      const after = await ask(server(), 'POST', path, body)
      if (json) return printJson(output, after)
      output.out(`${id} revoked\n`)
    })
}
