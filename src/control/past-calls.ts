/** Past calls of the ledger, however many there are, while others are served. */
import type { Hold } from '#core/journal.ts'
import type { Instant } from '#core/time.ts'
import type { ControlDeps } from './deps.ts'

/** Read on the event loop of an embedded ledger: so many take a few milliseconds. */
const pageSize = 250

/** Holds in the order in which they were made, in pages between which others get their turn. */
export async function* pages(
  { store, clock }: Pick<ControlDeps, 'store' | 'clock'>,
  from: Instant,
  to: Instant,
): AsyncIterable<readonly Hold[]> {
  let after: Hold | null = null
  for (;;) {
    const holds: readonly Hold[] = await store.holdsMade({ from, to, after, limit: pageSize })
    after = holds.at(-1) ?? null
    if (after === null) return
    yield holds
    if (holds.length < pageSize) return
    await clock.sleep(0)
  }
}
