/** A config on its way: what is behind, or in flight, is counted when it catches up. */
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { accountKey } from '#core/account.ts'
import { instant } from '#core/time.ts'
import { PostgresStore } from '#store/postgres/store.ts'
import { apiAt, until } from '#test/support/bursar.ts'
import { ask, type Child, makeKey, newSite, type Site, startChild } from '#test/support/child.ts'
import { budgets, holdOf, rules, settleOf, start } from '#test/support/ledger.ts'
import { startPostgres } from '#test/support/postgres.ts'
import { startReplica } from '#test/support/replicas.ts'

test('a budget that one replica knows counts the calls of one that does not yet', async () => {
  await using postgres = await startPostgres({ flags: ['fsync=off'] })
  const url = await postgres.database()
  const [ahead, behind] = [await PostgresStore.open({ url }), await PostgresStore.open({ url })]
  const [all] = budgets
  if (all === undefined) throw new Error('there is a budget')
  const fresh = { ...all, id: 'bud_fresh' as const, name: 'fresh' }
  const at = (ms: number) => instant(start + ms)
  const balance = async (): Promise<readonly (bigint | undefined)[]> => {
    const account = await ahead.account(accountKey({ rule: fresh, value: null }, start))
    return [account?.posted, account?.pending]
  }
  await behind.adopt(budgets, start)
  await behind.run(holdOf(1), at(1), rules)
  await ahead.adopt([...budgets, fresh], at(1000))
  expect(await balance()).toEqual([0n, 1000n])

  // The other one goes on without it.
  await behind.run(holdOf(2), at(2000), rules)
  await behind.run(settleOf(2), at(3000), rules)
  await behind.run(holdOf(3), at(3000), rules)
  expect(await balance()).toEqual([0n, 1000n])
  await behind.adopt([...budgets, fresh], at(4000))
  expect(await balance()).toEqual([102n, 2000n])
  // Counted once, however often it is read, and ends reach it.
  await ahead.adopt([...budgets, fresh], at(5000))
  await behind.run(settleOf(3), at(6000), rules)
  expect(await balance()).toEqual([205n, 1000n])
  await ahead.close()
  await behind.close()
})

/** Every call has one value of each, the same one. */
const more = ['agent', 'user', 'tenant', 'model', 'provider']

/** Budgets are added to a running `child` under load; each has then what the first one has. */
async function addUnderLoad(site: Site, child: Child): Promise<void> {
  const key = await makeKey(child)
  const config = join(site.folder, 'bursar.yaml')
  const api = apiAt(child.url)
  const posted = async (): Promise<ReadonlyMap<string, string>> => {
    const rows = (await api('/budgets')) as { name: string; posted_usd: string }[]
    return new Map(rows.map(({ name, posted_usd }) => [name.split(' ')[0] ?? '', posted_usd]))
  }
  let over = false
  const load = async (): Promise<void> => {
    while (!over) await ask(child, key, 'delay=3')
  }
  const add = async (): Promise<void> => {
    for (const per of more) {
      appendFileSync(config, `  - { name: ${per}, per: ${per}, budget_yearly_usd: 1000000 }\n`)
      child.process.kill('SIGHUP')
      await until(`${per} is in force`, async () => (await posted()).has(per))
    }
  }
  const adding = add().finally(() => {
    over = true
  })
  await Promise.all([adding, ...Array.from({ length: 16 }, load)])
  const { total_usd: billed } = site.simulator.bill()
  // The last of them is shown before it has caught up.
  const isCounted = async (): Promise<boolean> => {
    const end = await posted()
    return ['all', ...more].every((name) => end.get(name) === billed)
  }
  await until('each has what was billed', isCounted)
}

const one = 'budgets:\n  - { name: all, budget_yearly_usd: 1000000 }\n'

test('a budget added under load has all of the calls in flight, on PostgreSQL', async () => {
  await using postgres = await startPostgres()
  await using site = await newSite(one)
  await using child = await startReplica(site, await postgres.database(), 0)
  await addUnderLoad(site, child)
})

test('and on SQLite', async () => {
  await using site = await newSite(one)
  await using child = await startChild(site)
  await addUnderLoad(site, child)
})
