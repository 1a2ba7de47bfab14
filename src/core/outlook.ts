/** What the spend of the last months says of a budget: where it will end, how fast it burns. */
import { type Account, type AccountKey, type AccountRef, openAccount } from './account.ts'
import type { Alert } from './alert.ts'
import { type BudgetRule, periodOf } from './budget.ts'
import { type Forecast, forecast, next } from './forecast.ts'
import { alertId } from './ladder.ts'
import { formatUsdShort, type Nanos } from './money.ts'
import { noValue } from './scope.ts'
import { dayMs, dayOf, type SpendDimension, spendDimensions, type SpendRow } from './spend.ts'
import { type Instant, instant, toIso } from './time.ts'

/** Looked at for a forecast. */
export const historyDays = 120

export interface Outlook {
  readonly rule: BudgetRule
  readonly account: Account
  /** Of the whole period, in nano-dollars; null: too short a history. */
  readonly end: Forecast | null
  /** The UTC day on which the amount is passed, if what is expected comes; null: not in it. */
  readonly passes: Instant | null
}

/** Budgets of money that a forecast makes sense for: a week or longer, and over some time. */
export function canForecast({ unit, per, period }: BudgetRule): boolean {
  return unit === 'usd' && per !== 'run' && !['minute', 'hour', 'day'].includes(period)
}

/** Whether reports tell the spend of its accounts apart. */
export function isReported({ per, selector }: BudgetRule): boolean {
  const told: readonly string[] = spendDimensions
  const isTold = (name: string): boolean => name === 'organization' || told.includes(name)
  return Object.keys(selector).every(isTold) && (per === null || told.includes(per))
}

/** The dimensions that tell the spend of these budgets apart. */
export function dimensionsOf(rules: readonly BudgetRule[]): readonly SpendDimension[] {
  const isUsed = (name: SpendDimension): boolean =>
    rules.some(({ selector, per }) => selector[name] !== undefined || per === name)
  return spendDimensions.filter(isUsed)
}

/** The rows of each account of a rule that is reported, by value. */
export function rowsByValue(
  { selector, per }: BudgetRule,
  rows: readonly SpendRow[],
): ReadonlyMap<string | null, readonly SpendRow[]> {
  const by = spendDimensions.find((name) => name === per)
  const own = rows.filter(({ scope }) =>
    spendDimensions.every((name) => (selector[name] ?? scope[name]) === scope[name]),
  )
  if (by === undefined) return new Map([[null, own]])
  return Map.groupBy(own, ({ scope }) => scope[by] ?? noValue)
}

/** Nano-dollars of an account's whole UTC days, oldest first, and of today so far. */
export interface Series {
  readonly days: readonly number[]
  readonly today: number
}

/** `rows`: the account's own, by day; from the first one with spend on. */
export function seriesOf(rows: readonly SpendRow[], now: Instant): Series {
  const today = dayOf(now)
  const byDay = new Map<number, number>()
  for (const { day, cost } of rows) {
    if (day !== null) byDay.set(day, (byDay.get(day) ?? 0) + Number(cost))
  }
  const first = Math.min(...byDay.keys(), today)
  const count = Math.round((today - first) / dayMs)
  const days = Array.from({ length: count }, (_, i) => byDay.get(first + i * dayMs) ?? 0)
  return { days, today: byDay.get(today) ?? 0 }
}

/** `account`: of the period that holds `now`, or null where nothing was spent in it. */
export function outlookOf(
  ref: AccountRef,
  account: Account | null,
  { days, today }: Series,
  now: Instant,
): Outlook {
  const { rule } = ref
  const of = account ?? openAccount(ref, now)
  const { end } = periodOf(rule, now)
  const ahead = Math.max(1, Math.ceil((end - dayOf(now)) / dayMs))
  const rest = forecast(days, ahead)
  if (rest === null) return { rule, account: of, end: null, passes: null }
  // What today has brought already is posted, and must not be expected once more.
  const posted = Number(of.posted)
  const still = (whole: number): number => posted + Math.max(0, whole - today)
  const total = {
    expected: still(rest.expected),
    low: still(rest.low),
    high: still(rest.high),
  }
  const passes = passingDay({ rule, account: of }, { days, today }, rest, ahead, now)
  return { rule, account: of, end: total, passes }
}

function passingDay(
  { rule, account }: Pick<Outlook, 'rule' | 'account'>,
  { days, today }: Series,
  { expected }: Forecast,
  ahead: number,
  now: Instant,
): Instant | null {
  const path = next(days, ahead)
  const all = path.reduce((sum, one) => sum + one, 0)
  const scale = all === 0 ? 0 : expected / all
  let spent = Number(account.posted) - today
  for (const [i, value] of path.entries()) {
    spent += Math.max(value * scale, i === 0 ? today : 0)
    if (spent >= Number(rule.amount)) return instant(dayOf(now) + i * dayMs)
  }
  return null
}

/** Null: nothing to tell. One a budget, period and week of the day it names. */
export function forecastAlert({ rule, account, end, passes }: Outlook, now: Instant): Alert | null {
  if (end === null || passes === null || account.posted >= rule.amount || rule.amount === 0n) {
    return null
  }
  const week = Math.floor(passes / (7 * dayMs))
  return alertOf('forecast', rule, account, `${week}`, now, {
    'will pass': `100 % on ${toIso(passes).slice(0, 10)}`,
    'expected at the end': money(end.expected),
    '80 % interval': `${money(end.low)} to ${money(end.high)}`,
  })
}

/**
 * Burn rates, as multiples of the even pace that uses up the amount just at the period's end. A
 * fast one is a fault that cannot wait, a slow one is a trend; each is told once a period.
 */
export const burns = [
  { name: 'fast', hours: 1, times: 14.4 },
  { name: 'slow', hours: 6, times: 6 },
] as const

/** `spent`: in the last `hours` whole hours and the one under way. */
export function burnAlert(
  rule: BudgetRule,
  account: Account,
  burn: (typeof burns)[number],
  spent: bigint,
  now: Instant,
): Alert | null {
  const { start, end } = account.period
  const evenly = (Number(rule.amount) / (end - start)) * burn.hours * 3_600_000
  const times = evenly === 0 ? 0 : Number(spent) / evenly
  if (times < burn.times || account.posted >= rule.amount) return null
  const hoursLeft = (Number(rule.amount - account.posted) / Number(spent)) * burn.hours
  return alertOf('burn_rate', rule, account, burn.name, now, {
    pace: `${times.toFixed(1)} times what the budget lasts for`,
    spent: `${money(Number(spent))} in ${burn.hours} h`,
    'used up in': `${hoursLeft.toFixed(1)} h`,
  })
}

function alertOf(
  kind: Alert['kind'],
  rule: BudgetRule,
  account: Account,
  once: string,
  now: Instant,
  details: Readonly<Record<string, string>>,
): Alert {
  return {
    id: alertId(`${kind}|${account.key}|${once}`),
    kind,
    account: account.key as AccountKey,
    budget: rule.id,
    value: account.value,
    unit: rule.unit,
    threshold: kind,
    actions: [{ kind: 'notify', channel: 'owner', name: null }],
    at: now,
    amount: rule.amount,
    posted: account.posted,
    overage: 0n,
    hold: null,
    periodEnd: account.period.end,
    details,
  }
}

const money = (nanos: number): string => formatUsdShort(BigInt(Math.round(nanos)) as Nanos)
