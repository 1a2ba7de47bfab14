import type { Snapshot } from '#core/snapshot.ts'
import type { Chance } from '#ports/chance.ts'
import type { Clock } from '#ports/clock.ts'
import type { Notifiers } from '#ports/notifier.ts'
import type { Observe } from '#ports/observer.ts'
import type { AlertStore, ControlStore, LedgerStore } from '#ports/store.ts'

/** What alerts are routed and sent with. */
export interface AlertDeps {
  readonly clock: Clock
  readonly chance: Chance
  readonly observe: Observe
  readonly store: AlertStore &
    Pick<ControlStore, 'record' | 'records' | 'putRecord' | 'overrides'> &
    Pick<LedgerStore, 'account'>
  readonly snapshot: () => Snapshot
  /** Of the config as it is now. */
  readonly notifiers: () => Notifiers
}
