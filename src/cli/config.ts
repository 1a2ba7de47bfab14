/** Config as code: `bursar check | schema | diff | apply | replay`. */
import { createInterface } from 'node:readline/promises'
import type { Command } from 'commander'
import { ask, ExitError, exitCodes, longMs, type Server } from './client.ts'
import { type Output, printJson, printTable } from './output.ts'

export interface ConfigText {
  readonly name: string
  readonly text: string
}

export interface ConfigTools {
  readonly output: Output
  readonly server: () => Server
  /** A file, or every YAML file of a folder. Throws with a sentence for people. */
  readConfig(path: string): readonly ConfigText[]
  /** Problems of a config, formatted for a terminal, and what it would do. */
  check(path: string): { readonly problems: readonly string[]; readonly summary: unknown }
  schema(): unknown
}

interface Json {
  readonly json?: true
}

interface Diff {
  readonly version: string
  readonly next_version: string
  readonly changes: readonly Change[]
  readonly effects: readonly { readonly harsh: boolean }[]
  readonly summary: readonly string[]
  readonly warnings: readonly string[]
  readonly notices: readonly string[]
  readonly unknown: string | null
}

interface Change {
  readonly kind: 'added' | 'removed' | 'changed'
  readonly part: string
  readonly name: string
  readonly fields: readonly {
    readonly field: string
    readonly before: string | null
    readonly after: string | null
  }[]
}

export function addConfigCommands(program: Command, tools: ConfigTools): void {
  const { output } = tools
  program
    .command('check')
    .argument('<file>', 'YAML file or folder')
    .option('--json')
    .description('check a config without starting anything')
    .action((file: string, { json }: Json) => {
      const { problems, summary } = tools.check(file)
      if (json) printJson(output, { ok: problems.length === 0, problems, summary })
      else if (problems.length === 0) output.out(`${file}: ok\n${noticesIn(summary)}`)
      else output.err(`${problems.join('\n')}\n`)
      if (problems.length > 0) throw new ExitError(exitCodes.findings, `${problems.length} found`)
    })
  program
    .command('schema')
    .description('print the JSON Schema of the config')
    .option('--json')
    .action(() => printJson(output, tools.schema()))
  program
    .command('diff')
    .argument('<file>', 'YAML file or folder')
    .option('--json')
    .option('--exit-code', 'exit with 3 where anything would change')
    .description('what a config would change on the running server, and what that would do now')
    .action(async (file: string, { json, exitCode }: Json & { exitCode?: true }) => {
      const diff = await diffOf(tools, tools.readConfig(file))
      if (json) printJson(output, diff)
      else printDiff(output, diff)
      if (exitCode && diff.changes.length > 0) {
        throw new ExitError(exitCodes.findings, `${diff.changes.length} changes`)
      }
    })
  addApply(program, tools)
  addReplay(program, tools)
}

function noticesIn(summary: unknown): string {
  const notices =
    typeof summary === 'object' &&
    summary !== null &&
    'notices' in summary &&
    Array.isArray(summary.notices)
      ? summary.notices
      : []
  return notices.map((notice) => `  note: ${String(notice)}\n`).join('')
}

async function diffOf(tools: ConfigTools, files: readonly ConfigText[]): Promise<Diff> {
  return (await ask(tools.server(), 'POST', '/config/diff', { files }, longMs)) as Diff
}

interface ApplyOptions extends Json {
  readonly reason: string
  readonly yes?: true
}

function addApply(program: Command, tools: ConfigTools): void {
  const { output } = tools
  program
    .command('apply')
    .argument('<file>', 'YAML file or folder')
    .requiredOption('--reason <text>', 'why; kept in the audit log')
    .option('--yes', 'do not ask, also where calls that pass now would be slowed or refused')
    .option('--json')
    .description('put a config in force on the running server, after showing what it would do')
    .action(async (file: string, { json, reason, yes }: ApplyOptions) => {
      // Read once: what is put in force is what was shown.
      const files = tools.readConfig(file)
      const diff = await diffOf(tools, files)
      if (!json) printDiff(output, diff)
      if (diff.version === diff.next_version) {
        if (json) printJson(output, diff)
        return
      }
      if (yes !== true && !(await agreed())) {
        throw new ExitError(exitCodes.usage, 'nothing was changed: say --yes, or answer with "yes"')
      }
      const body = { files, version: diff.version, reason, accept: true }
      const applied = await ask(tools.server(), 'POST', '/config/apply', body, longMs)
      if (json) printJson(output, applied)
      else output.out(`in force: ${(applied as Diff).next_version}\n`)
    })
}

/** Only a person at a terminal can be asked. */
async function agreed(): Promise<boolean> {
  if (!process.stdin.isTTY) return false
  const asking = createInterface({ input: process.stdin, output: process.stderr })
  const answer = await asking.question('Put it in force? Type "yes": ')
  asking.close()
  return answer.trim() === 'yes'
}

const marks = { added: '+', removed: '-', changed: '~' } as const

function printDiff(output: Output, diff: Diff): void {
  if (diff.changes.length === 0) {
    const isSame = diff.version === diff.next_version
    output.out(isSame ? 'nothing would change\n' : 'only its text would change\n')
  }
  for (const { kind, part, name, fields } of diff.changes) {
    output.out(`${marks[kind]} ${part} ${name}\n`)
    if (kind === 'removed') continue
    for (const { field, before, after } of fields) {
      const change = before === null ? `${after}` : `${before} -> ${after ?? '(not set)'}`
      output.out(`    ${field}: ${change}\n`)
    }
  }
  for (const line of [...diff.summary, ...diff.warnings]) output.out(`! ${line}\n`)
  for (const notice of diff.notices) output.out(`  note: ${notice}\n`)
  if (diff.unknown !== null) output.out(`  note: ${diff.unknown}\n`)
}

interface ReplayOptions extends Json {
  readonly policy?: string
  readonly from: string
  readonly to: string
}

interface Replayed {
  readonly [name: string]: unknown
  readonly refused: readonly Record<string, unknown>[]
  readonly alerts: readonly Record<string, unknown>[]
  readonly alerts_total: number
}

function addReplay(program: Command, tools: ConfigTools): void {
  const { output } = tools
  program
    .command('replay')
    .option('--policy <file>', 'YAML file or folder; left out: the config in force')
    .requiredOption('--from <time>', 'such as 2026-10-01, or 2026-10-01T00:00:00Z')
    .requiredOption('--to <time>')
    .option('--json')
    .description('what a policy would have alerted, slowed, stopped and saved in the past')
    .action(async ({ json, policy, from, to }: ReplayOptions) => {
      const files = policy === undefined ? {} : { files: tools.readConfig(policy) }
      const body = { ...files, from: wholeTime(from), to: wholeTime(to) }
      const replayed = await ask(tools.server(), 'POST', '/replay', body, longMs)
      if (json) return printJson(output, replayed)
      printReplay(output, replayed as Replayed)
    })
}

const wholeTime = (text: string): string =>
  /^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text

function printReplay(
  output: Output,
  { refused, alerts, alerts_total: total, ...sums }: Replayed,
): void {
  const rows = Object.entries(sums).map(([field, value]) => ({ field, value }))
  printTable(output, rows, ['field', 'value'])
  if (refused.length > 0) {
    output.out('\nrefused\n')
    const columns = ['name', 'value', 'kind', 'calls', 'cost_usd', 'first_at', 'agents']
    printTable(output, refused.map(withLists), columns)
  }
  if (alerts.length > 0) {
    output.out('\nalerts\n')
    printTable(output, alerts.map(withLists), [
      'at',
      'name',
      'value',
      'threshold',
      'used',
      'amount',
      'actions',
    ])
  }
  if (total > alerts.length) output.out(`and ${total - alerts.length} more\n`)
}

/** Lists as people read them. */
const withLists = (row: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(row).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(', ') : value,
    ]),
  )
