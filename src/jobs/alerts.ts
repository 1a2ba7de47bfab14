/**
 * The outbox: an alert exists since the transaction that crossed its line; here it gets one
 * notification a channel, and each is tried until it is delivered or given up in the open. One
 * process at a time serves a channel, whichever has its lease; channels do not wait for each other.
 */
import { after, type Instant } from '#core/time.ts'
import { StoreUnavailable } from '#ports/store.ts'
import type { AlertDeps } from './alert-deps.ts'
import { settleClimbs } from './climbs.ts'
import { type LaneDeps, serveChannel } from './lane.ts'
import { routeAlerts } from './routing.ts'
import { forgetThreads } from './threads.ts'

export interface Outbox {
  /** Routes new alerts and starts to send what is due; does not wait until it is sent. */
  round(): Promise<void>
  /** Resolves when nothing is being sent. */
  idle(): Promise<void>
  /** Sends nothing new; resolves when what is under way has ended. */
  stop(): Promise<void>
}

const routingMs = 30_000
const settleEveryMs = 5000
const forgetEveryMs = 3_600_000

export function outbox(deps: AlertDeps): Outbox {
  const { clock, store } = deps
  const self = deps.chance.token(16)
  const lanes = lanesOf({ ...deps, self })
  let settleAt = 0
  let forgetAt = clock.now() + forgetEveryMs
  const alone = async (work: () => Promise<void>): Promise<void> => {
    const now = clock.now()
    if (!(await store.lease('routing', self, now, after(now, routingMs)))) return
    try {
      await work()
    } finally {
      const over = clock.now()
      await store.lease('routing', self, over, over)
    }
  }
  const round = async (): Promise<void> => {
    const now = clock.now()
    if ((await store.unrouted(1)).length > 0) await alone(() => routeAlerts(deps))
    if (now >= settleAt) {
      await alone(() => settleClimbs(deps))
      // However many there are, it takes a fiftieth of the time.
      settleAt = clock.now() + Math.max(settleEveryMs, 50 * (clock.now() - now))
    }
    if (now >= forgetAt) {
      forgetAt = now + forgetEveryMs
      await alone(() => forgetThreads(store, now))
    }
    for (const channel of await store.dueChannels(clock.now())) lanes.start(channel)
  }
  return { round, idle: lanes.idle, stop: lanes.stop }
}

interface Lanes extends Pick<Outbox, 'idle' | 'stop'> {
  /** Unless it is under way, or waits for its time. */
  start(channel: string): void
}

function lanesOf(deps: Omit<LaneDeps, 'stopping'>): Lanes {
  const { clock, observe } = deps
  const stopping = new AbortController()
  const running = new Map<string, Promise<void>>()
  /** Channels that take nothing before then: nobody asks for their leases meanwhile. */
  const notBefore = new Map<string, Instant>()
  const serve = async (channel: string): Promise<void> => {
    try {
      const next = await serveChannel({ ...deps, stopping: stopping.signal }, channel)
      if (next === null) notBefore.delete(channel)
      else notBefore.set(channel, next)
    } catch (error) {
      // What was taken is due again when its time is over.
      if (error instanceof StoreUnavailable) return
      observe({ kind: 'unexpected', where: 'sending alerts', reason: String(error) })
    } finally {
      running.delete(channel)
    }
  }
  const idle = async (): Promise<void> => {
    while (running.size > 0) await Promise.all(running.values())
  }
  return {
    start: (channel) => {
      const isWaiting = clock.now() < (notBefore.get(channel) ?? 0)
      if (running.has(channel) || isWaiting || stopping.signal.aborted) return
      running.set(channel, serve(channel))
    },
    idle,
    stop: () => {
      stopping.abort()
      return idle()
    },
  }
}
