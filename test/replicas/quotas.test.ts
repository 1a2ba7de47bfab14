/** Quotas, alerts and kill switches on three replicas: as exact, and as quick, as on one. */
import { expect, test } from 'vitest'
import type { BudgetRule } from '#core/budget.ts'
import type { Rules } from '#core/journal.ts'
import { instant } from '#core/time.ts'
import { PostgresStore } from '#store/postgres/store.ts'
import { until } from '#test/support/bursar.ts'
import { ask, makeKey, newSite } from '#test/support/child.ts'
import { holdOf, ruleOf, settleOf, start } from '#test/support/ledger.ts'
import { startPostgres } from '#test/support/postgres.ts'
import { knownEverywhere, startReplicas } from '#test/support/replicas.ts'

const config = `quotas:
  - { per: user, max_calls_per_day: 100 }
  - { agent: a, max_conversations_per_day: 100 }
`

test('100 a day and 300 calls at once over three replicas: 100 are admitted', async () => {
  await using postgres = await startPostgres({ flags: ['fsync=off'] })
  await using site = await newSite(config)
  await using replicas = await startReplicas(site, await postgres.database(), 3)
  const [first] = replicas.children
  if (first === undefined) throw new Error('there are replicas')
  const key = await makeKey(first)
  await knownEverywhere(replicas, key)
  const statuses = async (headers: (no: number) => Record<string, string>): Promise<number[]> =>
    (
      await Promise.all(
        Array.from({ length: 300 }, (_, no) => ask(replicas.next(), key, 'delay=200', headers(no))),
      )
    ).map(({ status }) => status)
  const admitted = (all: readonly number[]): number => all.filter((one) => one === 200).length

  // A user nobody has heard of, all of whose calls are the first.
  const one = await statuses(() => ({ 'bursar-user': 'new', 'bursar-conversation': 'c' }))
  expect(admitted(one)).toBe(100)
  expect(new Set(one)).toEqual(new Set([200, 402]))
  // 99 seats are left, and 150 conversations of two calls each want one.
  const many = await statuses((no) => ({
    'bursar-user': `u${no}`,
    'bursar-conversation': `c${no % 150}`,
  }))
  expect(admitted(many)).toBe(2 * 99)
  expect(site.simulator.requests()).toBe(100 + 2 * 99)

  const [url, headers] = [first.url, { authorization: 'Bearer adm_test' }]
  const body = JSON.stringify({ selector: { agent: 'a' }, reason: 'it misbehaves' })
  await fetch(`${url}/api/v1/freezes`, { method: 'POST', headers, body })
  const frozenAt = performance.now()
  for (const child of replicas.children) {
    const isFrozen = async (): Promise<boolean> => (await ask(child, key)).code === 'frozen'
    await until('it is frozen', isFrozen, 1000)
  }
  expect(performance.now() - frozenAt).toBeLessThan(1000)
})

const rule = ruleOf('all', {
  amount: 1_000_000n,
  period: 'day',
  ladder: [
    {
      label: '0.8',
      at: { numerator: 4n, denominator: 5n },
      actions: [{ kind: 'notify', channel: 'owner', name: null }],
    },
  ],
})

test('10,000 calls past 80 % on three replicas: one alert a period, none after a restart', async () => {
  await using postgres = await startPostgres({ flags: ['fsync=off'] })
  const url = await postgres.database()
  const rules: Rules = (id) => (id === rule.id ? rule : null)
  const openAll = (): Promise<PostgresStore[]> =>
    Promise.all(Array.from({ length: 3 }, () => PostgresStore.open({ url })))
  const withRule = (no: number, of: BudgetRule) => ({
    ...holdOf(no),
    accounts: [{ rule: of, value: null }],
    expiresAt: instant(start + 10 * dayMs),
  })
  /** Half of them before the line is crossed. */
  const run = async (stores: PostgresStore[], from: number, count: number, at: number) => {
    const calls = Array.from({ length: count }, (_, no) => from + no)
    await Promise.all(
      calls.map(async (no) => {
        const store = stores[no % 3] as PostgresStore
        const now = instant(start + at)
        await store.run(withRule(no, rule), now, rules)
        await store.run({ ...settleOf(no), ...cost }, now, rules)
      }),
    )
  }
  const stores = await openAll()
  const alerts = async (): Promise<number> =>
    (await (stores[0] as PostgresStore).alerts(100)).length
  await run(stores, 0, 10_000, 0)
  expect(await alerts()).toBe(1)
  await run(stores, 10_000, 5000, dayMs)
  expect(await alerts()).toBe(2)
  await Promise.all(stores.map((store) => store.close()))
  const again = await openAll()
  await run(again, 15_000, 500, dayMs)
  expect(await (again[0] as PostgresStore).alerts(100)).toHaveLength(2)
  await Promise.all(again.map((store) => store.close()))
})

const dayMs = 86_400_000
const cost = { cost: 200n } as object
