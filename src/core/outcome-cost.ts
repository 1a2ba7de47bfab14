/**
 * What an outcome of a type cost: all that was spent on them, also where nothing came of it,
 * divided by those that hold.
 */
import { allocate } from './allocate.ts'
import { ratioInterval, type Unit } from './interval.ts'
import type { Nanos, Ratio } from './money.ts'
import { isCounted, type OutcomeDefinition, type OutcomeView } from './outcome.ts'
import {
  type Bucket,
  costOfBucket,
  type Loose,
  looseOf,
  type Metered,
  type Tally,
} from './outcome-work.ts'

/** Counted outcomes are millionths: one that three agents worked on is shared by them. */
export const whole = 1_000_000n

export interface Layers {
  /** Tokens, at the provider's price. */
  readonly model: Nanos
  readonly tools: Nanos
  /** Calls that chose a model for another call. */
  readonly classifier: Nanos
  readonly platformFee: Nanos
  /** Minutes of people, at the rate of the definition. */
  readonly human: Nanos
}

export interface CostRow {
  /** The value of the dimension that rows are told apart by; null: none, or all. */
  readonly group: string | null
  /** Counted outcomes, in millionths. */
  readonly counted: bigint
  readonly calls: bigint
  /** What the ledger has, and that with what the layers add to it. */
  readonly metered: Nanos
  readonly presumed: Nanos
  readonly cost: Nanos
  readonly layers: Layers
  /** Null: no outcome holds. */
  readonly perOutcome: Nanos | null
  /** 95 %; null: too little is known. */
  readonly interval: { readonly low: Nanos; readonly high: Nanos } | null
}

/** The same metered cost, by what came of it. */
export interface Fates {
  readonly confirmed: Nanos
  readonly provisional: Nanos
  readonly reversed: Nanos
  /** Of conversations and runs without an outcome yet. */
  readonly open: Nanos
  /** Of calls that are part of neither, so that none can ever be told. */
  readonly unlinked: Nanos
}

export interface OutcomeCounts {
  readonly confirmed: number
  readonly provisional: number
  readonly reversed: number
  readonly repeated: number
}

export interface OutcomeCost {
  readonly total: CostRow
  /** Dearest first; empty where nothing was asked to be told apart. */
  readonly groups: readonly CostRow[]
  readonly counts: OutcomeCounts
  readonly fates: Fates
  /** What the outcomes that hold are worth; null: no value is known of any. */
  readonly value: Nanos | null
}

interface Part extends Metered {
  counted: bigint
  humanMillis: number
  readonly units: Unit[]
}

const noPart = (): Part => ({
  calls: 0n,
  cost: 0n,
  tools: 0n,
  classifier: 0n,
  presumed: 0n,
  counted: 0n,
  humanMillis: 0,
  units: [],
})

/** `fee`: of the metered cost, as a fraction. */
export function outcomeCost(tally: Tally, definition: OutcomeDefinition, fee: Ratio): OutcomeCost {
  const total = noPart()
  const groups = new Map<string | null, Part>()
  for (const bucket of tally.buckets.values()) addBucket(tally, definition, bucket, total, groups)
  addLoose(looseOf(tally), total, groups)
  const views = [...tally.buckets.values()].flatMap((bucket) => bucket.views)
  const all = { fee: feeOf(total.cost, fee), human: humanOf(total.humanMillis, definition) }
  return {
    total: rowOf(null, total, all),
    groups: tally.by === null ? [] : groupRows(groups, all),
    counts: countsOf(views),
    fates: fatesOf(tally),
    value: worthOf(views),
  }
}

function partOf(groups: Map<string | null, Part>, group: string | null): Part {
  const part = groups.get(group) ?? noPart()
  groups.set(group, part)
  return part
}

function addMetered(to: Metered, from: Metered): void {
  to.calls += from.calls
  to.cost += from.cost
  to.tools += from.tools
  to.classifier += from.classifier
  to.presumed += from.presumed
}

function addBucket(
  tally: Tally,
  { credit }: OutcomeDefinition,
  bucket: Bucket,
  total: Part,
  groups: Map<string | null, Part>,
): void {
  const counted = BigInt(bucket.views.filter(isCounted).length) * whole
  const humanMillis = bucket.views.reduce((sum, view) => sum + view.humanMillis, 0)
  const credits = creditsOf(tally, bucket, credit)
  const parts = allocate(
    counted,
    credits.map(([, weight]) => weight),
  )
  const minutes = allocate(
    BigInt(humanMillis),
    credits.map(([, weight]) => weight),
  )
  credits.forEach(([group], i) => {
    const part = partOf(groups, group)
    part.counted += parts[i] ?? 0n
    part.humanMillis += Number(minutes[i] ?? 0n)
    const cost = Number(bucket.touches.get(group)?.cost ?? 0n)
    part.units.push({ cost, count: Number(parts[i] ?? 0n) / Number(whole) })
  })
  for (const [group, touch] of bucket.touches) {
    addMetered(partOf(groups, group), touch)
    addMetered(total, touch)
  }
  total.counted += counted
  total.humanMillis += humanMillis
  total.units.push({
    cost: Number(costOfBucket(bucket)),
    count: Number(counted) / Number(whole),
  })
}

/** Weights by who worked on it; where nobody did in this time, its place alone. */
function creditsOf(
  { by }: Tally,
  { touches, views }: Bucket,
  rule: OutcomeDefinition['credit'],
): readonly (readonly [string | null, bigint])[] {
  const all = [...touches]
  if (all.length === 0) {
    const place = views[0]?.claim.place
    const own = by === 'agent' || by === 'team' || by === 'business_unit' ? place?.[by] : null
    return [[own ?? null, 1n]]
  }
  if (rule === 'equal') return all.map(([group]) => [group, 1n])
  if (rule === 'cost_share') return all.map(([group, { cost }]) => [group, cost])
  const chosen = all.reduce((best, one) =>
    rule === 'last_touch'
      ? one[1].last > best[1].last
        ? one
        : best
      : one[1].first < best[1].first
        ? one
        : best,
  )
  return all.map(([group]) => [group, group === chosen[0] ? 1n : 0n])
}

/** Each conversation, run or lone call is a unit that brought nothing yet. */
function addLoose(loose: readonly Loose[], total: Part, groups: Map<string | null, Part>): void {
  for (const one of loose) {
    const part = partOf(groups, one.group)
    addMetered(part, one)
    addMetered(total, one)
    part.units.push({ cost: Number(one.cost), count: 0 })
    total.units.push({ cost: Number(one.cost), count: 0 })
  }
}

function feeOf(metered: bigint, { numerator, denominator }: Ratio): bigint {
  return (metered * numerator + denominator - 1n) / denominator
}

const humanOf = (millis: number, { humanMinute }: OutcomeDefinition): bigint =>
  (BigInt(millis) * humanMinute + 999n) / 1000n

interface Added {
  readonly fee: bigint
  readonly human: bigint
}

/** What is rounded once for all is cut into parts, so that groups add up to the total. */
function groupRows(groups: ReadonlyMap<string | null, Part>, all: Added): readonly CostRow[] {
  const parts = [...groups]
  if (parts.length === 0) return []
  const fees = allocate(
    all.fee,
    parts.map(([, { cost }]) => cost),
  )
  const humans = allocate(
    all.human,
    parts.map(([, { humanMillis }]) => BigInt(humanMillis)),
  )
  return parts
    .map(([group, part], i) => rowOf(group, part, { fee: fees[i] ?? 0n, human: humans[i] ?? 0n }))
    .sort((a, b) =>
      a.cost === b.cost ? ((a.group ?? '') < (b.group ?? '') ? -1 : 1) : a.cost > b.cost ? -1 : 1,
    )
}

function rowOf(group: string | null, part: Part, { fee, human }: Added): CostRow {
  const { counted, calls, cost: metered, presumed, tools, classifier } = part
  const cost = metered + fee + human
  return {
    group,
    counted,
    calls,
    metered: metered as Nanos,
    presumed: presumed as Nanos,
    cost: cost as Nanos,
    layers: {
      model: (metered - tools - classifier) as Nanos,
      tools: tools as Nanos,
      classifier: classifier as Nanos,
      platformFee: fee as Nanos,
      human: human as Nanos,
    },
    perOutcome: counted === 0n ? null : (((cost * whole + counted / 2n) / counted) as Nanos),
    interval: intervalOf(part, cost),
  }
}

/** Fees and minutes move it as they move the cost. */
function intervalOf({ units, cost: metered }: Part, cost: bigint): CostRow['interval'] {
  const found = ratioInterval(units)
  if (found === null) return null
  const by = Number(cost) / Number(metered)
  const nanosOf = (value: number): Nanos => {
    const scaled = value * by
    return (
      Number.isFinite(scaled) && scaled < 9e18 ? BigInt(Math.round(scaled)) : nearlyAll
    ) as Nanos
  }
  return { low: nanosOf(found.low), high: nanosOf(found.high) }
}

const nearlyAll = 9_000_000_000_000_000_000n

export function countsOf(views: readonly OutcomeView[]): OutcomeCounts {
  const count = (is: (view: OutcomeView) => boolean): number => views.filter(is).length
  return {
    confirmed: count(isCounted),
    provisional: count(({ state, repeats }) => state === 'provisional' && repeats === null),
    reversed: count(({ state }) => state === 'reversed'),
    repeated: count(({ state, repeats }) => state !== 'reversed' && repeats !== null),
  }
}

function fatesOf(tally: Tally): Fates {
  const sums = { confirmed: 0n, provisional: 0n, reversed: 0n, open: 0n, unlinked: 0n }
  for (const bucket of tally.buckets.values()) sums[fateOf(bucket)] += costOfBucket(bucket)
  for (const { kind, cost } of looseOf(tally)) sums[kind] += cost
  return sums as Record<keyof Fates, Nanos>
}

function fateOf({ views }: Bucket): keyof Fates {
  if (views.some(isCounted)) return 'confirmed'
  if (views.some(({ state, repeats }) => state === 'provisional' && repeats === null)) {
    return 'provisional'
  }
  return views.some(({ state }) => state === 'reversed') ? 'reversed' : 'open'
}

function worthOf(views: readonly OutcomeView[]): Nanos | null {
  const known = views.filter(isCounted).flatMap(({ claim }) => claim.value ?? [])
  return known.length === 0 ? null : (known.reduce((sum, one) => sum + one, 0n) as Nanos)
}
