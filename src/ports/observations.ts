/** Calls that were only observed: kept beside the ledger, in no account. */
import type { ObservedCall, ObservedRow } from '#core/observed.ts'
import type { SpendQuery } from '#core/spend.ts'
import type { Instant } from '#core/time.ts'

export interface ObservationStore {
  /**
   * Kept once each by id, and counted unless the gateway or another record has told of the same
   * answer. Where the gateway is busy, `settleObserved` finds what it has told of. Resolves when
   * durable; safe to repeat.
   */
  observe(calls: readonly ObservedCall[]): Promise<void>
  /** Of what was seen since: those that the gateway has settled meanwhile count no longer. */
  settleObserved(since: Instant): Promise<number>
  /** Dearest first. */
  observed(query: SpendQuery): Promise<readonly ObservedRow[]>
}
