/** What a new config would do now: rules the ledger has not counted are counted, and not kept. */
import type { Account, AccountKey } from '#core/account.ts'
import { backfill } from '#core/backfill.ts'
import { type BudgetRule, periodOf } from '#core/budget.ts'
import { type Effect, effectsOf, uncounted } from '#core/effect.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { after as later, type Instant, instant } from '#core/time.ts'
import type { ControlDeps } from './deps.ts'
import { pages } from './past-calls.ts'

/** More are not counted for a look ahead: applying counts them all, as it must. */
const holdsMax = 2_000_000

export interface Effects {
  readonly effects: readonly Effect[]
  /** What could not be said, in words; null: all is in `effects`. */
  readonly unknown: string | null
}

export async function effectsNow(
  deps: ControlDeps,
  present: Snapshot,
  next: Snapshot,
): Promise<Effects> {
  const now = deps.clock.now()
  const { store } = deps
  const accounts = new Map((await store.accountsAt(now)).map((one) => [one.key, one]))
  // What is in flight at once is another number a moment later.
  const rules = uncounted(present, next).filter(({ unit }) => unit !== 'concurrent')
  const isWhole = await count(deps, rules, accounts, now)
  const overrides = await store.overrides()
  return {
    effects: effectsOf(present, next, [...accounts.values()], overrides, now),
    unknown: isWhole
      ? null
      : `new budgets were counted from the first ${holdsMax} calls of their period only`,
  }
}

async function count(
  deps: ControlDeps,
  rules: readonly BudgetRule[],
  accounts: Map<AccountKey, Account>,
  now: Instant,
): Promise<boolean> {
  if (rules.length === 0) return true
  const starts = new Map(rules.map((rule) => [rule.id, periodOf(rule, now).start]))
  const marks = new Set<string>()
  const existing = {
    account: (key: AccountKey) => accounts.get(key) ?? null,
    isMarked: (id: string) => marks.has(id),
  }
  let seen = 0
  for await (const holds of pages(deps, instant(Math.min(...starts.values())), later(now, 1))) {
    for (const rule of rules) {
      const own = holds.filter(({ madeAt }) => madeAt >= (starts.get(rule.id) ?? 0))
      const counted = backfill(rule, own, now, existing)
      for (const account of counted.accounts) accounts.set(account.key, account)
      for (const { id } of counted.marks) marks.add(id)
    }
    seen += holds.length
    if (seen >= holdsMax) return false
  }
  return true
}
