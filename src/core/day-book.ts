/**
 * What each value of a budget spent a day, from its balances as they stood at the ends of UTC days:
 * for users, tenants and keys, whom reports do not tell apart.
 */
import type { Account } from './account.ts'
import type { Series } from './outlook.ts'
import { dayMs } from './spend.ts'
import type { Instant } from './time.ts'

/** Looked at for a forecast; older days are forgotten. */
export const bookDays = 60
/** A budget with more values has the days of so many, the dearest. */
export const valuesMax = 2000

/** The value of a record of kind `days`; its id is the budget's. */
export interface DayBook {
  /** The beginning of a UTC day: those before it are closed. */
  readonly until: Instant
  /** Nobody who had spent was left out: who is new since then has no days before. */
  readonly isWhole: boolean
  readonly values: readonly ValueDays[]
}

export interface ValueDays {
  readonly value: string | null
  /** Nano-dollars of whole UTC days, oldest first, up to `until`. */
  readonly days: readonly number[]
  /** The period of the account that was seen at `until`, and what it had posted then. */
  readonly start: Instant
  readonly posted: bigint
}

/** The dearest accounts of a budget, at most `valuesMax` each. */
export interface Balances {
  /** Of the period that holds the day to begin. */
  readonly now: readonly Account[]
  /** Of the period before. */
  readonly before: readonly Account[]
  /** When the period began that holds the day. */
  readonly start: Instant
}

/**
 * The book with the days before `today` closed: to be made soon after a day has begun, since what
 * that has brought already is counted for the one before. A first book knows no days, only where
 * they begin.
 */
export function closeDays(book: DayBook | null, balances: Balances, today: Instant): DayBook {
  if (book !== null && book.until >= today) return book
  const accounts = new Map(balances.now.map((account) => [account.value, account]))
  const ended = new Map(balances.before.map((account) => [account.value, account]))
  const known = new Map(book?.values.map((one) => [one.value, one]))
  const seenAll = balances.now.length < valuesMax
  const all = [...new Set([...known.keys(), ...ended.keys(), ...accounts.keys()])]
  const values = all
    .filter((value) => seenAll || accounts.has(value))
    .map((value): ValueDays => {
      const posted = accounts.get(value)?.posted ?? 0n
      const seen = known.get(value)
      const { start } = balances
      // Nobody knows when it spent what it has spent.
      if (book === null || (seen === undefined && !book.isWhole)) {
        return { value, days: [], start, posted }
      }
      const spent = spentSince(book.until, seen, { start, posted }, ended.get(value))
      const days = [...(seen?.days ?? []), ...stretchOf(spent, book.until, today)]
      return { value, days: days.slice(-bookDays), start, posted }
    })
    .filter(({ days, posted }) => posted > 0n || days.some((spent) => spent > 0))
  return {
    until: today,
    isWhole: seenAll && values.length <= valuesMax,
    values: values.toSorted((a, b) => sum(b.days) - sum(a.days)).slice(0, valuesMax),
  }
}

/** In this period, and in the rest of the one before where that ended meanwhile. */
function spentSince(
  until: Instant,
  seen: ValueDays | undefined,
  { start, posted }: Pick<ValueDays, 'start' | 'posted'>,
  ended: Account | undefined,
): bigint {
  const own = posted - seenIn(seen, start)
  const isOver = ended !== undefined && ended.period.end > until
  return isOver ? own + ended.posted - seenIn(seen, ended.period.start) : own
}

/**
 * What was seen at `until` of the account whose period begins at `start`. In another time zone that
 * is some hours sooner or later, and the same period.
 */
function seenIn(seen: ValueDays | undefined, start: Instant): bigint {
  return seen !== undefined && Math.abs(seen.start - start) <= 2 * dayMs ? seen.posted : 0n
}

/** Nobody knows on which of several days without a round it was spent: on each the same. */
function stretchOf(spent: bigint, until: Instant, today: Instant): readonly number[] {
  const count = Math.round((today - until) / dayMs)
  // A correction may take back more than was spent: no forecast is made of that.
  const each = Math.max(0, Number(spent)) / count
  return Array.from({ length: count }, () => Math.round(each))
}

/** Of an account that is in the book, or not: whole days, and what today has brought. */
export function seriesSince(
  seen: ValueDays | undefined,
  { period, posted }: Pick<Account, 'period' | 'posted'>,
): Series {
  const today = Number(posted - seenIn(seen, period.start))
  return { days: seen?.days ?? [], today: Math.max(0, today) }
}

/** Null: what was kept is no day book. */
export function asDayBook(value: unknown): DayBook | null {
  if (typeof value !== 'object' || value === null) return null
  const isBook = 'until' in value && 'values' in value && Array.isArray(value.values)
  return isBook ? (value as DayBook) : null
}

const sum = (days: readonly number[]): number => days.reduce((all, one) => all + one, 0)
