/** Throttling: how fast an account was admitted, and the slot its next call may take. */
import { assert } from '#lib/assert.ts'
import { type Instant, instant } from './time.ts'

type Admitted = readonly [minute: number, admitted: number]

/** Calls admitted by minute (minutes since the epoch), the last hour at most. */
export interface Recent {
  /** Before the newest, oldest first. Changes once a minute, not once a call. */
  readonly earlier: readonly Admitted[]
  readonly newest: Admitted
}

export const noneRecent: Recent = { earlier: [], newest: [0, 0] }

/**
 * A pace once frozen: it ends with the period, an override that lifts the stage, a raised limit.
 */
export interface Throttle {
  /** The threshold that started it. */
  readonly label: string
  readonly percent: number
  /** The account's own admitted calls in the hour before, at least 60. */
  readonly baselinePerHour: number
  /** The next call may be admitted from here on. */
  readonly nextAt: Instant
}

const minuteMs = 60_000
const leastPerHour = 60

export function noteAdmitted(recent: Recent, now: Instant): Recent {
  const minute = Math.floor(now / minuteMs)
  const { earlier, newest } = recent
  const [newestMinute, admitted] = newest
  // A clock set back writes into the newest minute: the order stays, and nothing is lost.
  if (minute <= newestMinute) return { earlier, newest: [newestMinute, admitted + 1] }
  return { earlier: [...earlier, newest].filter(([at]) => at > minute - 60), newest: [minute, 1] }
}

export function admittedLastHour(recent: Recent, now: Instant): number {
  const minute = Math.floor(now / minuteMs)
  const all = [...recent.earlier, recent.newest]
  return all.reduce((sum, [at, admitted]) => (at > minute - 60 ? sum + admitted : sum), 0)
}

export function startThrottle(
  label: string,
  percent: number,
  recent: Recent,
  now: Instant,
): Throttle {
  assert(percent > 0 && percent <= 100, 'a throttle admits 1 to 100 percent', percent)
  const baselinePerHour = Math.max(leastPerHour, admittedLastHour(recent, now))
  const started = { label, percent, baselinePerHour, nextAt: now }
  // The first paced call waits a full step too: the pace holds from the moment it begins.
  return { ...started, nextAt: instant(now + stepMs(started)) }
}

/** Milliseconds between two admitted calls. */
export function stepMs({ baselinePerHour, percent }: Omit<Throttle, 'nextAt' | 'label'>): number {
  return Math.ceil((3_600_000 * 100) / (baselinePerHour * percent))
}

/** After admitting a call now. A quiet stretch saves up nothing: evenly paced, no bursts. */
export function takeSlot(throttle: Throttle, now: Instant): Throttle {
  const from = Math.max(now, throttle.nextAt)
  return { ...throttle, nextAt: instant(from + stepMs(throttle)) }
}
