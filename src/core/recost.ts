/**
 * Calls that are over, priced again: what they would have cost by another price book. Nothing is
 * guessed: what is not known to have been metered keeps its cost, and is counted as such.
 */
import type { ChargeContext } from './charge.ts'
import { type Lookup, priced } from './costing.ts'
import type { Hold } from './journal.ts'
import { type Nanos, zero } from './money.ts'
import { meters, noReport, type Usage, type UsageReport } from './usage.ts'

/** Why a call keeps its cost. */
export const keptReasons = [
  'presumed', // nobody knows its usage
  'corrected', // somebody said what it did cost, or a bill did
  'unpriced', // the book has no price for it
  'free',
  'not_metered',
] as const
export type KeptReason = (typeof keptReasons)[number]

export type Recosted =
  | { readonly kind: 'priced'; readonly old: Nanos; readonly now: Nanos; readonly list: Nanos }
  | { readonly kind: 'kept'; readonly why: KeptReason; readonly old: Nanos }
  /** Pending, or never charged. */
  | { readonly kind: 'none' }

/** Prices at the time of a call: as listed, and as agreed with its provider. */
export interface Lookups {
  readonly list: Lookup
  readonly net: Lookup
  readonly free: boolean
}

/** The fact by which a hold is known to have been corrected by other means than this. */
export const correctedFact = 'corrected'

export function recost(hold: Hold, { list, net, free }: Lookups): Recosted {
  const { cost, state, facts } = hold
  if (state === 'pending' || state === 'voided' || cost === null) return { kind: 'none' }
  const kept = (why: KeptReason): Recosted => ({ kind: 'kept', why, old: cost })
  if (hold.basis === 'presumed') return kept('presumed')
  if (facts[correctedFact] !== undefined) return kept('corrected')
  if (free || facts.operation === 'count_tokens') return kept('free')
  const report = reportOf(hold)
  if (report === null) return kept('not_metered')
  const [name, context] = [hold.attribution.model ?? '', contextOf(hold)]
  const [netRow, listRow] = [net(name), list(name)]
  if (netRow === null || listRow === null) return kept('unpriced')
  const now = priced(report, netRow, context, net)
  const full = priced(report, listRow, context, list)
  if (!now.ok || !full.ok) return kept('unpriced')
  return { kind: 'priced', old: cost, now: now.value.cost, list: full.value.cost }
}

function contextOf({ facts }: Hold): ChargeContext {
  return {
    tier: typeof facts.tier === 'string' ? facts.tier : 'standard',
    geo: typeof facts.geo === 'string' ? facts.geo : null,
  }
}

/** The report as far as it was kept; null: its usage was not. */
function reportOf({ facts }: Hold): UsageReport | null {
  const usage = usageOf(facts.usage)
  if (usage === null) return null
  const others = Array.isArray(facts.others) ? (facts.others as UsageReport['others']) : []
  const model = typeof facts.served === 'string' ? facts.served : null
  return { ...noReport, usage, model, others }
}

function usageOf(value: unknown): Usage | null {
  if (typeof value !== 'object' || value === null) return null
  const counts = value as Usage['counts']
  return meters.some((meter) => (counts[meter] ?? 0) > 0) ? { counts, reasoningTokens: 0 } : null
}

/** Of one model: what its calls did cost, and what they do by the other prices. */
export interface Difference {
  calls: number
  changed: number
  old: Nanos
  now: Nanos
  list: Nanos
}

export interface Totals {
  readonly models: Map<string, Difference>
  readonly kept: Map<KeptReason, { calls: number; cost: Nanos }>
}

export const noTotals = (): Totals => ({ models: new Map(), kept: new Map() })

/** Adds one call to the totals. */
export function tally({ models, kept }: Totals, model: string, one: Recosted): void {
  if (one.kind === 'none') return
  if (one.kind === 'kept') {
    const sum = kept.get(one.why) ?? { calls: 0, cost: zero }
    kept.set(one.why, { calls: sum.calls + 1, cost: (sum.cost + one.old) as Nanos })
    return
  }
  const sum = models.get(model) ?? { calls: 0, changed: 0, old: zero, now: zero, list: zero }
  models.set(model, {
    calls: sum.calls + 1,
    changed: sum.changed + (one.old === one.now ? 0 : 1),
    old: (sum.old + one.old) as Nanos,
    now: (sum.now + one.now) as Nanos,
    list: (sum.list + one.list) as Nanos,
  })
}
