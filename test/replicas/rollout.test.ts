/** A config on its way through the replicas: those behind are counted when they catch up. */
import { expect, test } from 'vitest'
import { accountKey } from '#core/account.ts'
import { instant } from '#core/time.ts'
import { PostgresStore } from '#store/postgres/store.ts'
import { budgets, holdOf, rules, settleOf, start } from '#test/support/ledger.ts'
import { startPostgres } from '#test/support/postgres.ts'

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
