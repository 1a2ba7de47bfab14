/**
 * Cost per outcome: a bill divided by what it achieved.
 *
 * - The cost is all of it: failed attempts, open conversations, tools, tax and credits are in it,
 *   and what no outcome can be found for is a group of its own, named with its amount.
 * - Every sum is exact: the groups' costs add up to the bill to its last digit.
 * - The interval is for the count alone. The bill is known; how many cases were resolved this month
 *   is chance. The count is taken as Poisson and its exact 95 % interval (Garwood 1936) is turned
 *   over: cost / upper .. cost / lower. It needs no days to resample, so it holds for a group with
 *   three outcomes as for one with thousands, is the same at every run, and is never too narrow for
 *   independent outcomes. It does not cover outcomes that come in bursts, nor a wrong attribution.
 */
import { type BillLine, type LineKind, partOf } from './bill-line.ts'
import {
  addDecimals,
  approximately,
  compareDecimals,
  type Decimal,
  decimalZero,
  divideDecimal,
  isZero,
} from './decimal.ts'

/** Bounds of the mean of a Poisson count. */
export interface Interval {
  readonly low: number
  readonly high: number
}

/** The exact 95 % interval of a Poisson mean of which `count` was seen. */
export function poissonInterval(count: number, confidence = 0.95): Interval {
  const tail = (1 - confidence) / 2
  // P(X >= count | low) = tail, and P(X <= count | high) = tail.
  const low = count === 0 ? 0 : solve((mean) => gammaP(count, mean) - tail, count)
  const high = solve((mean) => gammaP(count + 1, mean) - (1 - tail), count + 1)
  return { low, high }
}

/** The root of a rising function, near `about`. */
function solve(f: (x: number) => number, about: number): number {
  const reach = 10 * Math.sqrt(about) + 10
  let low = Math.max(0, about - reach)
  let high = about + reach
  for (let i = 0; i < 200 && high - low > 1e-12 * high; i += 1) {
    const middle = (low + high) / 2
    if (f(middle) < 0) low = middle
    else high = middle
  }
  return (low + high) / 2
}

/** P(a, x), the lower regularized incomplete gamma function: by series or continued fraction. */
function gammaP(a: number, x: number): number {
  if (x <= 0) return 0
  const scale = Math.exp(a * Math.log(x) - x - logGamma(a))
  return x < a + 1 ? scale * series(a, x) : 1 - scale * fraction(a, x)
}

/** Terms that suffice for any count a month can have: they grow with its square root. */
const terms = (a: number): number => 200 + 40 * Math.ceil(Math.sqrt(a))

function series(a: number, x: number): number {
  let term = 1 / a
  let sum = term
  for (let n = 1; n < terms(a); n += 1) {
    term *= x / (a + n)
    sum += term
    if (term < sum * 1e-16) break
  }
  return sum
}

/** Lentz's method. */
function fraction(a: number, x: number): number {
  const tiny = 1e-300
  let b = x + 1 - a
  let c = 1 / tiny
  let d = 1 / b
  let value = d
  for (let n = 1; n < terms(a); n += 1) {
    const an = -n * (n - a)
    b += 2
    const nextD = an * d + b
    d = 1 / (Math.abs(nextD) < tiny ? tiny : nextD)
    const nextC = b + an / c
    c = Math.abs(nextC) < tiny ? tiny : nextC
    value *= d * c
    if (Math.abs(d * c - 1) < 1e-15) break
  }
  return value
}

/** Stirling's series, after a few steps up for small arguments. */
function logGamma(x: number): number {
  if (x < 15) return logGamma(x + 1) - Math.log(x)
  const inverse = 1 / x
  const square = inverse * inverse
  const rest = inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680)))
  return (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + rest
}

/** Costs and outcomes by the values of the asked columns; what is added is never lost. */
export interface Tally {
  readonly by: readonly string[]
  /** Values of columns, as `keyOf` joins them → the sums. */
  readonly groups: Map<string, Group>
  readonly kinds: Map<LineKind, Decimal>
  readonly fold: (value: string) => string
}

export interface Group {
  /** As they were first written; null where a line does not say. */
  readonly values: readonly (string | null)[]
  cost: Decimal
  tokens: Decimal
  lines: number
  outcomes: number
}

/**
 * `sameAs` maps what one side calls a thing to what the other does. Without it, "Support Bot",
 * "support-bot" and "support_bot" are one already.
 */
export function newTally(by: readonly string[], sameAs: ReadonlyMap<string, string>): Tally {
  const plain = (value: string): string => value.toLowerCase().replace(/[\s_-]+/g, '-')
  const renamed = new Map([...sameAs].map(([their, our]) => [plain(their), plain(our)]))
  const fold = (value: string): string => renamed.get(plain(value)) ?? plain(value)
  return { by, groups: new Map(), kinds: new Map(), fold }
}

function groupOf(tally: Tally, values: readonly (string | null)[]): Group {
  const key = JSON.stringify(values.map((one) => (one === null ? null : tally.fold(one))))
  const found = tally.groups.get(key)
  if (found !== undefined) return found
  const made = { values, cost: decimalZero, tokens: decimalZero, lines: 0, outcomes: 0 }
  tally.groups.set(key, made)
  return made
}

/** Adds a line's cost, with `rate` dollars for one of its currency. */
export function addLine(tally: Tally, line: BillLine, cost: Decimal): void {
  const group = groupOf(
    tally,
    tally.by.map((name) => partOf(line, name)),
  )
  group.cost = addDecimals(group.cost, cost)
  group.lines += line.rows
  if (line.quantity !== null && line.unit === 'tokens') {
    group.tokens = addDecimals(group.tokens, line.quantity)
  }
  tally.kinds.set(line.kind, addDecimals(tally.kinds.get(line.kind) ?? decimalZero, cost))
}

export function addOutcome(tally: Tally, values: Readonly<Record<string, string>>): void {
  const group = groupOf(
    tally,
    tally.by.map((name) => values[name] || null),
  )
  group.outcomes += 1
}

/** One line of the answer. Amounts are dollars; null where there is nothing to divide by. */
export interface UnitCost {
  readonly values: readonly (string | null)[]
  readonly cost: Decimal
  readonly tokens: Decimal
  readonly outcomes: number
  readonly each: Decimal | null
  /** 95 %; the upper end is null where there were no outcomes, for then there is none. */
  readonly low: Decimal | null
  readonly high: Decimal | null
}

/** Places of an amount per outcome: shown, never added up. */
const places = 6

export function unitCost(
  values: readonly (string | null)[],
  of: Pick<Group, 'cost' | 'tokens' | 'outcomes'>,
): UnitCost {
  const { cost, tokens, outcomes } = of
  const { low, high } = poissonInterval(outcomes)
  const per = (mean: number): Decimal | null =>
    mean <= 0 ? null : fromNumber(approximately(cost) / mean)
  const bounds = [per(high), per(low)] as const
  // A credit larger than the cost turns the interval over.
  const [from, to] = cost.digits < 0n ? [bounds[1], bounds[0]] : bounds
  const each = outcomes === 0 ? null : divideDecimal(cost, BigInt(outcomes), places)
  return { values, cost, tokens, outcomes, each, low: from, high: to }
}

const fromNumber = (value: number): Decimal => ({
  digits: BigInt(Math.round(value * 10 ** places)),
  places,
})

/** The whole, which the groups add up to. */
export function totalOf(tally: Tally): UnitCost {
  let [cost, tokens, outcomes] = [decimalZero, decimalZero, 0]
  for (const group of tally.groups.values()) {
    cost = addDecimals(cost, group.cost)
    tokens = addDecimals(tokens, group.tokens)
    outcomes += group.outcomes
  }
  return unitCost([], { cost, tokens, outcomes })
}

/** Dearest first; days in their order. */
export function groupsOf(tally: Tally): readonly UnitCost[] {
  const rows = [...tally.groups.values()].map((group) => unitCost(group.values, group))
  const byTime = tally.by[0] === 'day' || tally.by[0] === 'month'
  const order = (a: UnitCost, b: UnitCost): number =>
    byTime
      ? textOrder(a.values[0] ?? '', b.values[0] ?? '') || compareDecimals(b.cost, a.cost)
      : compareDecimals(b.cost, a.cost) || textOrder(a.values.join(), b.values.join())
  return rows.sort(order)
}

const textOrder = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Costs without outcomes, and outcomes without costs, when groups were asked for. */
export function unmatched(rows: readonly UnitCost[]): {
  readonly costs: readonly UnitCost[]
  readonly outcomes: readonly UnitCost[]
} {
  return {
    costs: rows.filter((row) => row.outcomes === 0 && !isZero(row.cost)),
    outcomes: rows.filter((row) => row.outcomes > 0 && isZero(row.cost)),
  }
}

/** What a vendor charges for one outcome, at list price. */
export interface VendorPrice {
  readonly vendor: string
  readonly outcome: string
  readonly usd: Decimal
  /** When the price was read, 'YYYY-MM-DD', and where. */
  readonly checked: string
  readonly source: string
}

export interface Comparison extends VendorPrice {
  /** What as many outcomes would have cost there. */
  readonly total: Decimal
  /** Ours as a share of theirs, in tenths of a percent; null without outcomes. */
  readonly perMille: number | null
  /** Whether the interval lies on one side of the vendor's price: else it cannot be said. */
  readonly verdict: 'cheaper' | 'dearer' | 'open'
}

export function compare(own: UnitCost, vendors: readonly VendorPrice[]): readonly Comparison[] {
  return vendors.map((vendor) => {
    const { low, high } = own
    const verdict =
      high !== null && compareDecimals(high, vendor.usd) < 0
        ? 'cheaper'
        : low !== null && compareDecimals(low, vendor.usd) > 0
          ? 'dearer'
          : 'open'
    const total = { ...vendor.usd, digits: vendor.usd.digits * BigInt(own.outcomes) }
    const perMille =
      own.each === null
        ? null
        : Math.round((1000 * approximately(own.each)) / approximately(vendor.usd))
    return { ...vendor, total, perMille, verdict }
  })
}
