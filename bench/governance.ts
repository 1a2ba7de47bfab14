/**
 * What quotas, caps on runs, loops, alerts and audit cost: the config of the other tables beside the
 * same one with all of them, while somebody changes something every second.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { flood, median } from './load.ts'
import { type BursarTarget, bursar, here } from './targets.ts'

/** Each with a conversation, and so a run, of its own. */
const users = 2000
const warmSeconds = 6

export interface GovernanceRow {
  readonly name: string
  readonly perSecond: number
  /** Of the whole process, a call; null where the system does not tell. */
  readonly cpuMicros: number | null
}

interface Measured {
  readonly name: string
  readonly step: number
  /** Another tree's, where it is not this one's. */
  readonly tree?: string
  readonly perSecond: number[]
  readonly cpuMicros: number[]
}

interface Running {
  readonly row: Measured
  readonly target: BursarTarget
}

/** Windows that one process is measured in. */
const windows = 3

/** So high that nothing is refused: what is measured is the counting. Each is added to the last. */
const steps: readonly (readonly [name: string, yaml: (receiver: string) => string])[] = [
  ['six budgets and two quotas', () => ''],
  [
    'and alerts to a receiver, soft limits, loops, changes at the desk',
    (receiver) => `
  - { per: key, max_calls_per_hour: 1000, mode: observe, soft: 0.5 }
runs:
  - { agent: resolver, loop: { identical_calls: 1000, retries: 1000, returns: 3, within: 10s } }
notify: { webhooks: { ops: { url: "http://127.0.0.1:${receiver}/" } } }
`,
  ],
  [
    'and four quotas more: conversations, tokens, calls of a tenant, calls at once',
    () => `
quotas:
  - { agent: resolver, max_conversations_per_hour: 1000000000 }
  - { per: user, max_tokens_per_day: 100000000000 }
  - { per: tenant, max_calls_per_minute: 1000000000 }
  - { per: user, max_concurrent: 1000000 }
`,
  ],
  [
    'and two caps on each run',
    () => `
runs: [{ agent: resolver, max_usd: 1000000, max_calls: 1000000000 }]
`,
  ],
]

/**
 * `before`: a tree to stand first with the first step's config, to hold the others against. Each
 * round starts all of them anew: two processes of one program differ by as much as 5 % for as long
 * as they live.
 */
export async function governance(
  rounds: number,
  seconds: number,
  before: string | null,
): Promise<readonly GovernanceRow[]> {
  const rowOf = (name: string, step: number): Measured => ({
    name,
    step,
    perSecond: [],
    cpuMicros: [],
  })
  const rows = steps.map(([name], step) => rowOf(name, step))
  if (before !== null) {
    rows.unshift({ ...rowOf('six budgets and two quotas, the tree before', 0), tree: before })
  }
  for (let round = 0; round < rounds; round += 1) await measureAll(rows, seconds)
  return rows.map(({ name, perSecond, cpuMicros }) => ({
    name,
    perSecond: median(perSecond),
    cpuMicros: cpuMicros.length === 0 ? null : median(cpuMicros),
  }))
}

async function measureAll(rows: readonly Measured[], seconds: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-governance-'))
  const desk = join(here, 'busy-desk.ts')
  const receiver = spawn(process.execPath, [desk], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [port] = (await once(receiver.stdout, 'data')) as [Buffer]
  const helpers = [receiver]
  const running: Running[] = []
  try {
    for (const [no, row] of rows.entries()) {
      const config = writeConfig(join(folder, `config-${no}`), row.step, String(port).trim())
      const tree = row.tree === undefined ? {} : { tree: row.tree }
      const target = await bursar({ port: 4830 + no, config, agents: ['resolver'], ...tree })
      running.push({ row, target })
      if (row.step === 0) continue
      const token = readFileSync(join(target.data, 'admin-token'), 'utf8').trim()
      const args = [desk, `http://127.0.0.1:${target.port}`, token]
      helpers.push(spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] }))
    }
    for (const { target } of running) flood(target, '2 KB', 64, warmSeconds, [], users)
    for (let window = 0; window < windows; window += 1) {
      for (const one of window % 2 === 0 ? running : running.toReversed()) measure(one, seconds)
    }
  } finally {
    for (const { target } of running) await target.stop()
    for (const helper of helpers) helper.kill()
    rmSync(folder, { recursive: true, force: true })
  }
}

function measure({ row, target }: Running, seconds: number): void {
  const before = cpuMicrosOf(target.pid)
  const found = flood(target, '2 KB', 64, seconds, [], users)
  const after = cpuMicrosOf(target.pid)
  if (found.errors > 0) throw new Error(`${found.errors} calls failed`)
  row.perSecond.push(found.perSecond)
  if (before !== null && after !== null) {
    row.cpuMicros.push((after - before) / (found.perSecond * seconds))
  }
}

/** What all its threads have used so far, in ticks of 10 ms as Linux tells it. */
function cpuMicrosOf(pid: number): number | null {
  const path = `/proc/${pid}/stat`
  if (!existsSync(path)) return null
  const text = readFileSync(path, 'utf8')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10_000
}

/** A folder with the first file and what the steps up to this one add. */
function writeConfig(folder: string, step: number, receiver: string): string {
  mkdirSync(folder)
  const text = readFileSync(join(here, 'bursar.yaml'), 'utf8').trimEnd()
  const added = steps.slice(0, step + 1).map(([, yaml]) => yaml(receiver))
  const [, first = '', ...others] = added
  writeFileSync(join(folder, '0.yaml'), text + first)
  for (const [no, yaml] of others.entries()) writeFileSync(join(folder, `${no + 1}.yaml`), yaml)
  return folder
}

export function governanceTable(rows: readonly GovernanceRow[]): string {
  const [first] = rows
  return [
    '| with | 2 KB calls/s | of the first | processor, µs a call |',
    '| --- | --: | --: | --: |',
    ...rows.map(({ name, perSecond, cpuMicros }) => {
      const share = ((perSecond / (first?.perSecond ?? 1)) * 100).toFixed(1)
      return `| ${name} | ${perSecond.toFixed(0)} | ${share} % | ${cpuMicros?.toFixed(0) ?? ''} |`
    }),
  ].join('\n')
}
