/** More than twice what can be served, by one key: what the loop, others and the operator feel of it. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { flood, median, oneByOne } from './load.ts'
import { type BursarTarget, bursar } from './targets.ts'

export interface OverloadRow {
  readonly sustainedPerSecond: number
  readonly offeredPerSecond: number
  readonly servedPerSecond: number
  /** Delay of the event loop, as the process measured it during the flood. */
  readonly loopP99Ms: number
  /** One call at a time of another key, and one request at a time of the admin API. */
  readonly others: Felt
  readonly admin: Felt
  /** After the flood: until calls took no longer than twice what they took before. */
  readonly normalAfterMs: number
}

interface Felt {
  readonly asked: number
  readonly answered: number
  readonly medianMs: number
}

/** Each calls again at once, so that far more is wanted than can be served. */
const connections = 8000
const floodSeconds = 15

export async function overload(): Promise<OverloadRow> {
  const target = await bursar({ agents: ['resolver'] })
  try {
    flood(target, '2 KB', 64, 10)
    const sustained = flood(target, '2 KB', 64, 5).perSecond
    const before = median((await oneByOne(target, '2 KB', 200)).wholeMs)
    await loopP99Ms(target)
    // The flood blocks this thread: whoever else asks does so from another.
    const asking = new Asking(target)
    const found = flood(target, '2 KB', connections, floodSeconds)
    const loop = await loopP99Ms(target)
    const since = performance.now()
    while ((await medianMs(target)) > 2 * before) {
      if (performance.now() - since > 60_000) break
    }
    const normalAfterMs = performance.now() - since
    const [others, admin] = await asking.felt()
    return {
      sustainedPerSecond: sustained,
      offeredPerSecond: found.perSecond,
      servedPerSecond: found.perSecond - found.errors / floodSeconds,
      loopP99Ms: loop,
      others,
      admin,
      normalAfterMs,
    }
  } finally {
    await target.stop()
  }
}

/** Infinite where one of them is refused. */
async function medianMs(target: BursarTarget): Promise<number> {
  const times = await oneByOne(target, '2 KB', 20).catch(() => null)
  return times === null ? Number.POSITIVE_INFINITY : median(times.wholeMs)
}

const adminToken = ({ data }: BursarTarget): string =>
  readFileSync(join(data, 'admin-token'), 'utf8').trim()

/** Of the time since it was last asked. */
async function loopP99Ms(target: BursarTarget): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${target.port}/metrics`, {
    headers: { authorization: `Bearer ${adminToken(target)}` },
  })
  const seconds = /^nodejs_eventloop_lag_p99_seconds ([\d.e+-]+)$/m.exec(await answer.text())?.[1]
  if (seconds === undefined) throw new Error(`no event loop delay in /metrics (${answer.status})`)
  return Number(seconds) * 1000
}

class Asking {
  readonly #worker: Worker

  constructor(target: BursarTarget) {
    const base = `http://127.0.0.1:${target.port}`
    const workerData = { base, key: target.keys[0], token: adminToken(target), floodSeconds }
    this.#worker = new Worker(new URL('./overload-others.ts', import.meta.url), { workerData })
  }

  async felt(): Promise<readonly [Felt, Felt]> {
    const felt = new Promise<readonly [Felt, Felt]>((resolve) => {
      this.#worker.once('message', resolve)
    })
    this.#worker.postMessage('how was it?')
    return await felt
  }
}

export function overloadTable(row: OverloadRow): string {
  const one = (name: string, { asked, answered, medianMs }: Felt): string =>
    `| ${name} | ${answered} of ${asked} answered, ${medianMs.toFixed(0)} ms at the median |`
  const each = (value: number): string => value.toFixed(0)
  return [
    '| under a flood by one key | |',
    '| --- | --- |',
    `| sustained before, calls/s | ${each(row.sustainedPerSecond)} |`,
    `| offered, calls/s | ${each(row.offeredPerSecond)} |`,
    `| served, calls/s | ${each(row.servedPerSecond)} |`,
    `| event loop delay p99, ms | ${row.loopP99Ms.toFixed(1)} |`,
    one('calls of another key', row.others),
    one('the admin API', row.admin),
    `| normal again after, ms | ${each(row.normalAfterMs)} |`,
  ].join('\n')
}
