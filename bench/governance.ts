/**
 * What quotas, caps on runs, loops, alerts and audit cost: the config of the other tables beside the
 * same one with all of them, while somebody changes something every second.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { flood, median } from './load.ts'
import { type BursarTarget, bursar, here } from './targets.ts'

/** Each with a conversation, and so a run, of its own. */
const users = 2000

export interface GovernanceRow {
  readonly name: string
  readonly perSecond: number
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

export async function governance(
  rounds: number,
  seconds: number,
): Promise<readonly GovernanceRow[]> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-governance-'))
  const desk = join(here, 'busy-desk.ts')
  const receiver = spawn(process.execPath, [desk], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [port] = (await once(receiver.stdout, 'data')) as [Buffer]
  const helpers = [receiver]
  const config = join(folder, 'config')
  const rows: { name: string; target: BursarTarget; perSecond: number[] }[] = []
  try {
    for (const [no, [name]] of steps.entries()) {
      const own = writeConfig(`${config}-${no}`, no, String(port).trim())
      const target = await bursar({ port: 4830 + no, config: own, agents: ['resolver'] })
      rows.push({ name, target, perSecond: [] })
      if (no === 0) continue
      const token = readFileSync(join(target.data, 'admin-token'), 'utf8').trim()
      const args = [desk, `http://127.0.0.1:${target.port}`, token]
      helpers.push(spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] }))
    }
    for (let round = -1; round < rounds; round += 1) {
      for (const { target, perSecond } of round % 2 === 0 ? rows : rows.toReversed()) {
        const found = flood(target, '2 KB', 64, round < 0 ? 8 : seconds, [], users)
        if (found.errors > 0) throw new Error(`${found.errors} calls failed`)
        if (round >= 0) perSecond.push(found.perSecond)
      }
    }
    return rows.map(({ name, perSecond }) => ({ name, perSecond: median(perSecond) }))
  } finally {
    for (const { target } of rows) await target.stop()
    for (const helper of helpers) helper.kill()
    rmSync(folder, { recursive: true, force: true })
  }
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
    '| with | 2 KB calls/s | of the first |',
    '| --- | --: | --: |',
    ...rows.map(({ name, perSecond }) => {
      const share = ((perSecond / (first?.perSecond ?? 1)) * 100).toFixed(1)
      return `| ${name} | ${perSecond.toFixed(0)} | ${share} % |`
    }),
  ].join('\n')
}
