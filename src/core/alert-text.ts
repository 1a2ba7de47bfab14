/**
 * What an alert says to people, in plain words: no markup, no control characters, bounded. Every
 * channel renders from this, so that none of them has a sentence of its own.
 */
import type { BudgetId, OverrideId } from '#lib/id.ts'
import { parseId } from '#lib/id.ts'
import type { Alert, AlertKind } from './alert.ts'
import { type BudgetRule, thresholdAmount } from './budget.ts'
import { formatPercent, formatUsdShort, type Nanos, parseRatio } from './money.ts'
import { valueName } from './run.ts'
import { type Instant, isForever } from './time.ts'

export type Severity = 'info' | 'warning' | 'error' | 'critical'

export interface Field {
  readonly name: string
  readonly value: string
}

export interface AlertText {
  readonly severity: Severity
  /** One line, at most 150 characters. */
  readonly title: string
  /** What happened and what follows, at most 600 characters. */
  readonly sentence: string
  /** At most 10, of names up to 40 and values up to 200 characters. */
  readonly fields: readonly Field[]
}

/** What the words are taken from. */
export interface Words {
  readonly organization: string
  readonly timeZone: string
  readonly ruleOf: (budget: BudgetId) => BudgetRule | null
}

const fieldsMax = 10

export function textOf(alert: Alert, words: Words): AlertText {
  const said = sayings[alert.kind](alert, words)
  return {
    severity: severityOf(alert, words),
    title: plain(said.title, 150),
    sentence: plain(said.sentence, 600),
    fields: fieldsOf(alert, words).slice(0, fieldsMax),
  }
}

/**
 * Below 1.0 a warning, from 1.0 an error, throttled or stopped critical; others by their kind. What
 * only observes never says more than a warning.
 */
export function severityOf(alert: Alert, { ruleOf }: Words): Severity {
  if (alert.kind !== 'threshold') return severities[alert.kind]
  if (ruleOf(alert.budget)?.mode === 'observe') return 'warning'
  if (alert.actions.some(({ kind }) => kind === 'throttle' || kind === 'hard_stop')) {
    return 'critical'
  }
  const at = parseRatio(alert.threshold)
  return at !== null && at.numerator >= at.denominator ? 'error' : 'warning'
}

const severities: Readonly<Record<Exclude<AlertKind, 'threshold'>, Severity>> = {
  overage: 'error',
  resumed: 'info',
  run_limit: 'error',
  loop: 'error',
  freeze: 'critical',
  override: 'info',
  forecast: 'warning',
  burn_rate: 'error',
  anomaly: 'warning',
  outcome_cost: 'error',
  unpriced_model: 'warning',
  cross_use: 'error',
  channel_dead: 'error',
  review_due: 'info',
  test: 'info',
}

/** The request that waits for a decision, or null. */
export function overrideAsked(alert: Alert): OverrideId | null {
  if (alert.kind !== 'override') return null
  const { details = {} } = alert
  const state = details.state ?? details.step ?? alert.threshold
  return /request/.test(state) ? overrideIn(alert) : null
}

/** The override that an alert is about, or null. */
export function overrideIn({ details = {}, threshold }: Alert): OverrideId | null {
  for (const text of [...Object.values(details), threshold]) {
    const id = parseId('ovr', text)
    if (id !== null) return id
  }
  return null
}

interface Saying {
  readonly title: string
  readonly sentence: string
}
type Say = (alert: Alert, words: Words) => Saying

const sayings: Readonly<Record<AlertKind, Say>> = {
  threshold: sayThreshold,
  overage: (alert, words) => ({
    title: `Billed more than was held: ${nameOf(alert, words) ?? 'a call'}`,
    sentence:
      `A provider billed ${formatUsdShort(alert.overage as Nanos)} more than the most that was ` +
      `held for the call. ${usedSentence(alert, words)}`,
  }),
  resumed: (alert, words) => ({
    title: `Goes on: ${nameOf(alert, words) ?? 'a budget'}`,
    sentence: `${alert.details?.because ?? 'What stopped it is over'}: calls are served again.`,
  }),
  run_limit: kindly('Run limit reached'),
  loop: kindly('Loop detected'),
  freeze: kindly('Kill switch'),
  override: sayOverride,
  forecast: kindly('Forecast'),
  burn_rate: kindly('Spending fast'),
  anomaly: kindly('Unusual spend'),
  outcome_cost: kindly('An outcome costs too much'),
  unpriced_model: kindly('Model without a price'),
  cross_use: kindly('Key used outside its environment'),
  channel_dead: ({ details = {} }) => ({
    title: `Alerts do not arrive over ${details.channel ?? 'a channel'}`,
    sentence:
      `${details.failures ?? 'Several'} deliveries in a row have failed: ` +
      `${details.reason ?? 'no reason was given'}. They are kept and tried again. ` +
      `See what it answers with: bursar alert test ${details.channel ?? 'CHANNEL'}`,
  }),
  review_due: kindly('Budget review due'),
  test: ({ details = {} }, { organization }) => ({
    title: 'A test of this channel',
    sentence: `${details.by ?? 'Somebody'} tried whether alerts of ${organization} arrive here.`,
  }),
}

function sayThreshold(alert: Alert, words: Words): Saying {
  const rule = words.ruleOf(alert.budget)
  const name = nameOf(alert, words) ?? 'A budget'
  const watched = rule?.mode === 'observe'
  const used = `${formatPercent(alert.posted, alert.amount)} %`
  const pace = alert.actions.find((action) => action.kind === 'throttle')
  const stops = alert.actions.some(({ kind }) => kind === 'hard_stop')
  const onlyWatched = watched ? ' It only observes: nothing is slowed or refused.' : ''
  if (stops) {
    const line = rule === null ? '' : ` (${shown(alert, stopAmount(rule, alert))})`
    const follows =
      ` Calls that would pass the hard limit${line} are refused until the period ends, ` +
      'the limit is raised or an override is approved.'
    return {
      title: `${watched ? 'Would be stopped' : 'Stopped'}: ${name} at ${used}`,
      sentence: usedSentence(alert, words) + (watched ? onlyWatched : follows),
    }
  }
  if (pace !== undefined) {
    return {
      title: `${watched ? 'Would be slowed' : `Slowed to ${pace.percent} %`}: ${name} at ${used}`,
      sentence:
        usedSentence(alert, words) +
        (watched ? onlyWatched : ` Calls now pass at ${pace.percent} % of their pace before.`),
    }
  }
  return { title: `${name} at ${used}`, sentence: usedSentence(alert, words) + onlyWatched }
}

function stopAmount(rule: BudgetRule, { threshold, amount }: Alert): bigint {
  const step = rule.ladder.find(({ label }) => label === threshold)
  return step === undefined ? amount : thresholdAmount(amount, step)
}

function usedSentence(alert: Alert, words: Words): string {
  if (alert.amount <= 0n) return ''
  const of = `${shown(alert, alert.posted)} of ${shown(alert, alert.amount)}`
  const ends = isForever(alert.periodEnd)
    ? ''
    : `; the period ends ${localTime(alert.periodEnd, words.timeZone)}`
  return `${of} used (${formatPercent(alert.posted, alert.amount)} %)${ends}.`
}

function sayOverride(alert: Alert, words: Words): Saying {
  const { details = {} } = alert
  const state = details.state ?? details.step ?? alert.threshold.split('.').at(-1) ?? ''
  const word = /^[a-z_ ]{3,20}$/.test(state) ? state.replaceAll('_', ' ') : 'news'
  const name = nameOf(alert, words)
  return {
    title: `Override ${word}${name === null ? '' : `: ${name}`}`,
    sentence: details.sentence ?? (sentenceOf(details) || usedSentence(alert, words)),
  }
}

/** Kinds whose words are their details. */
function kindly(heading: string): Say {
  return (alert, words) => {
    const { details = {}, threshold, kind } = alert
    const about = nameOf(alert, words) ?? details.what ?? details.agent ?? details.key ?? null
    const step = threshold === kind || threshold === '' ? '' : ` ${threshold}`
    const named = kind === 'freeze' ? heading + step.replace(/^ freeze\./, ' ') : heading
    return {
      title: about === null ? named : `${named}: ${about}`,
      sentence: details.sentence ?? (sentenceOf(details) || usedSentence(alert, words) || named),
    }
  }
}

function sentenceOf(details: Readonly<Record<string, string>>): string {
  const said = Object.entries(details).map(([name, value]) => `${name}: ${value}`)
  return said.length === 0 ? '' : `${said.join('; ')}.`
}

/** The budget's name for people, with the value of a `per` budget; null: it is about none. */
export function nameOf(alert: Alert, words: Words): string | null {
  const rule = words.ruleOf(alert.budget)
  if (rule === null && alert.amount === 0n) return null
  const name = rule?.name ?? alert.budget
  return alert.value === null ? name : `${name} (${valueName(rule, alert.value)})`
}

function fieldsOf(alert: Alert, words: Words): readonly Field[] {
  const rule = words.ruleOf(alert.budget)
  const fields: Field[] = []
  const add = (name: string, value: string | null | undefined): void => {
    if (value === null || value === undefined || value === '') return
    fields.push({ name: plain(name, 40), value: plain(value, 200) })
  }
  add('Budget', nameOf(alert, words))
  if (alert.amount > 0n) {
    const percent = formatPercent(alert.posted, alert.amount)
    add('Used', `${shown(alert, alert.posted)} (${percent} %)`)
    add('Limit', shown(alert, alert.amount))
    if (!isForever(alert.periodEnd)) add('Ends', localTime(alert.periodEnd, words.timeZone))
  }
  if (alert.kind === 'overage') add('Beyond the hold', formatUsdShort(alert.overage as Nanos))
  add('Owner', rule?.owner)
  for (const [name, value] of Object.entries(alert.details ?? {})) {
    if (name !== 'sentence') add(name, value)
  }
  return fields
}

function shown({ unit }: Alert, amount: bigint): string {
  if (unit === 'usd') return formatUsdShort(amount as Nanos)
  const grouped = String(amount).replace(/\B(?=(\d{3})+$)/g, ',')
  return `${grouped} ${unit === 'concurrent' ? 'calls at once' : unit}`
}

/** "2026-12-01 00:00 Europe/Berlin". */
export function localTime(at: Instant, timeZone: string): string {
  const local = Temporal.Instant.fromEpochMilliseconds(at).toZonedDateTimeISO(timeZone)
  const text = local.toPlainDateTime().toString({ smallestUnit: 'minute' })
  return `${text.replace('T', ' ')} ${timeZone}`
}

/** One line without control or direction characters, at most `max` characters long. */
export function plain(text: string, max: number): string {
  const clean = text
    .toWellFormed()
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029\s]+/gu, ' ')
    .trim()
  if (clean.length <= max) return clean
  // Not through the middle of a character.
  return `${clean.slice(0, max - 1).replace(/[\ud800-\udbff]$/, '')}…`
}
