/**
 * Rules as compiled from config: what is limited, for whom, in which period, and what happens on
 * the way up. Money and counts share one shape, because the ledger holds both in one transaction.
 */
import type { BudgetId } from '#lib/id.ts'
import { onceFor } from '#lib/once.ts'
import type { Ratio } from './money.ts'
import type { Dimension, Selector } from './scope.ts'
import { type Instant, type Period, type PeriodKind, periodAt } from './time.ts'

/** `usd` counts nano-dollars. `concurrent` counts calls in flight and has no period. */
export type LimitUnit = 'usd' | 'calls' | 'tokens' | 'conversations' | 'concurrent'

export type Channel = 'owner' | 'slack' | 'pagerduty' | 'teams' | 'email' | 'webhook'

export type Action =
  /** `name` is the webhook's name, else null. */
  | { readonly kind: 'notify'; readonly channel: Channel; readonly name: string | null }
  | { readonly kind: 'throttle'; readonly percent: number }
  | { readonly kind: 'downgrade'; readonly route: string }
  | { readonly kind: 'hard_stop' }

export interface Threshold {
  /** As written, e.g. "0.8": names the threshold in alerts and keys. */
  readonly label: string
  readonly at: Ratio
  readonly actions: readonly Action[]
}

/** A budget (unit usd) or a quota (other units). */
export interface BudgetRule {
  /** Derived from selector, per, unit and period, so that an edited amount keeps its account. */
  readonly id: BudgetId
  /** For people: "customer-resolver monthly", or the entry's own `name`. */
  readonly name: string
  readonly selector: Selector
  /** One account for each value of this dimension, or for each run; null: one shared pool. */
  readonly per: Dimension | 'run' | null
  readonly unit: LimitUnit
  /** In the unit. 0 denies. */
  readonly amount: bigint
  readonly period: PeriodKind
  readonly timeZone: string
  /** Ascending. The hard stop, where there is one, is the threshold whose actions hold it. */
  readonly ladder: readonly Threshold[]
  /** `observe`: alerts but never throttles or stops. */
  readonly mode: 'enforce' | 'observe'
  readonly owner: string | null
  readonly reviewEveryDays: number | null
  /** Where the rule was written, "bursar.yaml:12:3", for messages. */
  readonly origin: string
}

/** The amount at which the account is stopped, overrides apart; null: never. */
export const hardLimit = onceFor((rule: BudgetRule): bigint | null => {
  if (rule.mode === 'observe') return null
  if (rule.amount === 0n) return 0n
  const stop = rule.ladder.find(({ actions }) => actions.some(({ kind }) => kind === 'hard_stop'))
  return stop === undefined ? null : thresholdAmount(rule.amount, stop)
})

export function thresholdAmount(amount: bigint, { at }: Threshold): bigint {
  return (amount * at.numerator) / at.denominator
}

const always: Period = { start: 0 as Instant, end: 253_402_300_799_000 as Instant }

export function periodOf(rule: BudgetRule, at: Instant): Period {
  if (rule.unit === 'concurrent' || rule.per === 'run') return always
  let period = lastPeriods.get(rule)
  if (period === undefined || at < period.start || at >= period.end) {
    period = periodAt(rule.period, rule.timeZone, at)
    lastPeriods.set(rule, period)
  }
  return period
}

/** Asked for several times a call, and the same for hours. */
const lastPeriods = new WeakMap<BudgetRule, Period>()

/** As it is written in the file. */
export function actionText(action: Action): string {
  switch (action.kind) {
    case 'notify':
      if (action.channel === 'owner') return 'notify'
      return `notify_${action.channel}${action.name === null ? '' : `:${action.name}`}`
    case 'throttle':
      return `throttle_to_${action.percent}_percent`
    case 'downgrade':
      return `downgrade_to:${action.route}`
    case 'hard_stop':
      return 'hard_stop'
  }
}
