/** What a call costs where the company has grown: 10, 1,000 and 100,000 budgets and keys. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { flood, median } from './load.ts'
import { type BursarTarget, bursar, here } from './targets.ts'

export interface GrowthRow {
  readonly budgets: number
  readonly perSecond: number
  /** Bytes of the ledger's file a call, without its log. */
  readonly bytesPerCall: number
}

const sizes = [10, 1000, 100_000]

/** Of one file; a file may have 1 MiB. */
const budgetsPerFile = 10_000

function writeConfig(folder: string, agents: number): void {
  mkdirSync(folder)
  const lines = readFileSync(join(here, 'bursar.yaml'), 'utf8').split('\n')
  const tree = lines.findIndex((line) => line.startsWith('business_units:'))
  // Without a tree any agent is known: a hundred thousand are not declared one by one.
  lines.splice(tree, 2)
  writeFileSync(join(folder, 'bursar.yaml'), lines.join('\n'))
  for (let from = 0; from < agents; from += budgetsPerFile) {
    const budgets = Array.from(
      { length: Math.min(budgetsPerFile, agents - from) },
      (_, i) => `  - { agent: a${from + i}, budget_monthly_usd: 1000000 }`,
    )
    writeFileSync(join(folder, `from-${from}.yaml`), `budgets:\n${budgets.join('\n')}\n`)
  }
}

function bytesPerCall({ data }: BursarTarget): number {
  const path = join(data, 'bursar.db')
  const db = new DatabaseSync(path, { readOnly: true })
  const calls = Number(db.prepare('select count(*) as n from hold').get()?.n)
  const pages = Number(db.prepare('pragma page_count').get()?.page_count)
  db.close()
  return (pages * 4096) / Math.max(1, calls)
}

/** All sizes run side by side, so that the machine's moods meet them alike. */
export async function growth(rounds: number, seconds: number): Promise<readonly GrowthRow[]> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-growth-'))
  const running: { agents: number; target: BursarTarget; perSecond: number[] }[] = []
  try {
    for (const [i, agents] of sizes.entries()) {
      const config = join(folder, String(agents))
      writeConfig(config, agents)
      const names = Array.from({ length: agents }, (_, no) => `a${no}`)
      const target = await bursar({ port: 4820 + i, config, agents: names })
      running.push({ agents, target, perSecond: [] })
    }
    for (let round = -1; round < rounds; round += 1) {
      for (const { target, perSecond } of running) {
        const keys = target.keys.slice(0, 1000)
        const found = flood(target, '2 KB', 64, round < 0 ? 10 : seconds, keys)
        if (found.errors > 0) throw new Error(`${found.errors} calls failed`)
        if (round >= 0) perSecond.push(found.perSecond)
      }
    }
    return running.map(({ agents, target, perSecond }) => ({
      budgets: agents,
      perSecond: median(perSecond),
      bytesPerCall: bytesPerCall(target),
    }))
  } finally {
    for (const { target } of running) await target.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

export function growthTable(rows: readonly GrowthRow[]): string {
  const [first] = rows
  return [
    '| budgets and keys | 2 KB calls/s | of the smallest | ledger GB a million calls |',
    '| --: | --: | --: | --: |',
    ...rows.map(({ budgets, perSecond, bytesPerCall: bytes }) => {
      const share = ((perSecond / (first?.perSecond ?? 1)) * 100).toFixed(0)
      const gigabytes = ((bytes * 1e6) / 1e9).toFixed(2)
      return `| ${budgets} | ${perSecond.toFixed(0)} | ${share} % | ${gigabytes} |`
    }),
  ].join('\n')
}
