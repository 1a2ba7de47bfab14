/**
 * "At most $0.80 for each resolved case, judged from 200 on": a budget whose unit is an outcome.
 *
 * Before so many outcomes hold, it is judged as if they did: who has spent more than all of them
 * may cost together is over already, whatever comes. After that the quotient counts, and it slows
 * calls only where its interval lies above the limit as a whole.
 */
import type { BudgetId } from '#lib/id.ts'
import type { AccountKey } from './account.ts'
import type { Alert } from './alert.ts'
import { alertId } from './ladder.ts'
import { formatUsdShort, type Nanos } from './money.ts'
import { type CostRow, whole } from './outcome-cost.ts'
import type { Selector } from './scope.ts'
import { type Instant, type Period, type PeriodKind, toIso } from './time.ts'

export interface OutcomeLimit {
  readonly id: string
  /** The budget of money that it stands in; null: none. */
  readonly budget: BudgetId | null
  readonly name: string
  readonly selector: Selector
  readonly type: string
  /** For each outcome. */
  readonly max: Nanos
  readonly atLeast: number
  /** Of the pace before; null: it only tells. */
  readonly throttlePercent: number | null
  readonly observes: boolean
  readonly period: PeriodKind
  readonly timeZone: string
  readonly owner: string | null
}

export interface Verdict {
  readonly state: 'within' | 'over' | 'surely_over'
  /** Judged by so many outcomes: `atLeast`, where fewer hold. */
  readonly perOutcome: Nanos
}

export function judge(
  { max, atLeast }: Pick<OutcomeLimit, 'max' | 'atLeast'>,
  { cost, counted, interval }: Pick<CostRow, 'cost' | 'counted' | 'interval'>,
): Verdict {
  const least = BigInt(atLeast) * whole
  const by = counted > least ? counted : least
  const perOutcome = ((cost * whole) / by) as Nanos
  if (cost * whole <= max * by) return { state: 'within', perOutcome }
  const certain = counted < least || (interval !== null && interval.low > max)
  return { state: certain ? 'surely_over' : 'over', perOutcome }
}

/** The value of a record of kind `pace`; its id is the limit's. */
export interface OutcomePace {
  readonly limit: string
  readonly name: string
  readonly selector: Selector
  readonly percent: number
  /** Calls an hour, on average of the period before it was slowed. */
  readonly baselinePerHour: number
  /** The period's end: a new one begins unslowed. */
  readonly until: Instant
}

const hourMs = 3_600_000
const leastPerHour = 60

export function paceOf(
  limit: OutcomeLimit,
  percent: number,
  { calls }: Pick<CostRow, 'calls'>,
  period: Period,
  now: Instant,
): OutcomePace {
  const hours = Math.max(1, (now - period.start) / hourMs)
  const { id, name, selector } = limit
  const baselinePerHour = Math.max(leastPerHour, Math.round(Number(calls) / hours))
  return { limit: id, name, selector, percent, baselinePerHour, until: period.end }
}

/** Once a limit, period and state. */
export function limitAlert(
  limit: OutcomeLimit,
  row: CostRow,
  { state, perOutcome }: Verdict,
  period: Period,
  now: Instant,
): Alert {
  const counted = Number(row.counted) / Number(whole)
  const { interval } = row
  const slows = state === 'surely_over' && limit.throttlePercent !== null && !limit.observes
  const judged = counted < limit.atLeast ? `, judged by ${limit.atLeast}` : ''
  return {
    id: alertId(`outcome_cost|${limit.id}|${period.start}|${state}`),
    kind: 'outcome_cost',
    account: '' as AccountKey,
    budget: limit.budget ?? 'bud_none',
    value: null,
    unit: 'usd',
    threshold: state,
    actions: [{ kind: 'notify', channel: 'owner', name: null }],
    at: now,
    amount: 0n,
    posted: 0n,
    overage: 0n,
    hold: null,
    periodEnd: period.end,
    details: {
      what: `${limit.name}, ${limit.type}`,
      sentence:
        `One ${limit.type} costs ${formatUsdShort(perOutcome)}, and may cost ` +
        `${formatUsdShort(limit.max)}: ${formatUsdShort(row.cost)} for ${counted}${judged}. ` +
        (slows
          ? `Calls now pass at ${limit.throttlePercent} % of their pace until ${toIso(period.end)}.`
          : 'Nothing is slowed or refused.'),
      'cost of one': formatUsdShort(perOutcome),
      limit: formatUsdShort(limit.max),
      outcomes: `${counted} of at least ${limit.atLeast}`,
      '95 % interval':
        interval === null
          ? 'too little is known'
          : `${formatUsdShort(interval.low)} to ${formatUsdShort(interval.high)}`,
      ...(limit.owner === null ? {} : { owner: limit.owner }),
    },
  }
}
