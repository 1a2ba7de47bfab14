/**
 * Endings that the ledger could not take, on this machine's own disk: a process that dies while the
 * database is away has not forgotten what its calls cost.
 */
import type { Ending } from '#core/journal.ts'
import type { HoldId } from '#lib/id.ts'

export interface EndingJournal {
  /** Resolves when it is durable. Rejects where the disk does not take it. */
  keep(ending: Ending): Promise<void>
  /** The ledger has it now. */
  forget(hold: HoldId): void
}
