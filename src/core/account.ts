/**
 * The ledger's row for one rule in one period, for one value where the rule is `per` something.
 * Nothing is ever zeroed: a new period is another account.
 */
import { assert } from '#lib/assert.ts'
import type { BudgetId } from '#lib/id.ts'
import { onceFor } from '#lib/once.ts'
import { type BudgetRule, hardLimit, type LimitUnit, periodOf, thresholdAmount } from './budget.ts'
import type { Relief } from './override.ts'
import { noneRecent, type Recent, type Throttle } from './pace.ts'
import { matching } from './rule-index.ts'
import { type Attribution, noValue } from './scope.ts'
import type { Instant, Period } from './time.ts'

declare const brand: unique symbol
export type AccountKey = string & { readonly [brand]: 'account' }

export interface Account {
  readonly key: AccountKey
  readonly budget: BudgetId
  readonly value: string | null
  readonly unit: LimitUnit
  readonly period: Period
  /** The rule's amount when this account was last touched: tells that a limit was edited. */
  readonly amount: bigint
  readonly posted: bigint
  readonly pending: bigint
  /** Labels of thresholds that have fired and are not re-armed. */
  readonly fired: readonly string[]
  readonly throttle: Throttle | null
  readonly recent: Recent
}

/** A rule and the value that picks the account: what a call is held against. */
export interface AccountRef {
  readonly rule: BudgetRule
  readonly value: string | null
}

/** The accounts a call is held against, in the order of the rules. */
export function accountsFor(
  rules: readonly BudgetRule[],
  attribution: Attribution,
): readonly AccountRef[] {
  return matching(rules, attribution).map((rule) => ({
    rule,
    value: valueFor(rule, attribution),
  }))
}

/** Which of the rule's accounts a call is for. Those of runs are `runAccounts`' to find. */
export function valueFor({ per }: BudgetRule, attribution: Attribution): string | null {
  return per === null || per === 'run' ? null : (attribution[per] ?? noValue)
}

export function accountKey({ rule, value }: AccountRef, at: Instant): AccountKey {
  let keys = keysOf.get(rule)
  if (keys === undefined || !isIn(keys.period, at) || keys.byValue.size > keysMax) {
    keys = { period: periodOf(rule, at), byValue: new Map() }
    keysOf.set(rule, keys)
  }
  let key = keys.byValue.get(value)
  if (key === undefined) {
    key = `${rule.id}|${keys.period.start}${value === null ? '' : `|${value}`}` as AccountKey
    keys.byValue.set(value, key)
  }
  return key
}

const isIn = ({ start, end }: Period, at: Instant): boolean => at >= start && at < end

interface Keys {
  readonly period: Period
  readonly byValue: Map<string | null, AccountKey>
}

/** A call asks for the key of each of its accounts several times, and the next call mostly too. */
const keysOf = new WeakMap<BudgetRule, Keys>()
const keysMax = 10_000

/** Those with most posted, these first; each once. */
export function dearestOf(accounts: readonly Account[], limit: number): readonly Account[] {
  const each = [...new Map(accounts.map((account) => [account.key, account])).values()]
  return each.sort(mostPostedFirst).slice(0, limit)
}

function mostPostedFirst(a: Account, b: Account): number {
  if (a.posted !== b.posted) return a.posted > b.posted ? -1 : 1
  return a.key < b.key ? -1 : 1
}

export function openAccount(ref: AccountRef, at: Instant): Account {
  const { rule, value } = ref
  return {
    key: accountKey(ref, at),
    budget: rule.id,
    value,
    unit: rule.unit,
    period: periodOf(rule, at),
    amount: rule.amount,
    posted: 0n,
    pending: 0n,
    fired: [],
    throttle: null,
    recent: noneRecent,
  }
}

/** What may still be held, overrides included; null: no limit. Below zero after an overage. */
export function availableIn(account: Account, rule: BudgetRule, relief: Relief): bigint | null {
  const limit = hardLimit(rule)
  if (limit === null || relief.lifted) return null
  return limit + relief.extra - account.posted - account.pending
}

/** What an account has, or what a change adds to it; in the unit of its rule. */
export interface Balance {
  readonly posted: bigint
  readonly pending: bigint
}

/** The one place where a balance changes. `pace`: what it becomes, where admitting moves it. */
export function post(
  account: Account,
  change: Balance,
  { recent, throttle }: Pick<Account, 'recent' | 'throttle'> = account,
): Account {
  const pending = account.pending + change.pending
  const posted = account.posted + change.posted
  assert(pending >= 0n, 'pending fell below zero', account.key)
  assert(posted >= 0n, 'posted fell below zero', account.key)
  return { ...account, posted, pending, recent, throttle }
}

/**
 * True while the account's pace is in force. An override in force lifts it: somebody has said that
 * these calls shall run, and what they may cost is bounded by the hard limit and the extra.
 */
export function isThrottled(account: Account, rule: BudgetRule, relief: Relief): boolean {
  const { throttle } = account
  if (throttle === null || relief.lifted || relief.extra > 0n || rule.mode === 'observe')
    return false
  const threshold = rule.ladder.find(({ label }) => label === throttle.label)
  return threshold !== undefined && account.posted >= thresholdAmount(rule.amount, threshold)
}

const warnedFrom = onceFor((rule: BudgetRule): bigint => {
  const [soft] = rule.ladder
  const eighty = (rule.amount * 8n + 9n) / 10n
  if (rule.unit === 'usd' || soft === undefined) return eighty
  const isSoft = soft.actions.every(({ kind }) => kind === 'notify')
  return isSoft ? thresholdAmount(rule.amount, soft) : eighty
})

export type AccountState = 'ok' | 'warn' | 'over' | 'throttled' | 'stopped'

/**
 * The stage people see. `warn` from 80 %, of a quota from its soft limit; `over` from 100 % of the
 * amount.
 */
export function stateOf(account: Account, rule: BudgetRule, relief: Relief): AccountState {
  const available = availableIn(account, rule, relief)
  if (available !== null && available + account.pending <= 0n) return 'stopped'
  if (isThrottled(account, rule, relief)) return 'throttled'
  if (account.posted >= rule.amount) return 'over'
  return account.posted >= warnedFrom(rule) ? 'warn' : 'ok'
}
