/** Telemetry may be faster than the ledger: what the gateway has settled since counts no longer. */
import { type Instant, instant } from '#core/time.ts'
import type { ObservationStore } from '#ports/observations.ts'

/** A call is settled when its answer ends, and telemetry is sent after that: seldom before. */
const lateMs = 2 * 60_000

export function settleObserved(
  store: Pick<ObservationStore, 'settleObserved'>,
  now: Instant,
): Promise<number> {
  return store.settleObserved(instant(now - lateMs))
}
