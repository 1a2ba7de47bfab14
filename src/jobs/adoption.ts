/** A new config takes over: its budgets are counted before they are in force, and once after. */
import type { Snapshot } from '#core/snapshot.ts'
import type { Clock } from '#ports/clock.ts'
import { type LedgerStore, StoreUnavailable } from '#ports/store.ts'

const retryMs = 1000

/**
 * `enforce` puts `snapshot` in force. Calls that asked for their hold before that, and got it after
 * the new budgets were counted, are counted behind it, as soon as the ledger can be asked. Rejects
 * with the old config in force.
 */
export async function takeUp(
  store: Pick<LedgerStore, 'adopt' | 'catchUp'>,
  clock: Clock,
  snapshot: Snapshot,
  enforce: () => void,
): Promise<void> {
  const since = clock.now()
  const { counted } = await store.adopt(snapshot.budgets, since)
  enforce()
  while (counted.length > 0) {
    try {
      await store.catchUp(counted, since, clock.now())
      return
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error
      await clock.sleep(retryMs)
    }
  }
}
