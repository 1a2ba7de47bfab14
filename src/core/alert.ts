/** The fact that a line was crossed. Its notifications (one a channel) are kept apart. */
import type { AlertId, BudgetId, HoldId } from '#lib/id.ts'
import type { AccountKey } from './account.ts'
import type { Action, LimitUnit } from './budget.ts'
import type { Instant } from './time.ts'

export type AlertKind =
  /** A line of a ladder was crossed; its actions say what follows: notice, throttle, stop. */
  | 'threshold'
  /** A provider billed more than was held. */
  | 'overage'
  /** What was throttled or stopped goes on: a raised limit, an override, a new period. */
  | 'resumed'
  | 'run_limit'
  | 'loop'
  | 'freeze'
  | 'override'
  | 'forecast'
  | 'burn_rate'
  | 'anomaly'
  /** An outcome costs more than its budget says. */
  | 'outcome_cost'
  | 'unpriced_model'
  /** A key asked for what another environment may use. */
  | 'cross_use'
  | 'channel_dead'
  | 'review_due'
  /** Somebody wants to see that a channel works. */
  | 'test'

export interface Alert {
  /** One for each account, threshold and arming: the same crossing always has the same id. */
  readonly id: AlertId
  readonly kind: AlertKind
  readonly account: AccountKey
  readonly budget: BudgetId
  readonly value: string | null
  readonly unit: LimitUnit
  /** The threshold's label; for an overage the hold's id. */
  readonly threshold: string
  readonly actions: readonly Action[]
  readonly at: Instant
  /** The amount of the rule, and what was posted when it fired, in the unit. */
  readonly amount: bigint
  readonly posted: bigint
  /** Overage only: what was posted beyond the hold. */
  readonly overage: bigint
  readonly hold: HoldId | null
  readonly periodEnd: Instant
  /** Evidence, as names and values for people. No prompt and no secret. */
  readonly details?: Readonly<Record<string, string>>
}

/** One delivery of an alert to one channel: a row of the outbox. */
export interface Notification {
  readonly alert: AlertId
  /** `log`, or a channel such as `slack` or `webhook:ops`. */
  readonly channel: string
  readonly state: 'waiting' | 'delivered' | 'dead'
  readonly attempts: number
  readonly nextAt: Instant
  readonly lastError: string | null
}
