/**
 * How a channel fares, and what may be sent over it now. Many alerts at once are few messages: in a
 * window two subjects have messages of their own; what else comes waits for one digest.
 */
import type { Alert } from './alert.ts'
import { overrideAsked } from './alert-text.ts'
import { subjectOf } from './message.ts'
import { after, type Instant, instant } from './time.ts'

/** The value of a record of kind `channel`; its id is the channel's name. */
export interface ChannelState {
  /** In a row. */
  readonly failures: number
  /** When the first of them was. */
  readonly failingSince: Instant | null
  readonly pausedUntil: Instant
  /** It has been told elsewhere that nothing arrives here. */
  readonly dead: boolean
  readonly lastError: string | null
  readonly deliveredAt: Instant | null
  /** Since `start`: subjects and digests that have had a message. */
  readonly window: { readonly start: Instant; readonly messages: readonly string[] }
}

export const freshChannel: ChannelState = {
  failures: 0,
  failingSince: null,
  pausedUntil: instant(0),
  dead: false,
  lastError: null,
  deliveredAt: null,
  window: { start: instant(0), messages: [] },
}

export const windowMs = 30_000
const messagesMax = 2
const decisionsMax = 3
const endsMax = 100

/** How long a notification may be tried: with the longest pauses between, a day. */
export const attemptsMax = 150
const waitMsMin = 5000
const waitMsMax = 10 * 60_000
/** What a receiver says to wait is done, but not for longer than this. */
const askedMsMax = 6 * 60 * 60_000
const failuresOfDead = 6

/** What a sender says of a delivery that failed. */
export interface Failure {
  /** Without any secret. */
  readonly reason: string
  /** When the receiver said to come back, in milliseconds. */
  readonly retryAfterMs: number | null
  /**
   * `message`: this one will never be taken, others may be. `channel`: nothing will, until somebody
   * changes something. Null: trying again may help.
   */
  readonly lasting: 'message' | 'channel' | null
}

export function afterDelivery(state: ChannelState, now: Instant): ChannelState {
  return {
    ...state,
    failures: 0,
    failingSince: null,
    pausedUntil: instant(0),
    dead: false,
    lastError: null,
    deliveredAt: now,
  }
}

/** `dice` in [0, 1) spreads what would all come back at once. */
export function afterFailure(
  state: ChannelState,
  failure: Failure,
  now: Instant,
  dice: number,
): ChannelState {
  const failures = state.failures + 1
  const failingSince = state.failingSince ?? now
  if (failure.lasting === 'message') {
    return { ...state, failures, failingSince, lastError: failure.reason }
  }
  const backoff =
    failure.lasting === 'channel'
      ? waitMsMax
      : Math.min(waitMsMax, waitMsMin * 2 ** Math.min(failures - 1, 20))
  const asked = Math.min(failure.retryAfterMs ?? 0, askedMsMax)
  const waitMs = Math.max(asked, backoff * (0.75 + dice / 4))
  return {
    ...state,
    failures,
    failingSince,
    pausedUntil: after(now, Math.ceil(waitMs)),
    lastError: failure.reason,
  }
}

/** Nothing has arrived for so long that somebody should hear of it over another channel. */
export function isDead(state: ChannelState, lasting: Failure['lasting']): boolean {
  return state.failures >= failuresOfDead || lasting === 'channel'
}

export type AlertGroup = readonly [Alert, ...Alert[]]

export interface Plan {
  /** Each a message of its own. */
  readonly single: readonly AlertGroup[]
  readonly digest: AlertGroup | null
  /** Not before `until`. */
  readonly later: readonly Alert[]
  readonly until: Instant
  readonly window: ChannelState['window']
}

/** What a channel does with alerts, besides sending them. */
export interface Manner {
  /** Alerts with one subject are one message. */
  readonly gathers: boolean
  /** Closes what it opened, without a word to anybody. */
  readonly closes: boolean
}

/** What is sent now of `due` (oldest first), as what, and what waits for the next window. */
export function plan(
  due: readonly Alert[],
  state: ChannelState,
  manner: Manner,
  now: Instant,
): Plan {
  const isOpen = now >= state.window.start && now < state.window.start + windowMs
  const window = isOpen ? state.window : { start: now, messages: [] }
  const apart = takenApart(due, manner)
  const subjects = bySubject(apart.news)
  const fresh = [...subjects.keys()].filter((subject) => !window.messages.includes(subject))
  const room = messagesMax - window.messages.length
  const own = [...apart.ends, ...apart.decisions]
  if (fresh.length <= Math.max(0, room)) {
    const single = [...own, ...(manner.gathers ? subjects.values() : each(subjects.values()))]
    return {
      single,
      digest: null,
      later: apart.later,
      until: now,
      window: { start: window.start, messages: [...window.messages, ...fresh] },
    }
  }
  const until = after(window.start, windowMs)
  const [first, ...rest] = apart.news
  if (room > 0 && first !== undefined) {
    const messages = [...window.messages, `digest ${window.messages.length}`]
    const digest: AlertGroup = [first, ...rest]
    return { single: own, digest, later: apart.later, until, window: { ...window, messages } }
  }
  return { single: own, digest: null, later: [...apart.news, ...apart.later], until, window }
}

/** What is asked of somebody has its buttons, and what ends is no message: neither is counted. */
function takenApart(due: readonly Alert[], { closes }: Manner) {
  const decisions: AlertGroup[] = []
  const ends: AlertGroup[] = []
  const later: Alert[] = []
  const news: Alert[] = []
  const opening = new Set(due.filter(({ kind }) => kind !== 'resumed').map(subjectOf))
  for (const alert of due) {
    const isEnd = closes && alert.kind === 'resumed'
    if (overrideAsked(alert) !== null && decisions.length < decisionsMax) decisions.push([alert])
    // What is still to be opened is closed after that.
    else if (isEnd && (opening.has(subjectOf(alert)) || ends.length >= endsMax)) later.push(alert)
    else if (isEnd) ends.push([alert])
    else news.push(alert)
  }
  return { decisions, ends, later, news }
}

function bySubject(alerts: readonly Alert[]): ReadonlyMap<string, AlertGroup> {
  const groups = new Map<string, AlertGroup>()
  for (const alert of alerts) {
    const subject = subjectOf(alert)
    const before = groups.get(subject)
    groups.set(subject, before === undefined ? [alert] : [...before, alert])
  }
  return groups
}

function each(groups: Iterable<AlertGroup>): readonly AlertGroup[] {
  return [...groups].flatMap((group) => group.map((alert): AlertGroup => [alert]))
}
