/** A bad day on three replicas: at its end the ledger is the provider's bill. */
import { Agent } from 'node:http'
import { expect, test } from 'vitest'
import { PostgresStore } from '#store/postgres/store.ts'
import { inspectPostgres } from '#store/postgres/inspect.ts'
import { generator } from '#test/sim/clock.ts'
import { apiAt, closeBooks } from '#test/support/bursar.ts'
import { makeKey, newSite } from '#test/support/child.ts'
import { startPostgres } from '#test/support/postgres.ts'
import { knownEverywhere, startReplicas } from '#test/support/replicas.ts'
import { startSimulatorProcess } from '#test/support/simulator.ts'
import { troubledCall } from '#test/support/trouble.ts'

const calls = process.env.BURSAR_LONG === '1' ? 100_000 : 20_000
const crowd = 64
const config = `budgets:
  - { name: all, budget_yearly_usd: 10000000 }
  - { name: each user, per: user, budget_monthly_usd: 1000000 }
quotas: [{ per: user, max_calls_per_day: 100000000 }]
`

test(`${calls} calls over 3 replicas, 10 % hung up, 5 % failing: the books are the bill`, async () => {
  await using postgres = await startPostgres()
  const provider = await startSimulatorProcess()
  await using site = await newSite(config, provider.url)
  const url = await postgres.database()
  await using replicas = await startReplicas(site, url, 3)
  const key = await makeKey(replicas.next())
  await knownEverywhere(replicas, key)
  const agent = new Agent({ keepAlive: true })
  const shares = { faults: 0.05, aborts: 0.1 }
  const chance = generator(20_261_126)
  const statuses = new Map<number, number>()
  let begun = 0
  const caller = async (): Promise<void> => {
    while (begun < calls) {
      begun += 1
      const status = await troubledCall({ url: replicas.next().url, key, agent, chance, shares })
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }
  }
  const from = performance.now()
  await Promise.all(Array.from({ length: crowd }, caller))
  const seconds = (performance.now() - from) / 1000
  const shown = `${(calls / seconds).toFixed(0)} calls a second: ${[...statuses].join(' ')}`
  process.stdout.write(`replicas: ${shown}\n`)
  agent.destroy()

  const store = await PostgresStore.open({ url })
  try {
    const presumed = await closeBooks({ store, api: apiAt(replicas.next().url), provider })
    expect(presumed, shown).toBeGreaterThan(0)
    expect(await inspectPostgres(url)).toMatchObject({ findings: [], openHolds: 0 })
    expect(statuses.get(200) ?? 0, shown).toBeGreaterThan(calls * 0.8)
    expect(statuses.get(503) ?? 0, shown).toBe(0)
  } finally {
    await store.close()
    provider.stop()
  }
})
