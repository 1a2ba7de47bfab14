import { assert } from '#lib/assert.ts'

declare const unit: unique symbol

/** Whole milliseconds since the epoch. Handed in by the caller: core code never asks the time. */
export type Instant = number & { readonly [unit]: 'ms' }

export function instant(ms: number): Instant {
  assert(Number.isSafeInteger(ms), 'not a whole millisecond', ms)
  return ms as Instant
}

export const after = (at: Instant, ms: number): Instant => instant(at + ms)

/** Half-open, as FOCUS charge periods are: start is inside, end is not. */
export interface Period {
  readonly start: Instant
  readonly end: Instant
}

const foreverMs = 200_000_000_000_000

/** Accounts of runs and of calls in flight have no end. */
export function isForever(end: Instant): boolean {
  return end > foreverMs
}

export const periodKinds = ['minute', 'hour', 'day', 'week', 'month', 'quarter', 'year'] as const
export type PeriodKind = (typeof periodKinds)[number]

/**
 * The calendar period of `kind` around `at` in `timeZone` (IANA name). A pure function, so there is
 * no reset job and no state: days of 23 and 25 hours, and weeks (from Monday) that hold them, come
 * out of the time zone's own rules.
 */
export function periodAt(kind: PeriodKind, timeZone: string, at: Instant): Period {
  if (kind === 'minute') return fixed(at, 60_000)
  const name = `${kind} ${timeZone}`
  const last = lastPeriods.get(name)
  if (last !== undefined && last.start <= at && at < last.end) return last
  const period = calendarPeriod(kind, timeZone, at)
  if (lastPeriods.size >= lastPeriodsMax) lastPeriods.clear()
  lastPeriods.set(name, period)
  return period
}

/** Every call asks for the same few periods: the last answer to each question is kept. */
const lastPeriods = new Map<string, Period>()
const lastPeriodsMax = 1000

function calendarPeriod(kind: DayKind | 'hour', timeZone: string, at: Instant): Period {
  const local = Temporal.Instant.fromEpochMilliseconds(at).toZonedDateTimeISO(timeZone)
  if (kind === 'hour') return hourAround(local)
  const first = firstDay(kind, local.toPlainDate())
  const next = first.add(lengthOf(kind))
  return { start: midnight(first, timeZone), end: midnight(next, timeZone) }
}

function fixed(at: Instant, ms: number): Period {
  const start = Math.floor(at / ms) * ms
  return { start: instant(start), end: instant(start + ms) }
}

/** An hour is counted from the local hour's start, so that it fits zones offset by half an hour. */
function hourAround(local: Temporal.ZonedDateTime): Period {
  const into = (local.minute * 60 + local.second) * 1000 + local.millisecond
  const start = instant(local.epochMilliseconds - into)
  return { start, end: instant(start + 3_600_000) }
}

type DayKind = Exclude<PeriodKind, 'minute' | 'hour'>

function firstDay(kind: DayKind, date: Temporal.PlainDate): Temporal.PlainDate {
  switch (kind) {
    case 'day':
      return date
    case 'week':
      return date.subtract({ days: date.dayOfWeek - 1 })
    case 'month':
      return date.with({ day: 1 })
    case 'quarter':
      return date.with({ day: 1, month: date.month - ((date.month - 1) % 3) })
    case 'year':
      return date.with({ day: 1, month: 1 })
  }
}

function lengthOf(kind: DayKind): Temporal.DurationLike {
  switch (kind) {
    case 'day':
      return { days: 1 }
    case 'week':
      return { days: 7 }
    case 'month':
      return { months: 1 }
    case 'quarter':
      return { months: 3 }
    case 'year':
      return { years: 1 }
  }
}

/** The first instant of a day: later than 00:00 where the clocks spring forward over midnight. */
function midnight(date: Temporal.PlainDate, timeZone: string): Instant {
  return instant(date.toZonedDateTime(timeZone).epochMilliseconds)
}

export function isTimeZone(name: string): boolean {
  try {
    Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(name)
    return true
  } catch {
    return false
  }
}

export function toIso(at: Instant): string {
  const known = isoTexts.get(at)
  if (known !== undefined) return known
  const text = Temporal.Instant.fromEpochMilliseconds(at).toString()
  if (isoTexts.size >= isoTextsMax) isoTexts.clear()
  isoTexts.set(at, text)
  return text
}

/** Every answer says when its budget's period ends: the same few instants. */
const isoTexts = new Map<Instant, string>()
const isoTextsMax = 1000

/** An instant from ISO 8601 text with an offset or Z; null when it is not one. */
export function parseInstant(text: string): Instant | null {
  try {
    return instant(Temporal.Instant.from(text).epochMilliseconds)
  } catch {
    return null
  }
}
