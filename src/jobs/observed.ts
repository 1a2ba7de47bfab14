/** Telemetry may be faster than the ledger: what the gateway has settled since counts no longer. */
import { type Instant, instant } from '#core/time.ts'
import type { ObservationStore } from '#ports/observations.ts'

/** A call of the gateway is settled within this, or its hold has expired. */
const lateMs = 30 * 60_000

export function settleObserved(
  store: Pick<ObservationStore, 'settleObserved'>,
  now: Instant,
): Promise<number> {
  return store.settleObserved(instant(now - lateMs))
}
