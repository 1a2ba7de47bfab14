/** What `bursar unit-cost` answers, and its form in JSON and in tables. */
import type { LineKind } from './bill-line.ts'
import { type Decimal, divideDecimal, formatDecimal } from './decimal.ts'
import type { Comparison, UnitCost } from './unit-cost.ts'

/** What is asked, apart from where vendors' prices stand. */
export interface UnitCostQuestion {
  readonly bills: readonly string[]
  readonly outcomes: readonly string[]
  readonly by: readonly string[]
  /** `their=ours`, for columns. */
  readonly map: readonly string[]
  /** `theirs=ours`, for values of the asked columns. */
  readonly same: readonly string[]
  /** `CAD=0.73`: dollars for one of a currency. */
  readonly rates: readonly string[]
  readonly confirmed: readonly string[]
  readonly types: readonly string[]
  /** UTC days, inclusive; else those of the bill. */
  readonly from: string | undefined
  readonly to: string | undefined
  readonly all: boolean
  readonly engine: 'auto' | 'rows' | 'sql'
  /** Where mappings of columns are kept. */
  readonly mappings: string
  readonly progress: (done: number, of: number) => void
}

/** Something that is in the files and not in the number, with its size. */
export interface NotCounted {
  readonly what: string
  readonly count: number
  /** Null where it has no amount, as outcomes have none. */
  readonly amount: Decimal | null
  readonly currency: string | null
}

export interface UnitCostAnswer {
  readonly files: readonly {
    readonly path: string
    readonly format: string
    readonly rows: number
    readonly has_money: boolean
  }[]
  /** UTC days, first and last: of the bill's lines, which is what outcomes are counted in. */
  readonly from: string
  readonly to: string
  readonly by: readonly string[]
  readonly total: UnitCost
  readonly groups: readonly UnitCost[]
  /** The total by what it was paid for. */
  readonly kinds: readonly (readonly [LineKind, Decimal])[]
  readonly comparisons: readonly Comparison[]
  readonly notCounted: readonly NotCounted[]
  /** Groups of costs without outcomes, and of outcomes without costs. */
  readonly unmatched: readonly UnitCost[]
  /** What may make the number wrong: the command ends with code 3. */
  readonly findings: readonly string[]
  readonly notes: readonly string[]
}

const orNull = (amount: Decimal | null): string | null =>
  amount === null ? null : formatDecimal(amount)

function rowOf(by: readonly string[], row: UnitCost) {
  const values = Object.fromEntries(by.map((name, i) => [name, row.values[i] ?? null]))
  return {
    ...values,
    cost_usd: formatDecimal(row.cost),
    tokens: formatDecimal(row.tokens),
    outcomes: row.outcomes,
    each_usd: orNull(row.each),
    low_usd: orNull(row.low),
    high_usd: orNull(row.high),
  }
}

/** Amounts as decimal strings: costs to their last digit, per outcome to six places. */
export function answerJson(answer: UnitCostAnswer) {
  const { files, from, to, by, total, groups, kinds, comparisons, findings, notes } = answer
  return {
    files,
    from,
    to,
    ...rowOf([], total),
    interval: 'exact Poisson interval of the count, 95 %',
    kinds: Object.fromEntries(kinds.map(([kind, cost]) => [kind, formatDecimal(cost)])),
    by,
    groups: groups.map((row) => rowOf(by, row)),
    compare: comparisons.map((one) => ({
      vendor: one.vendor,
      outcome: one.outcome,
      price_usd: formatDecimal(one.usd),
      total_usd: formatDecimal(one.total),
      own_percent: one.perMille === null ? null : (one.perMille / 10).toFixed(1),
      verdict: one.verdict,
      checked: one.checked,
      source: one.source,
    })),
    unmatched: answer.unmatched.map((row) => rowOf(by, row)),
    not_counted: answer.notCounted.map(({ what, count, amount, currency }) => ({
      what,
      count,
      amount: orNull(amount),
      currency,
    })),
    findings,
    notes,
  }
}

/** For people: cents, or as many places as a small amount takes; grouped in thousands. */
export function shortUsd(amount: Decimal | null, outcomes = Number.POSITIVE_INFINITY): string {
  if (amount === null) return ''
  const size = Math.abs(Number(formatDecimal(amount)))
  // What few outcomes tell, four places would only pretend to know.
  const isCoarse = size === 0 || size >= (outcomes < 30 ? 0.1 : 1)
  const places = isCoarse ? 2 : size >= 0.01 ? 4 : 6
  const text = formatDecimal(divideDecimal(amount, 1n, places))
  const [whole = '', fraction = ''] = text.split('.')
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',')
  const sign = grouped.startsWith('-') ? '-' : ''
  return `${sign}$${grouped.slice(sign.length)}.${fraction.padEnd(2, '0')}`
}

/** Rows of the table that is saved: the groups, then the whole. Numbers are plain decimals. */
export function answerRows(answer: UnitCostAnswer): {
  readonly header: readonly string[]
  readonly rows: readonly (readonly (string | null)[])[]
} {
  const { by, groups, total } = answer
  const header = [...by, 'cost_usd', 'tokens', 'outcomes', 'each_usd', 'low_usd', 'high_usd']
  const numbers = (row: UnitCost): readonly (string | null)[] => [
    formatDecimal(row.cost),
    formatDecimal(row.tokens),
    String(row.outcomes),
    orNull(row.each),
    orNull(row.low),
    orNull(row.high),
  ]
  const rows = by.length === 0 ? [] : groups.map((row) => [...row.values, ...numbers(row)])
  const whole = by.map((_, i) => (i === 0 ? 'total' : null))
  return { header, rows: [...rows, [...whole, ...numbers(total)]] }
}
