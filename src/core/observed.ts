/**
 * Calls that did not pass the gateway, as telemetry tells of them: priced by the same book, counted
 * beside the ledger and never in it. They hold nothing and stop nothing; whoever reports them may
 * be wrong, and no budget is charged on hearsay.
 */
import { type Lookup, priced } from './costing.ts'
import type { Nanos } from './money.ts'
import type { Attribution } from './scope.ts'
import { scopeBy, type SpendDimension, type SpendQuery } from './spend.ts'
import { type Instant, instant } from './time.ts'
import { noReport, type Usage } from './usage.ts'

/** Why a call is not counted: it is known already. */
export type ObservedState =
  | 'counted'
  | 'gateway' // it passed the gateway after all: the ledger has it
  | 'double' // another record tells of the same answer

export interface ObservedCall {
  /** The same record has the same id; it is kept once. */
  readonly id: string
  /** The provider's id of the answer or the request, where the record has one. */
  readonly response: string | null
  readonly at: Instant
  readonly endedAt: Instant
  readonly seenAt: Instant
  readonly attribution: Attribution
  readonly tokens: number
  /** Null: the book has no price for it. It is counted and costs nothing, and reports say so. */
  readonly cost: Nanos | null
  /** Dialect, usage, conversation, versions. No text of anybody. */
  readonly facts: Readonly<Record<string, unknown>>
}

/** What reports add up to. */
export interface ObservedRow {
  readonly day: Instant | null
  readonly scope: Readonly<Record<SpendDimension, string | null>>
  readonly calls: bigint
  readonly tokens: bigint
  readonly cost: Nanos
  /** Counted calls without a price. */
  readonly unpriced: bigint
  /** Records that told of calls which were known already. */
  readonly duplicates: bigint
}

interface Observed {
  readonly model: string
  readonly asked: string | null
  readonly usage: Usage
  readonly tier: string
}

/** At the price of the model that answered, else of the one asked for; null: unpriced. */
export function observedCost(
  { model, asked, usage, tier }: Observed,
  lookup: Lookup,
): { readonly cost: Nanos; readonly model: string } | null {
  const row = lookup(model) ?? (asked === null ? null : lookup(asked))
  if (row === null) return null
  const report = { ...noReport, usage, tier }
  const found = priced(report, row, { tier, geo: null }, lookup)
  return found.ok ? { cost: found.value.cost, model: row.model } : null
}

/** A stretch of time in which the gateway may have made a call that was seen elsewhere. */
export interface Window {
  readonly from: Instant
  readonly to: Instant
}

/** Clocks differ, and the gateway's call lies within the caller's. */
const slackMs = 60_000
/** No call is longer; a record that says so does not have a day searched. */
const longestMs = 3_600_000

/** Where to look for calls of the gateway with these ids; those that touch are one. */
export function windowsOf(
  calls: readonly Pick<ObservedCall, 'at' | 'endedAt' | 'response'>[],
): readonly Window[] {
  const all = calls
    .filter(({ response }) => response !== null)
    .map(({ at, endedAt }) => ({
      from: instant(Math.max(0, at - slackMs)),
      to: instant(Math.min(endedAt, at + longestMs) + slackMs),
    }))
    .sort((a, b) => a.from - b.from)
  const merged: Window[] = []
  for (const window of all) {
    const last = merged.at(-1)
    if (last === undefined || window.from > last.to) merged.push(window)
    else if (window.to > last.to) merged[merged.length - 1] = { from: last.from, to: window.to }
  }
  return merged
}

/** Records of one request in the order they came; who tells of an answer first is counted. */
export function statesOf(
  calls: readonly ObservedCall[],
  gateway: ReadonlySet<string>,
): readonly { readonly call: ObservedCall; readonly state: ObservedState }[] {
  const heard = new Set<string>()
  return calls.map((call) => {
    const { response } = call
    const isDouble = response !== null && heard.has(response)
    if (response !== null) heard.add(response)
    if (response !== null && gateway.has(response)) return { call, state: 'gateway' }
    return { call, state: isDouble ? 'double' : 'counted' }
  })
}

/** The groups of a report: as the SQL of the stores has it. */
export function groupObserved(
  kept: Iterable<{ readonly call: ObservedCall; readonly state: ObservedState }>,
  { from, to, daily, by }: SpendQuery,
): readonly ObservedRow[] {
  const groups = new Map<string, ObservedRow>()
  for (const { call, state } of kept) {
    const hour = hourOf(call.at)
    if (hour < from || hour >= to) continue
    const day = daily ? instant(hour - (hour % 86_400_000)) : null
    const scope = scopeBy(by, (dimension) => call.attribution[dimension])
    const name = JSON.stringify([day, Object.values(scope)])
    const sum = groups.get(name) ?? { day, scope, ...nothing }
    const counts = state === 'counted'
    groups.set(name, {
      day,
      scope,
      calls: sum.calls + (counts ? 1n : 0n),
      tokens: sum.tokens + (counts ? BigInt(call.tokens) : 0n),
      cost: (sum.cost + (counts ? (call.cost ?? 0n) : 0n)) as Nanos,
      unpriced: sum.unpriced + (counts && call.cost === null ? 1n : 0n),
      duplicates: sum.duplicates + (counts ? 0n : 1n),
    })
  }
  return sortObserved([...groups.values()])
}

const nothing = { calls: 0n, tokens: 0n, cost: 0n as Nanos, unpriced: 0n, duplicates: 0n }

export const hourOf = (at: Instant): Instant => instant(at - (at % 3_600_000))

/** Rows of a finer report as a coarser one. */
export function regroupObserved(
  rows: readonly ObservedRow[],
  by: readonly SpendDimension[],
): readonly ObservedRow[] {
  const groups = new Map<string, ObservedRow>()
  for (const row of rows) {
    const scope = scopeBy(by, (dimension) => row.scope[dimension])
    const name = JSON.stringify([row.day, Object.values(scope)])
    const sum = groups.get(name) ?? nothing
    groups.set(name, {
      day: row.day,
      scope,
      calls: sum.calls + row.calls,
      tokens: sum.tokens + row.tokens,
      cost: (sum.cost + row.cost) as Nanos,
      unpriced: sum.unpriced + row.unpriced,
      duplicates: sum.duplicates + row.duplicates,
    })
  }
  return sortObserved([...groups.values()])
}

/** Dearest first. */
export function sortObserved(rows: readonly ObservedRow[]): readonly ObservedRow[] {
  const name = ({ day, scope }: ObservedRow): string => JSON.stringify([day, Object.values(scope)])
  return rows.toSorted((a, b) =>
    a.cost === b.cost ? (name(a) < name(b) ? -1 : 1) : a.cost > b.cost ? -1 : 1,
  )
}
