import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Hold } from '#core/journal.ts'
import { inspect } from '#store/sqlite-inspect.ts'
import { SqliteStore } from '#store/sqlite.ts'
import { until } from '#test/support/bursar.ts'
import { generator } from '#test/sim/clock.ts'
import {
  ask,
  type Asked,
  type Child,
  makeKey,
  newSite,
  runBursar,
  type Site,
  startChild,
} from '#test/support/child.ts'
import { budgets, holdOf, rules, settleOf, start } from '#test/support/ledger.ts'
import { type Fault, faults, flickering, remount, smallDisk, whyNoMount } from './disk-faults.ts'

const nanosOf = (usd: string | null): bigint => BigInt((usd ?? '0').replace('.', ''))

async function holdsIn(ledger: string): Promise<ReadonlyMap<string, Hold>> {
  const store = new SqliteStore({ path: ledger })
  const holds = await store.recentHolds(1_000_000)
  await store.close()
  return new Map(holds.map((hold) => [String(hold.call), hold]))
}

/** What was answered is settled at what was answered. Returns how far we are above the bill. */
async function audit({ ledger, simulator }: Site, answered: readonly Asked[]): Promise<bigint> {
  const { findings, openHolds } = await inspect(ledger)
  expect({ findings, openHolds }).toEqual({ findings: [], openHolds: 0 })
  const holds = await holdsIn(ledger)
  const wrong = answered.filter(({ id, cost }) => holds.get(id)?.cost !== nanosOf(cost))
  expect(wrong).toEqual([])
  const total = [...holds.values()].reduce((sum, { cost }) => sum + (cost ?? 0n), 0n)
  return total - nanosOf(simulator.bill().total_usd)
}

/** While the ledger cannot commit, for `ms`: 503 in time, and nothing reaches the provider. */
async function refusing({ simulator }: Site, child: Child, key: string, ms: number): Promise<void> {
  const sent = simulator.requests()
  const until = performance.now() + ms
  const refused: Asked[] = []
  while (performance.now() < until) {
    refused.push(...(await Promise.all([1, 2, 3, 4].map(() => ask(child, key)))))
  }
  const told = new Set(
    refused.map(({ status, code, retryAfter }) => `${status} ${code} ${retryAfter}`),
  )
  expect([...told]).toEqual(['503 ledger_unavailable 5'])
  expect(Math.max(...refused.map((one) => one.ms))).toBeLessThan(2600)
  expect(simulator.requests()).toBe(sent)
}

async function ordeal(fault: Fault): Promise<void> {
  await using site = await newSite()
  using _disk = fault.onTmpfs ? smallDisk(site.data, 'size=2m') : null
  await using child = await startChild(site)
  const key = await makeKey(child)
  const answered: Asked[] = []
  for (let i = 0; i < 5; i += 1) answered.push(await ask(child, key))
  // Held before the disk goes, answered by the provider while it is gone.
  let over = false
  const running = ask(child, key, 'tokens=5; delay=600').finally(() => {
    over = true
  })
  await until('it is sent', () => site.simulator.requests() === 6)
  const end = await fault.begin(child, site)
  await refusing(site, child, key, 1500)
  expect((await fetch(`${child.url}/healthz`)).status).toBe(200)
  // Its provider has answered long ago: what holds it back is that its cost is not durable.
  expect(over).toBe(false)
  await end()
  await until(
    'it has recovered',
    async () => {
      const asked = await ask(child, key)
      if (asked.status === 200) answered.push(asked)
      return asked.status === 200
    },
    15_000,
  )
  answered.push(await running)
  for (let i = 0; i < 5; i += 1) answered.push(await ask(child, key))
  expect(new Set(answered.map(({ status }) => status))).toEqual(new Set([200]))
  expect(await child.stop()).toMatchObject({ code: 0 })
  expect(await audit(site, answered)).toBe(0n)
}

for (const fault of faults) {
  const { name, missing } = fault
  test.skipIf(missing !== null)(
    missing === null ? `${name}: 503 and nothing sent, then all is settled` : `${name}: ${missing}`,
    () => ordeal(fault),
  )
}

const flickers = flickering.missing === null
test.skipIf(!flickers)(
  `${flickering.name}, then kill -9: nothing acknowledged is lost (${flickering.missing ?? 'traced'})`,
  async () => {
    await using site = await newSite()
    await using child = await startChild(site)
    const key = await makeKey(child)
    await flickering.begin(child, site)
    const asked: Asked[] = []
    const one = async (): Promise<void> => {
      for (;;) {
        const answer = await ask(child, key).catch(() => null)
        if (answer === null) return
        asked.push(answer)
      }
    }
    const callers = [1, 2, 3, 4].map(one)
    const count = (status: number): number => asked.filter((a) => a.status === status).length
    await until('both', () => count(200) >= 20 && count(503) >= 20, 60_000)
    await child.kill()
    await Promise.all(callers)
    expect([...new Set(asked.map(({ status }) => status))].sort()).toEqual([200, 503])
    // The next start presumes what was in flight; a call that was refused cost nothing.
    await using next = await startChild(site)
    expect(await next.stop()).toMatchObject({ code: 0 })
    const answered = asked.filter(({ status }) => status === 200)
    expect(await audit(site, answered)).toBeGreaterThanOrEqual(0n)
  },
)

test.skipIf(whyNoMount !== null)(
  `a read-only disk: start says why it refuses, doctor and backup still read (${whyNoMount ?? 'tmpfs'})`,
  async () => {
    await using site = await newSite()
    using disk = smallDisk(site.data, 'size=4m')
    const first = await startChild(site)
    const answered = [await ask(first, await makeKey(first))]
    await first.stop()
    remount(disk, 'ro')
    await expect(startChild(site)).rejects.toThrow(/read-only file system|disk writable/)
    const doctor = await runBursar(['doctor', '--data', site.data, '--json'])
    expect([doctor.code, JSON.parse(doctor.said)]).toEqual([
      0,
      expect.objectContaining({ holds: 1 }),
    ])
    const copy = join(site.folder, 'copy')
    expect((await runBursar(['backup', copy, '--data', site.data])).code).toBe(0)
    remount(disk, 'rw')
    await using again = await startChild(site)
    answered.push(await ask(again, await makeKey(again)))
    await again.stop()
    expect(await audit(site, answered)).toBe(0n)
  },
)

const flips = process.env.BURSAR_LONG === '1' ? 10_000 : 500

/** All that is money in a ledger, as text. */
async function moneyIn(store: SqliteStore): Promise<string> {
  const holds = (await store.recentHolds(1000)).map(({ id, state, cost, amount, lines }) => [
    [id, state, cost, amount],
    lines.map(({ account, unit, amount, posted }) => [account, unit, amount, posted]),
  ])
  const accounts = (await store.accountsAt(start)).map(({ key, posted, pending }) => [
    key,
    posted,
    pending,
  ])
  return String([holds, accounts])
}

async function laidOut(path: string): Promise<string> {
  const store = new SqliteStore({ path })
  await store.adopt(budgets, start)
  for (let no = 0; no < 100; no += 1) {
    await store.run(holdOf(no), start, rules)
    if (no % 3 > 0) await store.run(settleOf(no), start, rules)
  }
  const money = await moneyIn(store)
  await store.close()
  return money
}

test(`${flips} flipped bits: refused, or found by doctor, or every sum is right`, async () => {
  await using site = await newSite()
  const sound = join(site.folder, 'sound.db')
  const money = await laidOut(sound)
  const bytes = readFileSync(sound)
  const chance = generator(41)
  const seen = { found: 0, refused: 0, right: 0, wrong: [] as number[] }
  for (let no = 0; no < flips; no += 1) {
    const at = Math.floor(chance() * bytes.length)
    const path = join(site.folder, `flip-${no}.db`)
    const copy = Buffer.from(bytes)
    copy[at] = (copy[at] ?? 0) ^ (1 << Math.floor(chance() * 8))
    writeFileSync(path, copy)
    if ((await inspect(path)).findings.length > 0) {
      seen.found += 1
      continue
    }
    try {
      const store = new SqliteStore({ path })
      if ((await moneyIn(store)) === money) seen.right += 1
      else seen.wrong.push(at)
      await store.close()
    } catch {
      seen.refused += 1
    }
    rmSync(path)
  }
  expect(seen.wrong).toEqual([])
  expect(seen.found).toBeGreaterThan(flips / 10)
})

test('a ruined file: start refuses and names doctor, doctor names restore', async () => {
  await using site = await newSite()
  const child = await startChild(site)
  await ask(child, await makeKey(child))
  await child.stop()
  const bytes = readFileSync(site.ledger)
  bytes.fill(0xa5, 0, 4096)
  writeFileSync(site.ledger, bytes)
  await expect(startChild(site)).rejects.toThrow(/cannot be used.*bursar doctor/)
  const doctor = await runBursar(['doctor', '--data', site.data])
  expect([doctor.code, doctor.said]).toEqual([3, expect.stringContaining('bursar restore')])
})
