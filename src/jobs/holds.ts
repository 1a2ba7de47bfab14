/** Orphans: holds whose call will not come back. Posted at their maximum, marked presumed. */
import type { Rules } from '#core/journal.ts'
import type { Instant } from '#core/time.ts'
import type { Clock } from '#ports/clock.ts'
import type { Observe } from '#ports/observer.ts'
import type { LedgerStore } from '#ports/store.ts'

export interface ExpiryDeps {
  readonly clock: Clock
  readonly observe: Observe
  readonly store: Pick<LedgerStore, 'run' | 'overdue'>
  readonly rules: () => Rules
}

const batch = 500

/**
 * Ends every hold that was due at `before`. On start of an embedded store that is all of them: the
 * process that made them is gone. Returns how many.
 */
export async function expireHolds(deps: ExpiryDeps, before: Instant): Promise<number> {
  let total = 0
  for (;;) {
    const overdue = await deps.store.overdue(before, batch)
    const now = deps.clock.now()
    await Promise.all(
      overdue.map(({ id }) => deps.store.run({ kind: 'expire', hold: id }, now, deps.rules())),
    )
    total += overdue.length
    if (overdue.length < batch) break
  }
  if (total > 0) deps.observe({ kind: 'holds_expired', count: total })
  return total
}
