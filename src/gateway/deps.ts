/** What the gateway is given. Ports and plain functions only: simulations bring their own. */
import type { Freeze } from '#core/freeze.ts'
import type { VirtualKey } from '#core/key.ts'
import type { OutcomePace } from '#core/outcome-limit.ts'
import type { Snapshot } from '#core/snapshot.ts'
import type { Chance } from '#ports/chance.ts'
import type { Clock } from '#ports/clock.ts'
import type { EndingJournal } from '#ports/ending-journal.ts'
import type { Observe } from '#ports/observer.ts'
import type { ObservationStore } from '#ports/observations.ts'
import type { AlertStore, ControlStore, LedgerStore } from '#ports/store.ts'
import type { Timeouts, Upstream } from '#ports/upstream.ts'
import type { IntakeLimits } from './intake.ts'

export interface GatewayDeps {
  readonly clock: Clock
  readonly chance: Chance
  readonly observe: Observe
  readonly upstream: Upstream
  readonly store: Pick<LedgerStore, 'run' | 'mark'> &
    Pick<AlertStore, 'raise'> &
    Pick<ControlStore, 'change' | 'outcomeEvent'> &
    Pick<ObservationStore, 'observe'>
  readonly endings: EndingJournal
  readonly balances: Pick<LedgerStore, 'account'> & Pick<ControlStore, 'overrides'>
  /** Kill switches, on or over. */
  readonly freezes: () => Iterable<Freeze>
  /** Calls slowed for what their outcomes cost. */
  readonly paces: () => Iterable<OutcomePace>
  /** The config in force. A call asks once and keeps the answer. */
  readonly snapshot: () => Snapshot
  /** The key with this secret, or null. Constant work for a wrong one. */
  readonly findKey: (secret: string) => VirtualKey | null
  readonly limits: GatewayLimits
}

export interface GatewayLimits extends IntakeLimits {
  readonly bodyBytesMax: number
  /** Answers that are not streamed are read whole before they are passed on. */
  readonly answerBytesMax: number
  readonly timeouts: Timeouts
  /** How long a hold may stay pending: longer than `timeouts.totalMs`, so it outlives its call. */
  readonly holdMs: number
  /** Calls whose caller hung up, still read for their usage: how many, and how long. */
  readonly drainsMax: number
  readonly drainMs: number
  /** A caller that takes none of its answer for so long is taken for one that hung up. */
  readonly stalledMs: number
  /** Calls waiting for room or pace. */
  readonly waitersMax: number
  /** Tries in all, over providers and their retries. */
  readonly attemptsMax: number
  /** The ledger must answer within this, else 503. */
  readonly commitMs: number
}

export const usualLimits: GatewayLimits = {
  bodyBytesMax: 10 * 1024 * 1024,
  answerBytesMax: 32 * 1024 * 1024,
  timeouts: { firstByteMs: 300_000, idleMs: 120_000, totalMs: 20 * 60_000 },
  holdMs: 21 * 60_000 + 60_000,
  drainsMax: 256,
  drainMs: 60_000,
  stalledMs: 60_000,
  callsMax: 10_000,
  callsPerKeyMax: 5000,
  bodiesBytesMax: 512 * 1024 * 1024,
  bodiesBytesPerKeyMax: 256 * 1024 * 1024,
  bodiesBytesStrangersMax: 32 * 1024 * 1024,
  turnMs: 3,
  backlogMax: 256,
  queueMs: 250,
  waitMs: 1000,
  queueMax: 5000,
  waitersMax: 1000,
  attemptsMax: 3,
  commitMs: 2000,
}
