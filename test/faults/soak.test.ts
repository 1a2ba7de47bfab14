/**
 * Hours of ordinary trouble in a few minutes: at 70 % of what this machine serves, one call in five
 * meets a fault of its provider and one in ten a caller that hangs up.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startBursar } from '#src/wiring.ts'
import { generator } from '#test/sim/clock.ts'
import { apiAt, closeBooks, snapshotFor, usual } from '#test/support/bursar.ts'
import { liveBytes } from '#test/support/memory.ts'
import { startSimulatorProcess } from '#test/support/simulator.ts'
import { type Sent, troubledCall } from '#test/support/trouble.ts'

const long = process.env.BURSAR_LONG === '1'
const seconds = long ? 300 : 20
/** After each nothing is in flight, and what is on the heap then is what was left there. */
const rounds = long ? 60 : 10
const warmSeconds = long ? 20 : 6
const share = 0.7
const crowd = 32
/**
 * Less than any object a call could leave behind. The first minute also warms the compiler: in
 * 20 s a sound tree grows by 60 to 170 bytes a call, in five minutes by 2.
 */
const bytesPerCall = long ? 8 : 200
const config = `organization: acme
budgets:
  - { name: all, budget_yearly_usd: 10000000 }
  - { name: each user, per: user, budget_yearly_usd: 1000000 }
quotas: [{ per: user, max_calls_per_day: 100000000 }]
`
/** Calls a second that a crowd gets served, each calling again at once. */
async function capacity(sent: Sent): Promise<number> {
  const until = performance.now() + warmSeconds * 1000
  const half = until - (warmSeconds * 1000) / 2
  let served = 0
  const caller = async (): Promise<void> => {
    while (performance.now() < until) {
      await troubledCall(sent)
      // The first half is for the compiler.
      if (performance.now() > half) served += 1
    }
  }
  await Promise.all(Array.from({ length: crowd }, caller))
  return served / (warmSeconds / 2)
}

/** As many calls a second, whether or not those before are answered. */
async function steady(
  sent: Sent,
  perSecond: number,
  said: (status: number) => void,
): Promise<void> {
  const began = performance.now()
  let begun = 0
  const open = new Set<Promise<void>>()
  while (performance.now() - began < (seconds / rounds) * 1000) {
    const due = ((performance.now() - began) / 1000) * perSecond
    for (; begun < due; begun += 1) {
      const call = troubledCall(sent).then((status) => {
        said(status)
        open.delete(call)
      })
      open.add(call)
    }
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await Promise.all(open)
}

/** The slope of a line through the points, and its standard error. */
function slopeOf(points: readonly (readonly [number, number])[]): [number, number] {
  const n = points.length
  const mean = (of: 0 | 1): number => points.reduce((sum, point) => sum + point[of], 0) / n
  const [mx, my] = [mean(0), mean(1)]
  const sxx = points.reduce((sum, [x]) => sum + (x - mx) ** 2, 0)
  const slope = points.reduce((sum, [x, y]) => sum + (x - mx) * (y - my), 0) / sxx
  const rest = points.reduce((sum, [x, y]) => sum + (y - my - slope * (x - mx)) ** 2, 0)
  return [slope, Math.sqrt(rest / (n - 2) / sxx)]
}

test(`${seconds} s at ${share * 100} % of capacity: the heap is flat, and the books are the bill`, async () => {
  const provider = await startSimulatorProcess()
  const dataFolder = mkdtempSync(join(tmpdir(), 'bursar-soak-'))
  const bursar = await startBursar({
    ...usual,
    dataFolder,
    // Whether calls are shed on a busy machine is for `test/faults/overload.test.ts`.
    limits: { queueMs: 60_000, waitMs: 60_000 },
    load: () => snapshotFor(config, provider.url),
  })
  const api = apiAt(bursar.url)
  const { key } = (await api('/keys', {})) as { key: string }
  const agent = new Agent({ keepAlive: true })
  const shares = { faults: 0.2, aborts: 0.1 }
  const sent = { url: bursar.url, key, agent, chance: generator(20_261_125), shares }
  const statuses = new Map<number, number>()
  const heap: [number, number][] = []
  try {
    const perSecond = share * (await capacity(sent))
    for (let round = 1; round <= rounds; round += 1) {
      await steady(sent, perSecond, (status) => {
        statuses.set(status, (statuses.get(status) ?? 0) + 1)
      })
      heap.push([(round * seconds) / rounds, liveBytes()])
    }
    agent.destroy()

    // The first third fills what is kept on purpose: keys in use, accounts, buffers of sockets.
    const [slope, error] = slopeOf(heap.slice(Math.floor(heap.length / 3)))
    const shown = `${slope.toFixed(0)} bytes a second, give or take ${error.toFixed(0)}; `
    const calls = [...statuses.values()].reduce((sum, count) => sum + count, 0)
    const all = `${shown}${calls} calls, ${[...statuses].join(' ')}`
    process.stdout.write(`soak: ${perSecond.toFixed(0)}/s, heap ${all}\n`)

    const presumed = await closeBooks({ store: bursar.store, api, provider })

    expect(slope, all).toBeLessThan(Math.max(3 * error, bytesPerCall * perSecond))
    expect(statuses.get(200) ?? 0, all).toBeGreaterThan(calls * 0.6)
    expect(statuses.get(503) ?? 0, all).toBe(0)
    expect(presumed, all).toBeGreaterThan(0)
  } finally {
    await bursar.stop('test over')
    provider.stop()
    rmSync(dataFolder, { recursive: true, force: true })
  }
}, 900_000)
