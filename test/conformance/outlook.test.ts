/** A ledger with a past is looked ahead from: forecasts, burn rates, days out of line. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { accountsFor } from '#core/account.ts'
import { periodOf } from '#core/budget.ts'
import { nanos } from '#core/money.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { type Instant, instant } from '#core/time.ts'
import { bookedOutlooks, dayBookRound } from '#jobs/day-books.ts'
import { lookAhead, outlooks } from '#jobs/outlook.ts'
import type { Store } from '#ports/store.ts'
import { MemoryStore } from '#store/memory.ts'
import { PostgresStore } from '#store/postgres/store.ts'
import { SqliteStore } from '#store/sqlite.ts'
import { snapshotFor } from '#test/support/bursar.ts'
import { holdId, holdOf, nobody } from '#test/support/ledger.ts'
import { type Postgres, startPostgres } from '#test/support/postgres.ts'

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

interface Who {
  readonly agent?: string
  readonly user?: string
}

async function spend(
  store: Store,
  at: number,
  who: Who,
  usd: number,
  { budgets }: Snapshot = snapshot,
): Promise<void> {
  no += 1
  const now = instant(at)
  const attribution = { ...nobody, ...who, model: 'm', provider: 'p' }
  const rules = (id: string) => budgets.find((rule) => rule.id === id) ?? null
  const cost = nanos(BigInt(Math.round(usd * 1e9)))
  const hold = {
    ...holdOf(no),
    attribution,
    accounts: accountsFor(budgets, attribution),
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
    await spend(store, noon - day * dayMs, { agent: 'a' }, 98 + (day % 3) * 2)
    await spend(store, noon - day * dayMs, { agent: 'b' }, 50)
  }
}

const deps = (store: Store, now: number, its: Snapshot = snapshot) => ({
  clock: { now: (): Instant => instant(now), sleep: async () => {} },
  store,
  snapshot: () => its,
})

let postgres: Postgres
beforeAll(async () => {
  postgres = await startPostgres()
}, 60_000)
afterAll(async () => {
  await postgres[Symbol.asyncDispose]()
})

const stores: readonly (readonly [string, () => Store | Promise<Store>])[] = [
  ['memory', () => new MemoryStore()],
  ['sqlite', () => new SqliteStore({ path: ':memory:' })],
  ['postgres', async () => PostgresStore.open({ url: await postgres.database() })],
]

test.each(stores)('%s: told once, with the day and the interval', async (_kind, make) => {
  const store: Store = await make()
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
  await spend(store, noon + 10 * 60_000, { agent: 'b' }, 500)
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

test.each(stores)('%s: each agent, user and tenant has an outlook', async (_kind, make) => {
  const store: Store = await make()
  const its = snapshotFor(
    `organization: acme
budgets:
  - { name: agents, per: agent, budget_monthly_usd: 200, mode: observe }
  - { name: users, per: user, budget_monthly_usd: 200, mode: observe }
  - { name: one, user: cy, budget_monthly_usd: 200, mode: observe }
`,
    'http://127.0.0.1:1',
  )
  const round = dayBookRound({ ...deps(store, 0, its), clock: { now: () => at, sleep } })
  let at = instant(noon - 30 * dayMs)
  await store.adopt(its.budgets, at)
  for (let day = 30; day >= 1; day -= 1) {
    at = instant(noon - day * dayMs - dayMs / 2 + 120_000)
    await round()
    const morning = at + 3_600_000
    await spend(store, morning, { agent: 'a', user: 'ann' }, 9 + (day % 3), its)
    await spend(store, morning, { agent: 'b', user: 'bob' }, 1, its)
    await spend(store, morning, { agent: 'c', user: 'cy' }, 5, its)
  }
  at = instant(noon - dayMs / 2 + 120_000)
  await round()
  at = instant(noon)
  await lookAhead(deps(store, at, its))
  await round()
  at = instant(noon + 3_700_000)
  await lookAhead(deps(store, at, its))
  await round()

  // 14 days of $10 are posted, and 16 more are to come: $300 of $200, passed on the 20th.
  const told = (await store.alerts(100)).filter(({ kind }) => kind === 'forecast')
  const passed = expect.objectContaining({ 'will pass': '100 % on 2026-11-20' })
  const names = new Map(its.budgets.map(({ id, name }) => [id, name]))
  expect(told.map(({ budget, value, details }) => [names.get(budget), value, details])).toEqual([
    ['agents a month', 'a', passed],
    ['users a month', 'ann', passed],
  ])
  const all = [
    ...(await outlooks(deps(store, at, its))),
    ...(await bookedOutlooks(deps(store, at, its))),
  ]
  const expected = all.map(({ rule, account, end }) => [
    rule.name,
    account.value,
    Math.round((end?.expected ?? 0) / 1e10),
  ])
  expect(expected).toEqual([
    ['agents a month', 'a', 30],
    ['agents a month', 'c', 15],
    ['agents a month', 'b', 3],
    ['users a month', 'ann', 30],
    ['users a month', 'cy', 15],
    ['users a month', 'bob', 3],
    ['one a month', null, 15],
  ])
  // Of many accounts the dearest, whether or not their rows are behind.
  const users = its.budgets.find(({ per }) => per === 'user') ?? expect.fail('no rule')
  const dearest = await store.dearest(users.id, periodOf(users, at).start, 2)
  expect(dearest.map(({ value }) => value)).toEqual(['ann', 'cy'])
  await store.close()
})

const sleep = async (): Promise<void> => {}
