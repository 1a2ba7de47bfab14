/** What the control plane keeps besides keys and overrides, in one shape for all of it. */
export const recordKinds = [
  'freeze',
  'review',
  'token',
  'session',
  'thread',
  'sighting',
  /** How a channel fares: `delivery.ts`. */
  'channel',
  /** An account on its way up its ladder: `climbing.ts`. */
  'climb',
  /** Slowed because an outcome costs too much: `outcome-limit.ts`. */
  'pace',
  /** Who does a job that only one process may do: `AlertStore.lease`. */
  'lease',
  /** An imported bill, and its lines in parts. */
  'bill',
  'bill_part',
  'reconciliation',
  /** A month that is closed: '2026-10'. */
  'month',
  /** What the price book last said: `price-guard.ts`. */
  'prices',
  /** What each value of a budget spent a day: `day-book.ts`; its id is the budget's. */
  'days',
] as const
export type RecordKind = (typeof recordKinds)[number]

export interface ControlRecord {
  readonly kind: RecordKind
  /** Unique within its kind. */
  readonly id: string
  /** JSON values and bigints; null: it is gone. Whoever reads it checks its shape. */
  readonly value: unknown
}
