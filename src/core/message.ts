/** One thing to say on one channel: an alert, several about one subject, or a digest of many. */
import type { BudgetId, OverrideId } from '#lib/id.ts'
import type { Alert } from './alert.ts'
import {
  type Field,
  localTime,
  overrideAsked,
  overrideIn,
  type Severity,
  severityOf,
  textOf,
  type Words,
} from './alert-text.ts'
import { rulesOfSnapshot } from './rules-by-id.ts'
import { alertId } from './ladder.ts'
import { formatPercent } from './money.ts'
import type { Snapshot } from './snapshot.ts'
import type { Instant } from './time.ts'

export interface Message {
  /** Oldest first. Every one of them is delivered when the message is. */
  readonly alerts: readonly Alert[]
  /** What several alerts have in common, such as one account in one period; null: a digest. */
  readonly subject: string | null
  /** The same for the same alerts: what a receiver may tell repetitions by. */
  readonly id: string
  readonly organization: string
  readonly severity: Severity
  readonly title: string
  readonly sentence: string
  readonly fields: readonly Field[]
  /** Each a line: what came before, or the worst of a digest. */
  readonly lines: readonly string[]
  readonly at: Instant
  /** "2026-11-23 21:30 Europe/Berlin". */
  readonly atText: string
  /** A request that somebody may approve or deny here. */
  readonly decides: OverrideId | null
  /** What the subject was about is over. */
  readonly over: boolean
}

/** Alerts with one subject follow each other: a message, a thread, an incident. */
export function subjectOf(alert: Alert): string {
  if (alert.kind === 'threshold' || alert.kind === 'resumed') return alert.account
  if (alert.kind === 'override') return `override|${overrideIn(alert) ?? alert.id}`
  const about = alert.account === '' ? alert.id : `${alert.account}|${alert.threshold}`
  return `${alert.kind}|${about}`
}

/** The words of a config. */
export function wordsOf(snapshot: Snapshot): Words {
  const rules = rulesOfSnapshot(snapshot)
  const { organization, timeZone } = snapshot
  return { organization, timeZone, ruleOf: (id: BudgetId) => rules.get(id) ?? null }
}

/** Of alerts with one subject, oldest first: it says where things stand, and what led there. */
export function messageOf(alerts: readonly [Alert, ...Alert[]], words: Words): Message {
  const last = alerts.at(-1) ?? alerts[0]
  const { title, sentence, fields } = textOf(last, words)
  return {
    alerts,
    subject: subjectOf(last),
    id: idOf(alerts),
    organization: words.organization,
    severity: severityOf(last, words),
    title,
    sentence,
    fields,
    lines: alerts.slice(0, -1).map((alert) => lineOf(alert, words)),
    at: last.at,
    atText: localTime(last.at, words.timeZone),
    decides: overrideAsked(last),
    over: last.kind === 'resumed',
  }
}

const linesOfDigest = 10

export function digestOf(alerts: readonly [Alert, ...Alert[]], words: Words): Message {
  const last = alerts.at(-1) ?? alerts[0]
  // The latest word on each subject counts; the worst of them are named.
  const latest = [...new Map(alerts.map((alert) => [subjectOf(alert), alert])).values()]
  const worst = [...latest].sort(worseFirst(words)).slice(0, linesOfDigest)
  const left = latest.length - worst.length
  return {
    alerts,
    subject: null,
    id: idOf(alerts),
    organization: words.organization,
    severity: severityOf(worst[0] ?? last, words),
    title: `${alerts.length} alerts at once, about ${latest.length} accounts or events`,
    sentence: `${countsOf(alerts)}. All of them: bursar alert list`,
    fields: [],
    lines: [
      ...worst.map((alert) => textOf(alert, words).title),
      ...(left > 0 ? [`... and ${left} more`] : []),
    ],
    at: last.at,
    atText: localTime(last.at, words.timeZone),
    decides: null,
    over: false,
  }
}

/** "3 stopped, 20 slowed, 477 crossed a line". */
function countsOf(alerts: readonly Alert[]): string {
  const counts = new Map<string, number>()
  for (const alert of alerts) {
    const word = wordOf(alert)
    counts.set(word, (counts.get(word) ?? 0) + 1)
  }
  return [...counts].map(([word, count]) => `${count} ${word}`).join(', ')
}

function wordOf({ kind, actions }: Alert): string {
  if (kind !== 'threshold') return kind.replaceAll('_', ' ')
  if (actions.some((action) => action.kind === 'hard_stop')) return 'stopped'
  return actions.some((action) => action.kind === 'throttle') ? 'slowed' : 'crossed a line'
}

const ranks: Readonly<Record<Severity, number>> = { info: 0, warning: 1, error: 2, critical: 3 }

/** By severity, then by how much of its limit is used. */
function worseFirst(words: Words): (a: Alert, b: Alert) => number {
  return (a, b) => {
    const bySeverity = ranks[severityOf(b, words)] - ranks[severityOf(a, words)]
    if (bySeverity !== 0) return bySeverity
    return Number(formatPercent(b.posted, b.amount)) - Number(formatPercent(a.posted, a.amount))
  }
}

/** For the history of a message that is updated. */
export function lineOf(alert: Alert, words: Words): string {
  return `${localTime(alert.at, words.timeZone)}: ${textOf(alert, words).title}`
}

function idOf(alerts: readonly [Alert, ...Alert[]]): string {
  return alerts.length === 1 ? alerts[0].id : alertId(alerts.map(({ id }) => id).join('|'))
}
