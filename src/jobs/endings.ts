/** Endings kept while the ledger was away: it hears of them before it presumes anything. */
import type { Ending, Rules } from '#core/journal.ts'
import type { Clock } from '#ports/clock.ts'
import type { EndingJournal } from '#ports/ending-journal.ts'
import type { Observe } from '#ports/observer.ts'
import type { LedgerStore } from '#ports/store.ts'

export interface EndingDeps {
  readonly clock: Clock
  readonly observe: Observe
  readonly store: Pick<LedgerStore, 'run'>
  readonly endings: EndingJournal
  readonly rules: Rules
}

/** Telling one twice changes nothing, so what another process is still trying may be told too. */
export async function tellEndings(deps: EndingDeps, left: readonly Ending[]): Promise<void> {
  const { clock, observe, store, endings, rules } = deps
  for (const ending of left) {
    const { result } = await store.run(ending, clock.now(), rules)
    // What cost nothing may be of a hold that never was; what cost money is of one elsewhere.
    if (result.status !== 'hold_not_found' || ending.kind === 'void') endings.forget(ending.hold)
    else {
      const reason = `${ending.hold} is not in this ledger: is it the right one? Its cost is kept`
      observe({ kind: 'unexpected', where: 'the journal of endings', reason })
    }
  }
}
