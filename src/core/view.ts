/**
 * What a caller sees of the accounts above its call: the tightest budget and the tightest quota.
 */
import { type Account, availableIn, type AccountState, stateOf } from './account.ts'
import type { BudgetRule, LimitUnit } from './budget.ts'
import type { Rules } from './journal.ts'
import { formatPercent } from './money.ts'
import { noRelief, type Override, type Relief, reliefOf } from './override.ts'
import type { Instant } from './time.ts'

export interface AccountView {
  readonly account: Account
  readonly rule: BudgetRule
  readonly relief: Relief
  readonly state: AccountState
}

/** Of the rule's amount, by what is posted: "83.1". */
export function usedPercent({ account, rule }: AccountView): string {
  return formatPercent(account.posted, rule.amount)
}

/** Amount and extras less posted and pending, never below zero; in the unit. */
export function remaining({ account, rule, relief }: AccountView): bigint {
  const left = rule.amount + relief.extra - account.posted - account.pending
  return left > 0n ? left : 0n
}

export function viewOf(account: Account, rule: BudgetRule, relief: Relief = noRelief): AccountView {
  return { account, rule, relief, state: stateOf(account, rule, relief) }
}

export function viewsOf(
  accounts: readonly Account[],
  rules: Rules,
  overrides: readonly Override[],
  now: Instant,
): readonly AccountView[] {
  const views: AccountView[] = []
  for (const account of accounts) {
    const rule = rules(account.budget)
    if (rule !== null) views.push(viewOf(account, rule, reliefOf(overrides, account, now)))
  }
  return views
}

/** The binding budget: least headroom of all that stand above the call. */
export function bindingBudget(views: readonly AccountView[]): AccountView | null {
  return tightest(views, (unit) => unit === 'usd', headroom)
}

/** The tightest quota: the one of which the greatest share is used. */
export function tightestQuota(views: readonly AccountView[]): AccountView | null {
  const share = ({ account, rule }: AccountView): bigint =>
    rule.amount === 0n
      ? 0n
      : 1_000_000n - ((account.posted + account.pending) * 1_000_000n) / rule.amount
  return tightest(views, (unit) => unit !== 'usd', share)
}

function headroom(view: AccountView): bigint {
  return availableIn(view.account, view.rule, view.relief) ?? remaining(view)
}

function tightest(
  views: readonly AccountView[],
  counts: (unit: LimitUnit) => boolean,
  room: (view: AccountView) => bigint,
): AccountView | null {
  let least: AccountView | null = null
  let leastRoom = 0n
  for (const view of views) {
    if (!counts(view.rule.unit)) continue
    const own = room(view)
    if (least !== null && own >= leastRoom) continue
    least = view
    leastRoom = own
  }
  return least
}
