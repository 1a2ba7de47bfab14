/** Keeps the prices that were last in force, and refuses a book that moves far from them. */
import { moves, type PriceSketch, refusal, sketch } from '#core/price-guard.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { dayMs } from '#core/spend.ts'
import { instant } from '#core/time.ts'
import type { Clock } from '#ports/clock.ts'
import type { Store } from '#ports/store.ts'

/** Throws with what moves, unless that is accepted; else the book is the one that is kept. */
export async function guardPrices(
  store: Pick<Store, 'record' | 'putRecord' | 'spend'>,
  clock: Clock,
  snapshot: Snapshot,
  accept: boolean,
): Promise<void> {
  const now = clock.now()
  const next = sketch(snapshot.priceBook, now)
  const before = asSketch((await store.record('prices', 'in-force'))?.value)
  if (before?.version === next.version) return
  const accepted = accept || snapshot.acceptedPrices === next.version
  if (before !== null && !accepted) {
    const from = instant(now - 30 * dayMs)
    const rows = await store.spend({ from, to: now, daily: false, by: ['model'] })
    const found = moves(before, next, new Set(rows.map(({ scope }) => scope.model ?? '')))
    if (found.length > 0) throw new Error(refusal(next.version, found))
  }
  await store.putRecord({ kind: 'prices', id: 'in-force', value: next })
}

function asSketch(value: unknown): PriceSketch | null {
  if (typeof value !== 'object' || value === null) return null
  return 'version' in value && 'models' in value ? (value as PriceSketch) : null
}
