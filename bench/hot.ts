/**
 * Accounts that every call is in, on PostgreSQL: what group commit makes of them, for one replica
 * and for three, beside a transaction a command and beside a counter in Redis that forgets.
 */
import { spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { PostgresStore } from '#store/postgres/store.ts'
import { type Postgres, startPostgres } from '#test/support/postgres.ts'
import { flood, median, oneByOne } from './load.ts'
import { redisCounter } from './redis.ts'
import { bursar, here, upstream } from './targets.ts'

export interface HotRow {
  readonly name: string
  /** A call: a hold and its settlement. */
  readonly callsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

interface Measured {
  readonly times: readonly number[]
  readonly seconds: number
}

const callers = 64

function worker(url: string, way: string, count: number, seconds: number): Promise<Measured> {
  const file = join(here, 'hot-worker.ts')
  const child = spawn(process.execPath, [file, url, way, String(count), String(seconds)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.on('data', (chunk) => {
    said += chunk
  })
  return new Promise((resolve, reject) => {
    child.on('exit', (code) => {
      if (code === 0) resolve({ times: JSON.parse(said) as number[], seconds })
      else reject(new Error(`a worker ended with ${code}`))
    })
  })
}

function rowOf(name: string, all: readonly Measured[]): HotRow {
  const times = all.flatMap(({ times: some }) => some).sort((a, b) => a - b)
  const at = (share: number): number => times[Math.floor(times.length * share)] ?? 0
  const seconds = all[0]?.seconds ?? 1
  return { name, callsPerSecond: times.length / seconds, p50Ms: at(0.5), p99Ms: at(0.99) }
}

interface Way {
  readonly name: string
  readonly measure: () => Promise<readonly Measured[]>
}

function waysOf(url: string, seconds: number): readonly Way[] {
  const replicas = (count: number, way: string, each: number) => () =>
    Promise.all(Array.from({ length: count }, () => worker(url, way, each, seconds)))
  return [
    { name: 'a transaction a command, 64 callers', measure: replicas(1, 'apart', callers) },
    { name: 'group commit, 1 caller', measure: replicas(1, 'together', 1) },
    { name: 'group commit, 64 callers', measure: replicas(1, 'together', callers) },
    { name: 'group commit, 3 replicas of 22 callers', measure: replicas(3, 'together', 22) },
  ]
}

/** Each way in turn, and again, so that the machine's moods meet them alike. */
export async function hot(rounds: number, seconds: number): Promise<readonly HotRow[]> {
  await using postgres: Postgres = await startPostgres()
  const url = await postgres.database()
  // The tables are made by whoever opens first, and not by a worker that is measured.
  await (await PostgresStore.open({ url })).close()
  const ways = [...waysOf(url, seconds), ...redisWays(seconds)]
  const found = new Map<string, HotRow[]>(ways.map(({ name }) => [name, []]))
  for (let round = 0; round < rounds; round += 1) {
    for (const { name, measure } of ways) found.get(name)?.push(rowOf(name, await measure()))
  }
  const middle = (rows: readonly HotRow[], of: (row: HotRow) => number): number =>
    median(rows.map(of))
  const rows = [...found].map(([name, all]) => ({
    name,
    callsPerSecond: middle(all, (row) => row.callsPerSecond),
    p50Ms: middle(all, (row) => row.p50Ms),
    p99Ms: middle(all, (row) => row.p99Ms),
  }))
  return [...rows, ...(await governed(await postgres.database(), rounds, seconds))]
}

function redisWays(seconds: number): readonly Way[] {
  if (spawnSync('redis-server', ['--version']).status !== 0) return []
  const name = 'Redis, a Lua counter, nothing durable'
  return [{ name, measure: async () => [await redisCounter(callers, seconds)] }]
}

/** The whole of Bursar on PostgreSQL: HTTP in, six budgets, two quotas, a provider, HTTP out. */
async function governed(url: string, rounds: number, seconds: number): Promise<readonly HotRow[]> {
  const source = await upstream()
  const target = await bursar({ databaseUrl: url })
  try {
    flood(target, '2 KB', callers, 8)
    const flooded = [callers, 256].map((connections): HotRow => {
      const all = Array.from({ length: rounds }, () => flood(target, '2 KB', connections, seconds))
      return {
        name: `governed calls over HTTP, ${connections} connections`,
        callsPerSecond: median(all.map(({ perSecond }) => perSecond)),
        p50Ms: median(all.map(({ p50Ms }) => p50Ms)),
        p99Ms: median(all.map(({ p99Ms }) => p99Ms)),
      }
    })
    const alone = (await oneByOne(target, '2 KB', 500)).wholeMs.toSorted((a, b) => a - b)
    return [
      ...flooded,
      {
        name: 'governed calls over HTTP, one at a time',
        callsPerSecond: 1000 / median(alone),
        p50Ms: median(alone),
        p99Ms: alone[Math.floor(alone.length * 0.99)] ?? 0,
      },
    ]
  } finally {
    await target.stop()
    await source.stop()
  }
}

export function hotTable(rows: readonly HotRow[]): string {
  return [
    '| six accounts in every call | calls/s | p50 ms | p99 ms |',
    '| --- | --: | --: | --: |',
    ...rows.map(({ name, callsPerSecond, p50Ms, p99Ms }) => {
      const figures = [callsPerSecond.toFixed(0), p50Ms.toFixed(2), p99Ms.toFixed(2)]
      return `| ${name} | ${figures.join(' | ')} |`
    }),
  ].join('\n')
}
