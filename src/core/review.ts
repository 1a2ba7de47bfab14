/**
 * A budget that nobody looks at again is a number from another time. Where `review_every` is said,
 * somebody confirms it, with a note; who does not is reminded, and two weeks later all are.
 */
import type { AccountKey } from './account.ts'
import type { Alert } from './alert.ts'
import type { Action, BudgetRule, Channel } from './budget.ts'
import { forecast } from './forecast.ts'
import { alertId } from './ladder.ts'
import { dayMs } from './spend.ts'
import { type Instant, instant, toIso } from './time.ts'

/** The record of kind `review`, by the budget's id. */
export interface Review {
  readonly at: Instant
  readonly by: string
  readonly note: string
  /** True: nobody has reviewed it; it was seen with `review_every` for the first time. */
  readonly isFirst: boolean
}

export interface ReviewState {
  readonly rule: BudgetRule
  readonly last: Review
  readonly dueAt: Instant
  /** Whole days since it was due; 0: it is not, or since today. */
  readonly overdueDays: number
  readonly isDue: boolean
}

const escalateAfterDays = 14

/** Null where nobody asked for reviews. `last` null: it is counted from now. */
export function reviewState(
  rule: BudgetRule,
  last: Review | null,
  now: Instant,
): ReviewState | null {
  if (rule.reviewEveryDays === null) return null
  const counted = last ?? firstSeen(now)
  const dueAt = instant(counted.at + rule.reviewEveryDays * dayMs)
  const overdueDays = Math.max(0, Math.floor((now - dueAt) / dayMs))
  return { rule, last: counted, dueAt, overdueDays, isDue: now >= dueAt }
}

export function firstSeen(now: Instant): Review {
  return { at: now, by: 'bursar', note: 'review_every was set', isFirst: true }
}

/** A record's value, if it is one. */
export function asReview(value: unknown): Review | null {
  if (typeof value !== 'object' || value === null) return null
  const { at, by, note, isFirst } = value as Partial<Review>
  const whole = typeof at === 'number' && typeof by === 'string' && typeof note === 'string'
  return whole ? { at, by, note, isFirst: isFirst === true } : null
}

/** One to the owner when it falls due, one to everybody once it is two weeks late. */
export function reviewAlerts(state: ReviewState, now: Instant): readonly Alert[] {
  if (!state.isDue) return []
  const alerts = [reviewAlert(state, 'due', ['owner'], now)]
  if (state.overdueDays >= escalateAfterDays) {
    alerts.push(reviewAlert(state, 'overdue', ['owner', 'slack', 'teams', 'email'], now))
  }
  return alerts
}

function reviewAlert(
  { rule, last, dueAt, overdueDays }: ReviewState,
  threshold: string,
  channels: readonly Channel[],
  now: Instant,
): Alert {
  const actions = channels.map((channel): Action => ({ kind: 'notify', channel, name: null }))
  return {
    id: alertId(`review|${rule.id}|${dueAt}|${threshold}`),
    kind: 'review_due',
    account: '' as AccountKey,
    budget: rule.id,
    value: null,
    unit: rule.unit,
    threshold,
    actions,
    at: now,
    amount: rule.amount,
    posted: 0n,
    overage: 0n,
    hold: null,
    periodEnd: now,
    details: {
      what: rule.name,
      ...(rule.owner === null ? {} : { owner: rule.owner }),
      'last reviewed': last.isFirst ? 'never' : `${toIso(last.at).slice(0, 10)} by ${last.by}`,
      due: toIso(dueAt).slice(0, 10),
      ...(overdueDays > 0 ? { overdue: `${overdueDays} days` } : {}),
      'to review': `bursar budget review ${rule.id} --note TEXT`,
    },
  }
}

export interface Proposal {
  /** Of the last 90 days, in the unit of the budget. */
  readonly spent: number
  /** What a period is to be expected to cost, and what it costs at most in 9 of 10 cases. */
  readonly expected: number
  readonly high: number
  /** `high`, rounded up to two digits: what a new budget might be. */
  readonly amount: number
}

export const proposalDays = 90
const periodDays: Readonly<Partial<Record<BudgetRule['period'], number>>> = {
  day: 1,
  week: 7,
  month: 30,
  quarter: 91,
  year: 365,
}

/** `days`: whole days, oldest first. Null: too few, or nothing that can be proposed for. */
export function proposalOf({ period }: BudgetRule, days: readonly number[]): Proposal | null {
  const recent = days.slice(-proposalDays)
  const ahead = periodDays[period]
  if (ahead === undefined) return null
  // Years are expected from a quarter: a longer look ahead is no better than that, repeated.
  const reach = Math.min(ahead, 91)
  const found = forecast(recent, reach)
  if (found === null) return null
  const times = ahead / reach
  const [expected, high] = [found.expected * times, found.high * times]
  const spent = recent.reduce((sum, day) => sum + day, 0)
  return { spent, expected, high, amount: roundedUp(Math.max(high, expected)) }
}

function roundedUp(amount: number): number {
  if (amount <= 0) return 0
  const step = 10 ** (Math.floor(Math.log10(amount)) - 1)
  // Sums of fractions end a hair above the whole number that they are.
  return Math.ceil(amount / step - 1e-6) * step
}
