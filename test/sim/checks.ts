/** What must hold after every call, and what must hold when all is over. */
import { strict as assert } from 'node:assert'
import { hardLimit } from '#core/budget.ts'
import { fold } from '#core/fold.ts'
import type { AccountKey } from '#core/account.ts'
import type { EntryLine, Hold, LedgerEntry } from '#core/journal.ts'
import { formatUsd, nanos } from '#core/money.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { addEntry, checkAccount, checkHold, newRecount } from '#core/recount.ts'
import { instant } from '#core/time.ts'
import { rulesOf } from '#gateway/books.ts'
import { expireHolds } from '#jobs/holds.ts'
import type { Store } from '#ports/store.ts'
import type { VirtualClock } from './clock.ts'

/** What each account holds by the entries read so far: the ledger is read on, never again. */
export class Auditor {
  readonly #store: Store
  readonly #limits: (account: string) => bigint | null
  readonly #used = new Map<string, { posted: bigint; pending: bigint }>()
  #seq = 0

  /** `limits` gives the hard limit of an account at this time; null: none. */
  constructor(store: Store, limits: (account: string) => bigint | null) {
    this.#store = store
    this.#limits = limits
  }

  /** After every call: balances are the fold of the entries, and no hold ever passed a limit. */
  async check(): Promise<void> {
    const entries = await this.#store.entries(this.#seq, 1_000_000)
    const touched = new Set<string>()
    for (const entry of entries) {
      const gapless = this.#store.shared || entry.seq === this.#seq + 1
      assert.ok(gapless, 'entries are numbered without a gap')
      this.#seq = entry.seq
      for (const line of entry.lines) {
        touched.add(line.account)
        this.#add(entry, line)
      }
    }
    for (const account of touched) await this.#compare(account)
  }

  #add({ kind }: LedgerEntry, { account, posted, pending }: EntryLine): void {
    const used = this.#used.get(account) ?? { posted: 0n, pending: 0n }
    used.posted += posted
    used.pending += pending
    this.#used.set(account, used)
    const limit = this.#limits(account)
    const now = used.posted + used.pending
    if (kind === 'hold' && limit !== null) {
      assert.ok(now <= limit, `a hold passed the limit of ${account}: ${now} > ${limit}`)
    }
  }

  async #compare(account: string): Promise<void> {
    const used = this.#used.get(account)
    const kept = await this.#store.account(account as AccountKey)
    assert.ok(kept !== null, `no account ${account}`)
    assert.equal(kept.posted, used?.posted, 'posted is the fold of its entries')
    assert.equal(kept.pending, used?.pending, 'pending is the fold of its entries')
    assert.ok(kept.pending >= 0n, 'pending is never negative')
  }
}

/** The highest limit a budget had in any of the configs of this run. */
export function limitsOf(snapshots: readonly Snapshot[]): (account: string) => bigint | null {
  return (account) => {
    const limits = snapshots.flatMap(({ budgets }) => {
      const budget = budgets.find(({ id }) => account.startsWith(`${id}|`))
      const limit = budget === undefined ? null : hardLimit(budget)
      return limit === null ? [] : [limit]
    })
    return limits.length === 0 ? null : limits.reduce((a, b) => (a > b ? a : b))
  }
}

/**
 * Faults are over: nothing is pending, and the ledger is the provider's bill to the nano-dollar.
 */
export async function atRest(
  clock: VirtualClock,
  store: Store,
  snapshot: Snapshot,
  auditor: Auditor,
  bill: ReadonlyMap<string, bigint>,
  failures: Error[],
): Promise<number> {
  const rules = rulesOf(snapshot)
  // What no process will ever end is presumed spent; the bill then says what it was.
  await expireHolds(
    { clock, observe: () => {}, store, rules: () => rules },
    instant(Number.MAX_SAFE_INTEGER),
  )
  await auditor.check()
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
  const always = { from: instant(0), to: instant(Number.MAX_SAFE_INTEGER) }
  const [spent] = await store.spend({ ...always, daily: false, by: [] })
  assert.equal(spent?.cost ?? 0n, total, 'reports add up to the bill')
  assert.equal(spent?.presumed ?? 0n, 0n, 'and nothing of it is presumed any more')
  await recounted(store, entries, after)
  return presumed.length
}

/** What a caller was told stays true, whatever became of the process that told it. */
export async function checkTold(store: Store, told: ReadonlyMap<string, string>): Promise<void> {
  const holds = await store.recentHolds(100_000)
  const costs = new Set(holds.map(({ call, cost }) => `${call} ${formatUsd(cost ?? nanos(0n))}`))
  for (const [call, cost] of told) {
    assert.ok(costs.has(`${call} ${cost}`), `${call} was told ${cost}, and the ledger says another`)
  }
}

/** What `bursar doctor` would say: nothing. */
async function recounted(
  store: Store,
  entries: readonly (LedgerEntry & { seq: number })[],
  holds: readonly Hold[],
): Promise<void> {
  const recount = newRecount({ gapless: !store.shared })
  const findings = entries.map((entry) => addEntry(recount, entry))
  for (const key of recount.sums.keys()) {
    const account = await store.account(key)
    findings.push(account === null ? null : checkAccount(recount, account))
  }
  const own = Map.groupBy(entries, ({ hold }) => hold)
  findings.push(...holds.map((hold) => checkHold(recount, hold, own.get(hold.id) ?? [])))
  assert.deepEqual(
    findings.filter((found) => found !== null),
    [],
    'a recount finds nothing',
  )
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
