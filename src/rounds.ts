/** Jobs that repeat for as long as the process lives. */
import type { Instant } from '#core/time.ts'
import { rulesOf } from '#gateway/books.ts'
import { outbox } from '#jobs/alerts.ts'
import { dayBookRound } from '#jobs/day-books.ts'
import { expireHolds } from '#jobs/holds.ts'
import { lookAhead } from '#jobs/outlook.ts'
import { settleObserved } from '#jobs/observed.ts'
import { outcomeJudge } from '#jobs/outcome-limits.ts'
import { remindOfReviews } from '#jobs/reviews.ts'
import { notifiersOf } from '#notify/notifiers.ts'
import type { ConfigHome } from '#ports/config-home.ts'
import type { Observe } from '#ports/observer.ts'
import { type Store, StoreUnavailable } from '#ports/store.ts'
import { systemChance } from '#system/chance.ts'
import { systemClock } from '#system/clock.ts'
import type { ConfigInForce } from './config-in-force.ts'
import type { RecordRing } from './record-ring.ts'

export interface Jobs {
  stop(): Promise<void>
}

const alertsEveryMs = 250
const expiryEveryMs = 5000
const outlookEveryMs = 5 * 60_000
const observedEveryMs = 30_000
const outcomesEveryMs = 5000
const reviewsEveryMs = 60_000

/** What alerts are routed and sent with, by the config as it is at the time. */
export function alertTools(config: ConfigInForce, store: Store, observe: Observe) {
  return {
    clock: systemClock,
    chance: systemChance,
    observe,
    store,
    snapshot: config.snapshot,
    notifiers: () => notifiersOf(config.snapshot(), systemClock),
  }
}

/** Jobs that repeat: each round ends before the next begins, and one that fails is told. */
export function startJobs({
  options,
  config,
  store,
  observe,
  records,
}: {
  readonly options: { readonly home?: ConfigHome | null }
  readonly config: ConfigInForce
  readonly store: Store
  readonly observe: Observe
  readonly records: RecordRing
}): Jobs {
  const stopping = new AbortController()
  const rules = (): ReturnType<typeof rulesOf> => rulesOf(config.snapshot())
  const repeat = async (everyMs: number, work: () => Promise<unknown>): Promise<void> => {
    while (!stopping.signal.aborted) {
      await systemClock.sleep(everyMs, stopping.signal)
      await work().catch((error: unknown) => {
        // While the ledger is away there is nothing to do, and the calls have said so.
        if (error instanceof StoreUnavailable) return
        observe({ kind: 'unexpected', where: 'a job', reason: String(error) })
      })
    }
  }
  const alerts = outbox(alertTools(config, store, observe))
  const expiry = { clock: systemClock, observe, store, rules }
  const outlook = { clock: systemClock, store, snapshot: config.snapshot }
  const running = Promise.all([
    repeat(alertsEveryMs, alerts.round),
    repeat(expiryEveryMs, () => expireHolds(expiry, systemClock.now() as Instant)),
    repeat(outlookEveryMs, () => lookAhead(outlook)),
    repeat(outlookEveryMs, dayBookRound(outlook)),
    repeat(observedEveryMs, () => settleObserved(store, systemClock.now())),
    repeat(outcomesEveryMs, outcomeJudge({ ...outlook, records })),
    repeat(reviewsEveryMs, () => remindOfReviews(outlook)),
    options.home == null ? null : config.watch(options.home, stopping.signal),
  ])
  return {
    stop: async () => {
      stopping.abort()
      await running
      await alerts.stop()
    },
  }
}
