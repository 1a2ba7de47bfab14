/** The fact that a line was crossed. Its notifications (one a channel) are kept apart. */
import type { AlertId, BudgetId, HoldId } from '#lib/id.ts'
import type { AccountKey } from './account.ts'
import type { Action, LimitUnit } from './budget.ts'
import type { Instant } from './time.ts'

export interface Alert {
  /** One for each account, threshold and arming: the same crossing always has the same id. */
  readonly id: AlertId
  readonly kind: 'threshold' | 'overage'
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
