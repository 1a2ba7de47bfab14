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

export interface GovernanceRow {
  readonly name: string
  readonly perSecond: number
  /** Of the whole process, a call; null where the system does not tell. */
  readonly cpuMicros: number | null
}

interface Measured {
  readonly name: string
  readonly target: BursarTarget
  readonly perSecond: number[]
  readonly cpuMicros: number[]
}

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

/** `before`: a tree to stand first with the first step's config, to hold the others against. */
export async function governance(
  rounds: number,
  seconds: number,
  before: string | null,
): Promise<readonly GovernanceRow[]> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-governance-'))
  const desk = join(here, 'busy-desk.ts')
  const receiver = spawn(process.execPath, [desk], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [port] = (await once(receiver.stdout, 'data')) as [Buffer]
  const helpers = [receiver]
  const config = join(folder, 'config')
  const rows: Measured[] = []
  const add = async (name: string, step: number, tree?: string): Promise<BursarTarget> => {
    const own = writeConfig(`${config}-${rows.length}`, step, String(port).trim())
    const options = { port: 4830 + rows.length, config: own, agents: ['resolver'] }
    const target = await bursar(tree === undefined ? options : { ...options, tree })
    rows.push({ name, target, perSecond: [], cpuMicros: [] })
    return target
  }
  try {
    if (before !== null) await add('six budgets and two quotas, the tree before', 0, before)
    for (const [no, [name]] of steps.entries()) {
      const target = await add(name, no)
      if (no === 0) continue
      const token = readFileSync(join(target.data, 'admin-token'), 'utf8').trim()
      const args = [desk, `http://127.0.0.1:${target.port}`, token]
      helpers.push(spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] }))
    }
    for (let round = -1; round < rounds; round += 1) {
      for (const row of round % 2 === 0 ? rows : rows.toReversed()) measure(row, round, seconds)
    }
    return rows.map(({ name, perSecond, cpuMicros }) => ({
      name,
      perSecond: median(perSecond),
      cpuMicros: cpuMicros.length === 0 ? null : median(cpuMicros),
    }))
  } finally {
    for (const { target } of rows) await target.stop()
    for (const helper of helpers) helper.kill()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The first round only warms up. */
function measure({ target, perSecond, cpuMicros }: Measured, round: number, seconds: number): void {
  const lasts = round < 0 ? 8 : seconds
  const before = cpuMicrosOf(target.pid)
  const found = flood(target, '2 KB', 64, lasts, [], users)
  const after = cpuMicrosOf(target.pid)
  if (found.errors > 0) throw new Error(`${found.errors} calls failed`)
  if (round < 0) return
  perSecond.push(found.perSecond)
  if (before !== null && after !== null) {
    cpuMicros.push((after - before) / (found.perSecond * lasts))
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
