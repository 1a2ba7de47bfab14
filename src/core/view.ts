/**
 * What a caller sees of the accounts above its call: the tightest budget and the tightest quota.
 */
import { type Account, availableIn, type AccountState, stateOf } from './account.ts'
import type { BudgetRule } from './budget.ts'
import type { Rules } from './journal.ts'
import { formatPercent } from './money.ts'
import { noRelief, type Override, type Relief, reliefOf } from './override.ts'
import type { Instant } from './time.ts'

export interface AccountView {
  readonly account: Account
  readonly rule: BudgetRule
  readonly relief: Relief
  readonly state: AccountState
  /** Of the rule's amount, by what is posted: "83.1". */
  readonly usedPercent: string
  /** Amount and extras less posted and pending, never below zero; in the unit. */
  readonly remaining: bigint
}

export function viewOf(account: Account, rule: BudgetRule, relief: Relief = noRelief): AccountView {
  const left = rule.amount + relief.extra - account.posted - account.pending
  return {
    account,
    rule,
    relief,
    state: stateOf(account, rule, relief),
    usedPercent: formatPercent(account.posted, rule.amount),
    remaining: left > 0n ? left : 0n,
  }
}

export function viewsOf(
  accounts: readonly Account[],
  rules: Rules,
  overrides: readonly Override[],
  now: Instant,
): readonly AccountView[] {
  return accounts.flatMap((account) => {
    const rule = rules(account.budget)
    return rule === null ? [] : [viewOf(account, rule, reliefOf(overrides, account, now))]
  })
}

/** The binding budget: least headroom of all that stand above the call. */
export function bindingBudget(views: readonly AccountView[]): AccountView | null {
  return tightest(
    views.filter(({ rule }) => rule.unit === 'usd'),
    headroom,
  )
}

/** The tightest quota: the one of which the greatest share is used. */
export function tightestQuota(views: readonly AccountView[]): AccountView | null {
  const share = ({ account, rule }: AccountView): bigint =>
    rule.amount === 0n
      ? 0n
      : 1_000_000n - ((account.posted + account.pending) * 1_000_000n) / rule.amount
  return tightest(
    views.filter(({ rule }) => rule.unit !== 'usd'),
    share,
  )
}

function headroom({ account, rule, relief, remaining }: AccountView): bigint {
  return availableIn(account, rule, relief) ?? remaining
}

function tightest(
  views: readonly AccountView[],
  room: (view: AccountView) => bigint,
): AccountView | null {
  let least: AccountView | null = null
  for (const view of views) if (least === null || room(view) < room(least)) least = view
  return least
}
