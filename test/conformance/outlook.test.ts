/** A ledger with a past is looked ahead from: forecasts, burn rates, days out of line. */
import { expect, test } from 'vitest'
import { accountsFor } from '#core/account.ts'
import { nanos } from '#core/money.ts'
import { type Instant, instant } from '#core/time.ts'
import { lookAhead, outlooks } from '#jobs/outlook.ts'
import type { Store } from '#ports/store.ts'
import { MemoryStore } from '#store/memory.ts'
import { SqliteStore } from '#store/sqlite.ts'
import { snapshotFor } from '#test/support/bursar.ts'
import { holdId, holdOf, nobody } from '#test/support/ledger.ts'

const noon = Date.UTC(2026, 10, 15, 12)
const dayMs = 86_400_000
const snapshot = snapshotFor(
  `organization: acme
budgets:
  - { name: all, budget_monthly_usd: 3000, mode: observe }
  - { name: a, agent: a, budget_monthly_usd: 100000 }
  - { name: new, agent: new, budget_monthly_usd: 100 }
`,
  'http://127.0.0.1:1',
)

let no = 0

async function spend(store: Store, at: number, agent: string, usd: number): Promise<void> {
  no += 1
  const now = instant(at)
  const attribution = { ...nobody, agent, model: 'm', provider: 'p' }
  const rules = (id: string) => snapshot.budgets.find((rule) => rule.id === id) ?? null
  const cost = nanos(BigInt(Math.round(usd * 1e9)))
  const hold = {
    ...holdOf(no),
    attribution,
    accounts: accountsFor(snapshot.budgets, attribution),
    expiresAt: instant(at + dayMs),
    asking: { ...holdOf(no).asking, fixedPicos: cost * 1000n },
  }
  expect((await store.run(hold, now, rules)).result.status).toBe('applied')
  const ended = { hold: holdId(no), cost, tokens: 1, basis: 'actual', facts: {} } as const
  await store.run({ kind: 'settle', ...ended }, now, rules)
}

/** Sixty days of $100 by `a` and $50 by `b`, and what today has brought. */
async function withPast(store: Store): Promise<void> {
  for (let day = 60; day >= 1; day -= 1) {
    await spend(store, noon - day * dayMs, 'a', 98 + (day % 3) * 2)
    await spend(store, noon - day * dayMs, 'b', 50)
  }
}

const deps = (store: Store, now: number) => ({
  clock: { now: (): Instant => instant(now), sleep: async () => {} },
  store,
  snapshot: () => snapshot,
})

test.each([
  ['memory', () => new MemoryStore()],
  ['sqlite', () => new SqliteStore({ path: ':memory:' })],
])('%s: told once, with the day and the interval', async (_kind, make) => {
  const store: Store = make()
  await withPast(store)
  const told = async (): Promise<readonly (readonly [string, string, unknown])[]> =>
    (await store.alerts(100))
      .filter(({ kind }) => kind !== 'threshold')
      .map(({ kind, budget, details }) => [kind, budget.slice(0, 9), details])

  // 14 days of $150 are posted; 16 more are to come: $4,500 of $3,000, and passed on the 20th.
  await lookAhead(deps(store, noon))
  await lookAhead(deps(store, noon + 3_600_000))
  expect(await told()).toEqual([
    [
      'forecast',
      'bud_month',
      {
        'will pass': '100 % on 2026-11-20',
        'expected at the end': expect.stringMatching(/^\$4,(4|5)\d\d/),
        '80 % interval': expect.stringMatching(/^\$4,\d{3}\.\d\d to \$4,\d{3}\.\d\d$/),
      },
    ],
  ])
  const [all, a, fresh] = await outlooks(deps(store, noon))
  expect(all?.end?.low).toBeLessThan(4500e9)
  expect(all?.end?.high).toBeGreaterThan(4480e9)
  expect(a?.passes).toBeNull()
  expect(fresh?.end).toBeNull()

  // Then `b` runs away: in an hour what should last for days.
  await spend(store, noon + 10 * 60_000, 'b', 500)
  await lookAhead(deps(store, noon + 20 * 60_000))
  await lookAhead(deps(store, noon + 30 * 60_000))
  const after = await told()
  expect(after.map(([kind]) => kind).sort()).toEqual([
    'anomaly',
    'burn_rate',
    'burn_rate',
    // Earlier now, and in another week.
    'forecast',
    'forecast',
  ])
  const [, , anomaly] = after.find(([kind]) => kind === 'anomaly') ?? []
  expect(anomaly).toMatchObject({
    agent: 'b',
    'spent today': '$500.00',
    'to be expected': '$50.00',
  })
  await store.close()
})
