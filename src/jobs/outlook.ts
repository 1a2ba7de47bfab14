/** Looks ahead: forecasts, burn rates and days out of line become alerts, each once. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Account, accountKey, type AccountKey } from '#core/account.ts'
import type { Alert } from '#core/alert.ts'
import { anomalyOf } from '#core/anomaly.ts'
import { type BudgetRule, periodOf } from '#core/budget.ts'
import { valuesMax } from '#core/day-book.ts'
import { alertId } from '#core/ladder.ts'
import { formatUsdShort, type Nanos } from '#core/money.ts'
import {
  burnAlert,
  burns,
  canForecast,
  dimensionsOf,
  forecastAlert,
  historyDays,
  isReported,
  type Outlook,
  outlookOf,
  rowsByValue,
  seriesOf,
} from '#core/outlook.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { dayMs, dayOf, type SpendRow } from '#core/spend.ts'
import { type Instant, instant } from '#core/time.ts'
import type { Clock } from '#ports/clock.ts'
import type { AlertStore, LedgerStore } from '#ports/store.ts'

export interface OutlookDeps {
  readonly clock: Clock
  readonly store: Pick<LedgerStore, 'spend' | 'account' | 'dearest'> & Pick<AlertStore, 'raise'>
  readonly snapshot: () => Snapshot
}

const hourMs = 3_600_000
/** A budget above so many others is looked at first; more are not looked at in one round. */
const budgetsMax = 5000
/** Less is not worth an alert, whatever it was before. */
const anomalyNanos = 10_000_000_000

/** Where each account of a budget will be at its period's end, as far as reports tell of it. */
export async function outlooks(deps: OutlookDeps): Promise<readonly Outlook[]> {
  const { clock, store, snapshot } = deps
  const now = clock.now()
  const all = snapshot().budgets.filter((rule) => canForecast(rule) && isReported(rule))
  const rules = all.slice(0, budgetsMax)
  const from = instant(dayOf(now) - historyDays * dayMs)
  const by = dimensionsOf(rules)
  const rows = await store.spend({ from, to: instant(now + hourMs), daily: true, by })
  const found: Outlook[] = []
  for (const rule of rules) {
    const own = rowsByValue(rule, rows)
    for (const { value, account } of await accountsOf(deps, rule, now)) {
      found.push(outlookOf({ rule, value }, account, seriesOf(own.get(value) ?? [], now), now))
      // A thousand forecasts take a second, in which calls are served.
      await nextTurn()
    }
  }
  return found
}

interface Valued {
  readonly value: string | null
  /** Null: nothing was spent in this period. */
  readonly account: Account | null
}

async function accountsOf(
  { store }: OutlookDeps,
  rule: BudgetRule,
  now: Instant,
): Promise<readonly Valued[]> {
  if (rule.per === null) {
    return [{ value: null, account: await store.account(accountKey({ rule, value: null }, now)) }]
  }
  const accounts = await store.dearest(rule.id, periodOf(rule, now).start, valuesMax)
  return accounts.map((account) => ({ value: account.value, account }))
}

/** One round. Raised twice, an alert is one. */
export async function lookAhead(deps: OutlookDeps): Promise<void> {
  const { clock, store } = deps
  const now = clock.now()
  const found = await outlooks(deps)
  const alerts: (Alert | null)[] = found.map((one) => forecastAlert(one, now))
  const byRule = Map.groupBy(found, ({ rule }) => rule)
  const by = dimensionsOf([...byRule.keys()])
  for (const burn of burns) {
    const from = instant(now - (now % hourMs) - burn.hours * hourMs)
    const rows = await store.spend({ from, to: instant(now + hourMs), daily: false, by })
    for (const [rule, own] of byRule) {
      const spent = rowsByValue(rule, rows)
      for (const { account } of own) {
        const rowsOf = spent.get(account.value) ?? []
        alerts.push(burnAlert(rule, account, burn, costOf(rowsOf), now))
      }
    }
  }
  alerts.push(...(await anomalies(deps, now)))
  for (const alert of alerts) if (alert !== null) await store.raise(alert)
}

const costOf = (rows: readonly SpendRow[]): bigint => rows.reduce((sum, { cost }) => sum + cost, 0n)

/** Agents whose day is out of line; told once a day. */
async function anomalies({ store }: OutlookDeps, now: Instant): Promise<readonly Alert[]> {
  const today = dayOf(now)
  const from = instant(today - 60 * dayMs)
  const rows = await store.spend({ from, to: instant(now + hourMs), daily: true, by: ['agent'] })
  const byAgent = Map.groupBy(rows, ({ scope }) => scope.agent)
  const whole = daysOf(rows, today)
  const alerts: Alert[] = []
  for (const [agent, own] of byAgent) {
    const { before, now: spent } = daysOf(own, today)
    const found = anomalyOf(before, whole.before, spent, whole.now, anomalyNanos)
    if (found === null || agent === null) continue
    const percent = (share: number): string => `${(share * 100).toFixed(1)} %`
    alerts.push(
      anomalyAlert(agent, today, now, {
        agent,
        'spent today': money(found.spent),
        'to be expected': money(found.expected),
        'of all spend': `${percent(found.share)}, usually ${percent(found.usualShare)}`,
      }),
    )
  }
  return alerts
}

function daysOf(
  rows: readonly SpendRow[],
  today: number,
): { readonly before: readonly number[]; readonly now: number } {
  const byDay = new Map<number, number>()
  for (const { day, cost } of rows) {
    if (day !== null) byDay.set(day, (byDay.get(day) ?? 0) + Number(cost))
  }
  const first = Math.min(...byDay.keys(), today)
  const count = Math.round((today - first) / dayMs)
  const before = Array.from({ length: count }, (_, i) => byDay.get(first + i * dayMs) ?? 0)
  return { before, now: byDay.get(today) ?? 0 }
}

function anomalyAlert(
  agent: string,
  today: number,
  at: Instant,
  details: Readonly<Record<string, string>>,
): Alert {
  return {
    id: alertId(`anomaly|${agent}|${today}`),
    kind: 'anomaly',
    account: '' as AccountKey,
    budget: 'bud_none',
    value: agent,
    unit: 'usd',
    threshold: 'anomaly',
    actions: [{ kind: 'notify', channel: 'owner', name: null }],
    at,
    amount: 0n,
    posted: 0n,
    overage: 0n,
    hold: null,
    periodEnd: instant(today + dayMs),
    details,
  }
}

const money = (nanos: number): string => formatUsdShort(BigInt(Math.round(nanos)) as Nanos)
