import { expect, test } from 'vitest'
import { inspect } from '#store/sqlite-inspect.ts'
import { SqliteStore } from '#store/sqlite.ts'
import { generator } from '#test/sim/clock.ts'
import { ask, type Child, makeKey, newSite, type Site, startChild } from '#test/support/child.ts'

const cycles = process.env.BURSAR_LONG === '1' ? 2000 : 200

/** Calls without pause until the process dies. What was answered is acknowledged. */
async function load(child: Child, key: string, acknowledged: Map<string, string>): Promise<void> {
  const one = async (): Promise<void> => {
    for (;;) {
      const asked = await ask(child, key, 'delay=3').catch(() => null)
      if (asked === null) return
      if (asked.status === 200 && asked.cost !== null) acknowledged.set(asked.id, asked.cost)
    }
  }
  await Promise.all(Array.from({ length: 16 }, one))
}

async function examine(
  { ledger, simulator }: Site,
  acknowledged: ReadonlyMap<string, string>,
): Promise<Record<string, unknown> & { presumed: number }> {
  const { findings, openHolds } = inspect(ledger)
  const store = new SqliteStore({ path: ledger })
  const holds = await store.recentHolds(10_000_000)
  await store.close()
  const ids = new Set<string | null>(holds.map(({ id }) => id))
  const byCall = new Map(holds.map((hold) => [String(hold.call), hold]))
  const nanosOf = (usd: string): bigint => BigInt(usd.replace('.', ''))
  const bill = new Map(
    simulator.bill().lines.map((line) => [line.client_request_id, line.cost_usd]),
  )
  return {
    findings,
    openHolds,
    lost: [...acknowledged.keys()].filter((call) => !byCall.has(call)),
    wrong: [...acknowledged].filter(([call, cost]) => byCall.get(call)?.cost !== nanosOf(cost)),
    under: holds.filter(({ id, cost }) => (cost ?? 0n) < nanosOf(bill.get(id) ?? '0')),
    unheld: [...bill.keys()].filter((id) => !ids.has(id)),
    presumed: holds.filter(({ basis, state }) => basis === 'presumed' && state === 'expired')
      .length,
  }
}

test(`${cycles} kills -9 under load: nothing acknowledged is lost, no hold leaks`, async () => {
  await using site = await newSite()
  const chance = generator(20_261_124)
  const acknowledged = new Map<string, string>()
  let key = ''
  for (let cycle = 0; cycle < cycles; cycle += 1) {
    await using child = await startChild(site)
    if (key === '') key = await makeKey(child)
    const loading = load(child, key, acknowledged)
    await new Promise((resolve) => setTimeout(resolve, 20 + Math.floor(chance() * 200)))
    await child.kill()
    await loading
  }
  // One more start takes over what the last kill left; then it ends in the ordinary way.
  await using last = await startChild(site)
  expect(await last.stop()).toMatchObject({ code: 0 })
  const found = await examine(site, acknowledged)
  expect(acknowledged.size).toBeGreaterThan(cycles * 5)
  const nothing = { findings: [], openHolds: 0, lost: [], wrong: [], under: [], unheld: [] }
  expect(found).toMatchObject(nothing)
  expect(found.presumed).toBeGreaterThan(0)
}, 3_600_000)
