/**
 * An account on its way up, from the first line it crosses until that is over: by an override, a
 * raised limit or a new period. Kept as a record, so that what was opened elsewhere (an incident, a
 * message) is closed there.
 */
import type { AlertId, BudgetId } from '#lib/id.ts'
import type { Account, AccountKey } from './account.ts'
import type { Alert } from './alert.ts'
import { type BudgetRule, type LimitUnit, thresholdAmount } from './budget.ts'
import { alertId } from './ladder.ts'
import { type Override, reliefOf } from './override.ts'
import { type Instant, isForever } from './time.ts'

/** The value of a record of kind `climb`; its id is the account's key. */
export interface Climb {
  readonly account: AccountKey
  readonly budget: BudgetId
  readonly value: string | null
  readonly unit: LimitUnit
  /** The threshold crossed last. */
  readonly label: string
  /** It was slowed or stopped: then people hear when it goes on. */
  readonly hard: boolean
  readonly alert: AlertId
  readonly at: Instant
  readonly amount: bigint
  readonly periodEnd: Instant
  /** Where its alerts went. */
  readonly told: readonly string[]
  /** An override lets it go on; when that ends, what was still is. */
  readonly relieved: boolean
}

interface Told {
  readonly rule: BudgetRule | null
  readonly channels: readonly string[]
}

/**
 * The climb after `alert`, which went to `channels`; null: nothing whose end would be told, or that
 * ends by itself.
 */
export function climbedBy(
  alert: Alert,
  before: Climb | null,
  { rule, channels }: Told,
): Climb | null {
  if (alert.kind !== 'threshold' || alert.account === '' || isForever(alert.periodEnd)) return null
  const steps = alert.actions.some(({ kind }) => kind === 'throttle' || kind === 'hard_stop')
  const hard = before?.hard === true || (steps && rule?.mode !== 'observe')
  const told = [...new Set([...(before?.told ?? []), ...channels])]
  if (toldOfEnd({ hard, told }).length === 0) return null
  const { account, budget, value, unit, threshold: label, id, at, amount, periodEnd } = alert
  return {
    account,
    budget,
    value,
    unit,
    label,
    hard,
    alert: id,
    at,
    amount,
    periodEnd,
    told,
    relieved: false,
  }
}

export interface Standing {
  readonly rule: BudgetRule | null
  readonly account: Account | null
  readonly overrides: readonly Override[]
}

export type Turn =
  | { readonly kind: 'goes_on_up' }
  /** `because` is a sentence's beginning. */
  | { readonly kind: 'over'; readonly because: string }
  | { readonly kind: 'relieved'; readonly because: string }
  /** The override that had relieved it has ended, and it is where it was. */
  | { readonly kind: 'relapsed'; readonly rule: BudgetRule; readonly account: Account }

export function turnOf(climb: Climb, standing: Standing, now: Instant): Turn {
  const { rule, account, overrides } = standing
  if (now >= climb.periodEnd) return { kind: 'over', because: 'A new period has begun' }
  if (rule === null) return { kind: 'over', because: 'The budget is no longer in the config' }
  const step = rule.ladder.find(({ label }) => label === climb.label)
  if (step === undefined) return { kind: 'over', because: 'Its ladder has been changed' }
  const posted = account?.posted ?? 0n
  const below = posted < thresholdAmount(rule.amount, step)
  // A stop is told when it first refuses, which may be below its line: only a new limit ends it.
  if (rule.amount > climb.amount && below) return { kind: 'over', because: 'The limit was raised' }
  // What was crossed in spite of an override is not ended by it.
  const since = overrides.filter(({ decidedAt }) => decidedAt !== null && decidedAt >= climb.at)
  const relief = reliefOf(since, climb, now)
  const inForce = relief.lifted || relief.extra > 0n
  if (inForce && !climb.relieved) return { kind: 'relieved', because: 'An override is in force' }
  if (!inForce && climb.relieved && account !== null) return { kind: 'relapsed', rule, account }
  return { kind: 'goes_on_up' }
}

/** It goes on. The same end of the same climb has the same id. */
export function resumedAlert(
  climb: Climb,
  { because, account, now }: { because: string; account: Account | null; now: Instant },
): Alert {
  return {
    id: alertId(`resumed|${climb.account}|${climb.alert}`),
    kind: 'resumed',
    account: climb.account,
    budget: climb.budget,
    value: climb.value,
    unit: climb.unit,
    threshold: climb.label,
    actions: [],
    at: now,
    amount: climb.amount,
    posted: account?.posted ?? 0n,
    overage: 0n,
    hold: null,
    periodEnd: climb.periodEnd,
    details: { because },
  }
}

/** It is again where it was before an override. */
export function relapsedAlert(
  climb: Climb,
  { rule, account }: { rule: BudgetRule; account: Account },
  now: Instant,
): Alert {
  const step = rule.ladder.find(({ label }) => label === climb.label)
  return {
    ...resumedAlert(climb, { because: '', account, now }),
    id: alertId(`again|${climb.account}|${climb.alert}`),
    kind: 'threshold',
    actions: step?.actions ?? [],
    amount: rule.amount,
    details: { again: 'an override has ended' },
  }
}

/** People hear that it goes on where they heard that it did not; an incident is closed anyway. */
export function toldOfEnd({ hard, told }: Pick<Climb, 'hard' | 'told'>): readonly string[] {
  return hard ? told : told.filter((channel) => channel === 'pagerduty')
}
