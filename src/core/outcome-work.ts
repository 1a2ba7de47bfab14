/**
 * Calls put beside the outcomes that they were made for. Each attempt counts once, with the
 * nearest outcomes that claim it: those of its call, else of its run, its conversation, its agent's
 * tenant. What nobody claims is kept as well: it was paid all the same.
 */
import { allocate } from './allocate.ts'
import type { Nanos } from './money.ts'
import { isCounted, type OutcomeDefinition, type OutcomeLink, type OutcomeView } from './outcome.ts'
import { type Dimension, matches, type Selector } from './scope.ts'
import type { Instant } from './time.ts'
import type { WorkRow } from './work.ts'

/** Metered cost, of which tools, classifiers and what is only presumed are parts. */
export interface Metered {
  calls: bigint
  cost: bigint
  tools: bigint
  classifier: bigint
  presumed: bigint
}

/** What one value of the dimension asked for had to do with the outcomes of a scope. */
export interface Touch extends Metered {
  first: Instant
  last: Instant
}

export interface Bucket {
  readonly views: OutcomeView[]
  readonly touches: Map<string | null, Touch>
}

/** Work that no outcome claims. */
export interface Loose extends Metered {
  /** A conversation or run may still bring one; a call of neither never can. */
  readonly kind: 'open' | 'unlinked'
  readonly unit: string
  readonly group: string | null
  readonly agent: string | null
}

/** Filled row by row, so that the rows themselves need not be kept. */
export interface Tally {
  readonly by: Dimension | null
  readonly match: Selector
  readonly buckets: Map<string, Bucket>
  readonly loose: Map<string, Loose>
  /** Agents with work that an outcome claims. */
  readonly workers: Set<string | null>
}

const nothing = { calls: 0n, cost: 0n, tools: 0n, classifier: 0n, presumed: 0n }

/** `views`: the outcomes whose cost is asked for. */
export function newTally(
  views: readonly OutcomeView[],
  { match }: Pick<OutcomeDefinition, 'match'>,
  by: Dimension | null,
): Tally {
  const buckets = new Map<string, Bucket>()
  const workers = new Set<string | null>()
  for (const view of views) {
    const key = keyOf(view.claim.link)
    const bucket = buckets.get(key)
    if (bucket === undefined) buckets.set(key, { views: [view], touches: new Map() })
    else bucket.views.push(view)
    if (view.claim.place.agent !== null) workers.add(view.claim.place.agent)
  }
  return { by, match, buckets, loose: new Map(), workers }
}

const name = (...parts: readonly (string | null)[]): string => JSON.stringify(parts)

function keyOf({ scope, call, run, conversation, agent, tenant }: OutcomeLink): string {
  switch (scope) {
    case 'call':
      return name('call', call)
    case 'run':
      return name('run', run, tenant)
    case 'conversation':
      return name('conversation', conversation, tenant)
    case 'tenant':
      return name('tenant', agent, tenant)
  }
}

export function addWork(tally: Tally, row: WorkRow): void {
  const { agent } = row.attribution
  const group = tally.by === null ? null : row.attribution[tally.by]
  const bucket = bucketFor(tally, row)
  if (bucket !== null) {
    tally.workers.add(agent)
    const touch = bucket.touches.get(group) ?? { ...nothing, first: row.madeAt, last: row.madeAt }
    bucket.touches.set(group, touch)
    touch.last = row.madeAt
    return addRow(touch, row)
  }
  if (!matches(tally.match, row.attribution)) return
  const part = row.run ?? row.conversation
  const unit = part ?? row.call
  const key = name(agent, group, unit)
  const kind = part === null ? 'unlinked' : 'open'
  const loose = tally.loose.get(key) ?? { ...nothing, kind, unit, group, agent }
  tally.loose.set(key, loose)
  addRow(loose, row)
}

/** Names of one tenant are not those of another; who names no tenant means all. */
function bucketFor({ buckets }: Tally, row: WorkRow): Bucket | null {
  const { agent, tenant } = row.attribution
  const { call, run, conversation } = row
  const keys = [
    name('call', call),
    ...(run === null ? [] : [name('run', run, tenant), name('run', run, null)]),
    ...(conversation === null
      ? []
      : [name('conversation', conversation, tenant), name('conversation', conversation, null)]),
    name('tenant', agent, tenant),
  ]
  for (const key of keys) {
    const bucket = buckets.get(key)
    if (bucket !== undefined) return bucket
  }
  return null
}

function addRow(to: Metered, { cost, tools, presumed, purpose }: WorkRow): void {
  to.calls += 1n
  to.cost += cost
  if (purpose === 'classifier') to.classifier += cost
  else to.tools += tools
  if (presumed) to.presumed += cost
}

/** Work that belongs to the type: what is selected, else that of agents that have outcomes. */
export function looseOf({ loose, match, workers }: Tally): readonly Loose[] {
  const all = [...loose.values()]
  const selected = Object.keys(match).length > 0
  return selected ? all : all.filter(({ agent }) => workers.has(agent))
}

export function costOfBucket({ touches }: Bucket): bigint {
  return [...touches.values()].reduce((sum, { cost }) => sum + cost, 0n)
}

/** Whose cost a scope's is: of those that count, where there are any. */
function owners({ views }: Bucket): readonly OutcomeView[] {
  const counted = views.filter(isCounted)
  return counted.length > 0 ? counted : views
}

export interface OutcomeShare {
  readonly outcome: string
  readonly cost: Nanos
}

/**
 * The metered cost of each outcome, and of what none claims: together exactly what was counted.
 * Outcomes of one scope share its cost evenly.
 */
export function sharesOf(tally: Tally): {
  readonly outcomes: readonly OutcomeShare[]
  readonly open: Nanos
  readonly unlinked: Nanos
} {
  const outcomes = [...tally.buckets.values()].flatMap((bucket) => {
    const own = owners(bucket)
    const parts = allocate(
      costOfBucket(bucket),
      own.map(() => 1n),
    )
    return own.map(({ claim }, i) => ({ outcome: claim.id, cost: (parts[i] ?? 0n) as Nanos }))
  })
  const sum = (kind: Loose['kind']): Nanos =>
    looseOf(tally).reduce((all, one) => (one.kind === kind ? all + one.cost : all), 0n) as Nanos
  return { outcomes, open: sum('open'), unlinked: sum('unlinked') }
}
