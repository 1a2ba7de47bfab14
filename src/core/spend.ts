/**
 * What reports are read from: sums by hour and by who spent, kept with the ledger and never counted
 * from it. A call counts in the hour in which it was held, whenever it ends or is corrected.
 */
import type { Hold } from './journal.ts'
import type { Nanos } from './money.ts'
import { type Instant, instant } from './time.ts'

/** What spend can be told apart by. Users and tenants have accounts of their own (`per`). */
export const spendDimensions = [
  'business_unit',
  'team',
  'agent',
  'environment',
  'provider',
  'model',
] as const
export type SpendDimension = (typeof spendDimensions)[number]

export interface Spend {
  /** Attempts that were charged for. */
  readonly calls: bigint
  /** Prompt and output tokens. */
  readonly tokens: bigint
  readonly cost: Nanos
  /** The part of the cost that nobody knows, only bounds. */
  readonly presumed: Nanos
}

/** A change of the sums of one hour and scope. */
export interface SpendChange extends Spend {
  readonly hour: Instant
  readonly scope: Readonly<Record<SpendDimension, string | null>>
}

/** One group of a report. Null: not told apart by it, or without a value. */
export interface SpendRow extends Spend {
  readonly day: Instant | null
  readonly scope: Readonly<Record<SpendDimension, string | null>>
}

export interface SpendQuery {
  readonly from: Instant
  readonly to: Instant
  /** Told apart by UTC day too. */
  readonly daily: boolean
  readonly by: readonly SpendDimension[]
}

const hourMs = 3_600_000
export const dayMs = 24 * hourMs

/** The beginning of its day, in UTC. */
export const dayOf = (at: Instant): Instant => instant(at - (at % dayMs))

/** What a hold that changed changes; null: nothing. */
export function spendChange(before: Hold | null, after: Hold): SpendChange | null {
  const was = spendOf(before)
  const is = spendOf(after)
  const change = {
    calls: is.calls - was.calls,
    tokens: is.tokens - was.tokens,
    cost: (is.cost - was.cost) as Nanos,
    presumed: (is.presumed - was.presumed) as Nanos,
  }
  if (isNothing(change)) return null
  const { business_unit, team, agent, environment, provider, model } = after.attribution
  const scope = { business_unit, team, agent, environment, provider, model }
  return { ...change, hour: instant(after.madeAt - (after.madeAt % hourMs)), scope }
}

const isNothing = ({ calls, tokens, cost, presumed }: Spend): boolean =>
  calls === 0n && tokens === 0n && cost === 0n && presumed === 0n

const none: Spend = { calls: 0n, tokens: 0n, cost: 0n as Nanos, presumed: 0n as Nanos }

/** What an ended hold counts for. Pending money is told by accounts; what was voided, by nobody. */
export function spendOf(hold: Hold | null): Spend {
  if (hold === null || hold.state === 'pending' || hold.state === 'voided') return none
  const cost = hold.cost ?? (0n as Nanos)
  const presumed = hold.basis === 'presumed' ? cost : (0n as Nanos)
  return { calls: 1n, tokens: BigInt(hold.tokens), cost, presumed }
}

function addSpend(a: Spend, b: Spend): Spend {
  return {
    calls: a.calls + b.calls,
    tokens: a.tokens + b.tokens,
    cost: (a.cost + b.cost) as Nanos,
    presumed: (a.presumed + b.presumed) as Nanos,
  }
}

/** The same hour and scope have the same name. */
const nameOf = ({ hour, scope }: Pick<SpendChange, 'hour' | 'scope'>): string =>
  JSON.stringify([hour, ...spendDimensions.map((dimension) => scope[dimension])])

/** Changes by their name: a batch of calls mostly has one. */
export type SpendChanges = Map<string, SpendChange>

export function noteSpend(changes: SpendChanges, change: SpendChange): void {
  const name = nameOf(change)
  const known = changes.get(name)
  changes.set(name, known === undefined ? change : { ...known, ...addSpend(known, change) })
}

/** By name, so that all who write them lock them in one order. */
export function inOrder(changes: SpendChanges): readonly SpendChange[] {
  return [...changes].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, change]) => change)
}

/** The groups of a report, dearest first. */
export function groupSpend(changes: Iterable<SpendChange>, query: SpendQuery): readonly SpendRow[] {
  const groups = new Map<string, SpendRow>()
  for (const change of changes) {
    const { hour } = change
    if (hour < query.from || hour >= query.to) continue
    const day = query.daily ? dayOf(hour) : null
    const scope = scopeBy(query.by, (dimension) => change.scope[dimension])
    const name = JSON.stringify([day, Object.values(scope)])
    groups.set(name, { day, scope, ...addSpend(groups.get(name) ?? none, change) })
  }
  return sortSpend([...groups.values()])
}

/** Rows of a finer report as a coarser one. */
export function regroupSpend(
  rows: readonly SpendRow[],
  by: readonly SpendDimension[],
): readonly SpendRow[] {
  const groups = new Map<string, SpendRow>()
  for (const row of rows) {
    const { day } = row
    const scope = scopeBy(by, (dimension) => row.scope[dimension])
    const name = JSON.stringify([day, Object.values(scope)])
    groups.set(name, { day, scope, ...addSpend(groups.get(name) ?? none, row) })
  }
  return sortSpend([...groups.values()])
}

export function sortSpend(rows: readonly SpendRow[]): readonly SpendRow[] {
  const name = ({ day, scope }: SpendRow): string => JSON.stringify([day, Object.values(scope)])
  return rows.toSorted((a, b) =>
    a.cost === b.cost ? (name(a) < name(b) ? -1 : 1) : a.cost > b.cost ? -1 : 1,
  )
}

export function scopeBy(
  by: readonly SpendDimension[],
  value: (dimension: SpendDimension) => string | null,
): SpendRow['scope'] {
  const of = (dimension: SpendDimension): string | null =>
    by.includes(dimension) ? value(dimension) : null
  return {
    business_unit: of('business_unit'),
    team: of('team'),
    agent: of('agent'),
    environment: of('environment'),
    provider: of('provider'),
    model: of('model'),
  }
}
