/** Observed calls as an actor may see them, alone and beside what was spent. */
import { type ObservedRow, regroupObserved } from '#core/observed.ts'
import type { SpendQuery, SpendRow } from '#core/spend.ts'
import { zero } from '#core/money.ts'
import { groupsSeen } from './access.ts'
import type { Actor, ControlDeps } from './deps.ts'

/** What was only observed, as an actor may see it. */
export function observedSeen(
  { store }: ControlDeps,
  actor: Actor,
  query: SpendQuery,
): Promise<readonly ObservedRow[]> {
  return groupsSeen(actor, query, (asked) => store.observed(asked), regroupObserved)
}

/** A group of both reports; observed is null where nothing was. */
export interface Beside {
  readonly spend: SpendRow
  readonly observed: ObservedRow | null
}

/** In the order of what was spent; groups that were only observed come last. */
export function besideSpend(
  spent: readonly SpendRow[],
  observed: readonly ObservedRow[],
): readonly Beside[] {
  const nameOf = ({ day, scope }: Pick<SpendRow, 'day' | 'scope'>): string =>
    JSON.stringify([day, Object.values(scope)])
  const left = new Map(observed.map((row) => [nameOf(row), row]))
  const both = spent.map((spend): Beside => {
    const name = nameOf(spend)
    const row = left.get(name) ?? null
    left.delete(name)
    return { spend, observed: row }
  })
  const only = [...left.values()].map((row): Beside => {
    const { day, scope } = row
    return { spend: { day, scope, ...nothing }, observed: row }
  })
  return [...both, ...only]
}

const nothing = { calls: 0n, tokens: 0n, cost: zero, presumed: zero }
