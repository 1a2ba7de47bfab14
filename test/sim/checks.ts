/** What must hold after every call, and what must hold when all is over. */
import { strict as assert } from 'node:assert'
import { hardLimit } from '#core/budget.ts'
import { fold } from '#core/fold.ts'
import type { Hold, LedgerEntry } from '#core/journal.ts'
import { nanos } from '#core/money.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { instant } from '#core/time.ts'
import { rulesOf } from '#gateway/books.ts'
import { expireHolds } from '#jobs/holds.ts'
import type { Store } from '#ports/store.ts'
import type { VirtualClock } from './clock.ts'

/** After every call: balances are the fold of the entries, and no hold ever passed a hard limit. */
export async function check(store: Store, snapshot: Snapshot): Promise<void> {
  const entries = await store.entries(0, 1_000_000)
  const balances = fold(entries)
  for (const [account, { posted, pending }] of balances) {
    const kept = await store.account(account)
    assert.ok(kept !== null, `no account ${account}`)
    assert.equal(kept.posted, posted, 'posted is the fold of its entries')
    assert.equal(kept.pending, pending, 'pending is the fold of its entries')
    assert.ok(pending >= 0n, 'pending is never negative')
  }
  withinLimits(entries, snapshot)
}

function withinLimits(entries: readonly LedgerEntry[], snapshot: Snapshot): void {
  const used = new Map<string, bigint>()
  for (const { kind, lines } of entries) {
    for (const { account, posted, pending } of lines) {
      const now = (used.get(account) ?? 0n) + posted + pending
      used.set(account, now)
      const budget = snapshot.budgets.find(({ id }) => account.startsWith(`${id}|`))
      const limit = budget === undefined ? null : hardLimit(budget)
      if (kind === 'hold' && limit !== null) {
        assert.ok(now <= limit, `a hold passed the limit of ${account}: ${now} > ${limit}`)
      }
    }
  }
}

/**
 * Faults are over: nothing is pending, and the ledger is the provider's bill to the nano-dollar.
 */
export async function atRest(
  clock: VirtualClock,
  store: Store,
  snapshot: Snapshot,
  bill: ReadonlyMap<string, bigint>,
  failures: Error[],
): Promise<number> {
  const rules = rulesOf(snapshot)
  // What no process will ever end is presumed spent; the bill then says what it was.
  await expireHolds(
    { clock, observe: () => {}, store, rules: () => rules },
    instant(Number.MAX_SAFE_INTEGER),
  )
  await check(store, snapshot)
  const holds = await store.recentHolds(100_000)
  for (const hold of holds) checkEnd(hold, bill, failures)
  const presumed = holds.filter(({ basis }) => basis === 'presumed')
  for (const { id } of presumed) {
    const cost = nanos(bill.get(id) ?? 0n)
    await store.run(
      { kind: 'adjust', hold: id, cost, reason: 'the bill', author: 'sim' },
      clock.now(),
      rules,
    )
  }
  const total = [...bill.values()].reduce((sum, cost) => sum + cost, 0n)
  const after = await store.recentHolds(100_000)
  assert.equal(
    after.reduce((sum, { cost }) => sum + (cost ?? 0n), 0n),
    total,
    'ledger is bill',
  )
  const entries = await store.entries(0, 1_000_000)
  const organization = [...fold(entries)].filter(([account]) =>
    account.startsWith('bud_organization'),
  )
  assert.equal(
    organization.reduce((sum, [, { posted }]) => sum + posted, 0n),
    total,
    'the organization has paid the bill',
  )
  assert.equal(await store.openHolds(), 0, 'no hold outlives its call')
  return presumed.length
}

function checkEnd(hold: Hold, bill: ReadonlyMap<string, bigint>, failures: Error[]): void {
  const billed = bill.get(hold.id) ?? 0n
  const recorded = hold.cost ?? 0n
  if (hold.basis === 'actual' && recorded !== billed) {
    failures.push(new Error(`${hold.id} recorded ${recorded}, was billed ${billed}`))
  }
  if (recorded < billed) failures.push(new Error(`${hold.id} recorded less than was billed`))
  if (hold.state === 'pending') failures.push(new Error(`${hold.id} is still pending`))
}
