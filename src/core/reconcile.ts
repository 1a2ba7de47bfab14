/**
 * Metered against billed: quantity first, then rate, then money. Each difference is given a cause
 * by what can be seen in the two; the amounts of all causes are exactly the difference, and what
 * has no cause is said to have none.
 */
import {
  type Beside,
  type Billed,
  type BilledCell,
  type ByKey,
  cellsByKey,
  mergedCells,
} from './billed.ts'
import {
  addDecimals,
  approximately,
  compareDecimals,
  type Decimal,
  decimalZero,
  isZero,
  multiplyDecimals,
  negateDecimal,
  subtractDecimals,
} from './decimal.ts'
import { ownKeysOf } from './own-keys.ts'
import {
  type CellKey,
  cellName,
  type MeteredCell,
  type MeteredCells,
  type ModelName,
} from './metered.ts'

export const causes = [
  /** Traffic that did not pass the gateway: the detail names the key or project. */
  'bypass',
  /** Made before midnight and billed after it: cancels with the day beside it. */
  'midnight',
  /** The same prompt tokens in other classes: cache write or read against plain input. */
  'cache_class',
  /** The same quantity at another rate than the price book's. */
  'price_drift',
  /** The bill's own list price is ours, and less was charged. */
  'discount',
  /** Posted at its bound, because nobody had said what it cost. */
  'presumed',
  /** Tools, storage, sessions and other lines that no call reports. */
  'unmetered',
  'credit',
  'tax',
  'commitment',
  'adjustment',
  /** Metered, and not on the bill yet: its last days; or billed now, and used before. */
  'late',
  /** Less than a bill's lines are rounded by. */
  'rounding',
  'unexplained',
] as const
export type Cause = (typeof causes)[number]

export interface Variance {
  readonly cause: Cause
  readonly provider: string
  /** Of the cell; null: of the provider as a whole. */
  readonly cell: CellKey | null
  /** Billed less metered, USD. */
  readonly amount: Decimal
  /** For people: which key, which rate against which. */
  readonly detail: string
}

export interface Reconciled {
  readonly metered: Decimal
  readonly billed: Decimal
  readonly variances: readonly Variance[]
  /** Keys taken for the gateway's, by provider; where nobody said, as inferred from the sums. */
  readonly ownKeys: ReadonlyMap<string, readonly string[]>
  readonly foreignLines: number
}

export interface ReconcileOptions {
  /** Keys or projects of the providers that the gateway uses; null: find out. */
  readonly ownKeys: ReadonlySet<string> | null
  readonly modelName: ModelName
  /** The last UTC day of the period, 'YYYY-MM-DD'. */
  readonly lastDay: string
}

export function reconcile(
  metered: MeteredCells,
  billed: Billed,
  options: ReconcileOptions,
): Reconciled {
  const providers = new Set([
    ...[...metered.values()].map(({ provider }) => provider),
    ...billed.lines.keys(),
  ])
  const variances: Variance[] = billed.beside.map(besideVariance)
  const ownKeys = new Map<string, readonly string[]>()
  for (const provider of providers) {
    const cells = [...metered.values()].filter((cell) => cell.provider === provider)
    const keys = cellsByKey(billed.lines.get(provider) ?? [], options.modelName)
    const own = ownKeysOf(keys, cells, options.ownKeys)
    ownKeys.set(provider, own)
    variances.push(...bypassed(provider, keys, own))
    const through = mergedCells(own.flatMap((key) => keys.get(key) ?? []))
    variances.push(...compareCells(cells, through, options.lastDay))
  }
  return {
    metered: costOf([...metered.values()]),
    billed: billed.total,
    variances: variances.filter(({ amount }) => !isZero(amount)),
    ownKeys,
    foreignLines: billed.foreign,
  }
}

const costOf = (cells: readonly MeteredCell[]): Decimal => ({
  digits: cells.reduce((sum, { cost }) => sum + cost, 0n),
  places: 9,
})

const besideCause: Readonly<Partial<Record<Beside['kind'], Cause>>> = {
  late: 'late',
  tax: 'tax',
  credit: 'credit',
  refund: 'credit',
  discount: 'discount',
  commitment: 'commitment',
  adjustment: 'adjustment',
}

function besideVariance({ provider, kind, day, name, net }: Beside): Variance {
  const cause = besideCause[kind] ?? 'unmetered'
  return { cause, provider, cell: null, amount: net, detail: `${name}, ${day}` }
}

function bypassed(
  provider: string,
  keys: ReadonlyMap<string, ByKey>,
  own: readonly string[],
): readonly Variance[] {
  return [...keys]
    .filter(([key]) => !own.includes(key))
    .map(([key, { net }]) => ({
      cause: 'bypass' as const,
      provider,
      cell: null,
      amount: net,
      detail: `key or project ${key === '' ? '(not named on the bill)' : key}`,
    }))
}

/** A cell on both sides. Quantities are whole or null: not every bill has them. */
interface Pair {
  readonly key: CellKey
  readonly cost: Decimal
  readonly metered: Decimal
  readonly net: Decimal
  readonly list: Decimal | null
  /** Billed quantity; null: the bill has none. */
  readonly billed: Decimal | null
  readonly lines: number
}

function pairOf(key: CellKey, cell: MeteredCell | null, bill: BilledCell | null): Pair {
  return {
    key,
    cost: { digits: cell?.cost ?? 0n, places: 9 },
    metered: { digits: cell?.quantity ?? 0n, places: 0 },
    net: bill?.net ?? decimalZero,
    list: bill?.list ?? null,
    billed: bill === null ? decimalZero : (bill.quantity ?? bill.reported),
    lines: bill?.lines ?? 0,
  }
}

function compareCells(
  cells: readonly MeteredCell[],
  through: ReadonlyMap<string, BilledCell>,
  lastDay: string,
): readonly Variance[] {
  const byName = new Map(cells.map((cell) => [cellName(cell), cell]))
  const names = new Set([...byName.keys(), ...through.keys()])
  const pairs = [...names].map((name) => {
    const cell = byName.get(name) ?? null
    const bill = through.get(name) ?? null
    return pairOf((cell ?? bill) as CellKey, cell, bill)
  })
  return [...Map.groupBy(pairs, ({ key }) => key.model).values()].flatMap((ofModel) =>
    explainModel(ofModel, lastDay),
  )
}

/** What is still to be explained of a cell: of its quantity, in tokens and in dollars. */
interface Open {
  readonly pair: Pair
  /** Billed less metered. */
  quantity: Decimal
  amount: Decimal
}

function explainModel(pairs: readonly Pair[], lastDay: string): readonly Variance[] {
  const variances: Variance[] = []
  const open: Open[] = []
  for (const pair of pairs) {
    const { rate, quantity, gap } = parts(pair)
    if (!isZero(rate)) variances.push(rateVariance(pair, rate))
    if (!isZero(quantity)) open.push({ pair, quantity: gap, amount: quantity })
  }
  variances.push(...presumptions(open), ...classes(open), ...midnights(open))
  for (const one of open) variances.push(...rest(one, lastDay))
  return variances
}

const placesKept = 15

/**
 * The difference of a cell in two parts that add up to it: what another rate does to what was
 * billed, and what another quantity does at the meter's rate.
 */
function parts({ cost, metered, net, billed }: Pair): {
  readonly rate: Decimal
  readonly quantity: Decimal
  readonly gap: Decimal
} {
  const whole = subtractDecimals(net, cost)
  if (billed === null) return { rate: decimalZero, quantity: whole, gap: decimalZero }
  const gap = subtractDecimals(billed, metered)
  if (isZero(billed) || isZero(metered)) return { rate: decimalZero, quantity: whole, gap }
  if (isZero(gap)) return { rate: whole, quantity: decimalZero, gap }
  const quantity = perUnit(multiplyDecimals(gap, cost), metered)
  // Calls of one cell have several rates (tiers, long prompts): those that are missing need not
  // have had the mean one, and that is no other price.
  const other = size(subtractDecimals(whole, quantity))
  if (other <= size(quantity) / 2) return { rate: decimalZero, quantity: whole, gap }
  return { rate: subtractDecimals(whole, quantity), quantity, gap }
}

/** a / b, cut off after some places: the other part takes what is cut off. */
function perUnit(a: Decimal, b: Decimal): Decimal {
  const scaled = a.digits * 10n ** BigInt(placesKept + b.places)
  return { digits: scaled / (b.digits * 10n ** BigInt(a.places)), places: placesKept }
}

const size = (a: Decimal): number => Math.abs(approximately(a))
/** What a provider rounds a line by, at most, in dollars. */
const roundedBy = 0.000_001

function rateVariance(pair: Pair, amount: Decimal): Variance {
  const { key, cost, net, list, billed, metered, lines } = pair
  const at = (money: Decimal, of: Decimal | null): string =>
    of === null || isZero(of) ? '?' : ((size(money) / size(of)) * 1e6).toPrecision(6)
  const make = (cause: Cause, detail: string): Variance => ({
    cause,
    provider: key.provider,
    cell: key,
    amount,
    detail,
  })
  if (size(amount) <= roundedBy * Math.max(1, lines)) return make('rounding', 'last places')
  const atOurList =
    list !== null && size(subtractDecimals(list, netAtOurs(pair))) <= roundedBy * lines
  if (atOurList && compareDecimals(net, list) < 0) {
    return make('discount', `list $${at(list, billed)} a million, charged $${at(net, billed)}`)
  }
  const rates = `billed at $${at(net, billed)} a million, priced at $${at(cost, metered)}`
  return make('price_drift', `${key.model} ${key.kind}: ${rates}`)
}

const netAtOurs = ({ cost, metered, billed }: Pair): Decimal =>
  billed === null ? cost : perUnit(multiplyDecimals(billed, cost), metered)

/**
 * A call whose usage nobody told stands at its bound, in no class; the bill has what it was, in all
 * of them: more than was metered there, and together less than the bound.
 */
function presumptions(open: Open[]): readonly Variance[] {
  return [...Map.groupBy([...open], ({ pair }) => pair.key.day).values()].flatMap((of) => {
    // What a bill has corrected before stands in no class either.
    const bound = of.filter(({ pair }) => pair.key.kind === 'other' && isZero(pair.net))
    const more = of.filter(({ amount }) => amount.digits > 0n)
    const sum = (some: readonly Open[]): number =>
      some.reduce((all, { amount }) => all + approximately(amount), 0)
    // Without anything more on the bill nobody has said what they cost: not that it was nothing.
    if (bound.length === 0 || more.length === 0 || sum(more) > -sum(bound) + roundedBy) return []
    return [...bound, ...more].map((one) => take(open, one, 'presumed', 'posted at its bound'))
  })
}

const promptKinds = new Set(['input', 'cache_read', 'cache_write'])
const nearly = 1e-9

/** Prompt tokens of a day that only changed their class. */
function classes(open: Open[]): readonly Variance[] {
  const byDay = Map.groupBy(
    open.filter(({ pair }) => promptKinds.has(pair.key.kind)),
    ({ pair }) => pair.key.day,
  )
  return [...byDay.values()].flatMap((of) => {
    const sum = of.reduce((all, { quantity }) => addDecimals(all, quantity), decimalZero)
    const gross = of.reduce((all, { quantity }) => all + size(quantity), 0)
    if (of.length < 2 || gross === 0 || size(sum) > gross * nearly) return []
    return of.map((one) => take(open, one, 'cache_class', 'the same prompt in another class'))
  })
}

/** A gap that the next day has the other way round. */
function midnights(open: Open[]): readonly Variance[] {
  const out: Variance[] = []
  const byKind = Map.groupBy(open, ({ pair }) => pair.key.kind)
  for (const of of byKind.values()) {
    const days = of.toSorted((a, b) => (a.pair.key.day < b.pair.key.day ? -1 : 1))
    for (const [i, one] of days.entries()) {
      const next = days[i + 1]
      if (next === undefined || !areNeighbours(one.pair.key.day, next.pair.key.day)) continue
      const sum = addDecimals(one.quantity, next.quantity)
      if (isZero(one.quantity) || size(sum) >= Math.max(size(one.quantity), size(next.quantity))) {
        continue
      }
      out.push(...move(one, next))
    }
  }
  for (const one of [...open]) if (isZero(one.amount)) drop(open, one)
  return out
}

/** The smaller of the two gaps went over midnight; what is left of the other stays open. */
function move(one: Open, next: Open): readonly Variance[] {
  const share = (from: Open, of: number): Decimal => {
    if (of >= 1) return from.amount
    const digits = BigInt(Math.round(of * 1e12))
    return { digits: (from.amount.digits * digits) / 10n ** 12n, places: from.amount.places }
  }
  const least = Math.min(size(one.quantity), size(next.quantity))
  return [one, next].map((each) => {
    const of = least / size(each.quantity)
    const amount = share(each, of)
    each.amount = subtractDecimals(each.amount, amount)
    each.quantity =
      of >= 1 ? decimalZero : addDecimals(each.quantity, negateDecimal(scaled(each.quantity, of)))
    const { key } = each.pair
    const detail = `moved between ${one.pair.key.day} and ${next.pair.key.day}`
    return { cause: 'midnight' as const, provider: key.provider, cell: key, amount, detail }
  })
}

function scaled({ digits, places }: Decimal, by: number): Decimal {
  return { digits: (digits * BigInt(Math.round(by * 1e12))) / 10n ** 12n, places }
}

const dayMs = 86_400_000
const areNeighbours = (a: string, b: string): boolean => Date.parse(b) - Date.parse(a) === dayMs

function take(open: Open[], one: Open, cause: Cause, detail: string): Variance {
  drop(open, one)
  const { key } = one.pair
  return { cause, provider: key.provider, cell: key, amount: one.amount, detail }
}

function drop(open: Open[], one: Open): void {
  const at = open.indexOf(one)
  if (at >= 0) open.splice(at, 1)
}

/** How many days a provider may be behind at the end of a period. */
const lateDays = 2

function rest({ pair, amount }: Open, lastDay: string): readonly Variance[] {
  const { key, lines, billed } = pair
  const make = (cause: Cause, part: Decimal, detail: string): Variance => ({
    cause,
    provider: key.provider,
    cell: key,
    amount: part,
    detail,
  })
  if (size(amount) <= roundedBy * Math.max(1, lines))
    return [make('rounding', amount, 'last places')]
  if (key.kind === 'tool') return [make('unmetered', amount, `${key.model} ${key.kind}`)]
  if (compareDecimals(amount, decimalZero) > 0) {
    const what = billed === null ? 'the bill has no quantities' : 'more was billed than was metered'
    return [make('unexplained', amount, what)]
  }
  const isLate = Date.parse(lastDay) - Date.parse(key.day) < lateDays * dayMs
  return isLate
    ? [make('late', amount, 'not on the bill yet')]
    : [make('unexplained', amount, 'metered, and not billed')]
}
