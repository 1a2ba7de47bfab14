/**
 * The outbox: an alert exists since the transaction that crossed its line; here it gets one
 * notification a channel, and each is tried until it is delivered or given up in the open.
 */
import type { Alert, Notification } from '#core/alert.ts'
import type { Action } from '#core/budget.ts'
import { after, type Instant } from '#core/time.ts'
import type { Chance } from '#ports/chance.ts'
import type { Clock } from '#ports/clock.ts'
import type { Notifier } from '#ports/notifier.ts'
import type { Observe } from '#ports/observer.ts'
import type { AlertStore } from '#ports/store.ts'

export interface AlertDeps {
  readonly clock: Clock
  readonly chance: Chance
  readonly observe: Observe
  readonly store: AlertStore
  /** By channel: `webhook:ops`. Channels without a sender are kept as rows and told in the log. */
  readonly notifiers: () => ReadonlyMap<string, Notifier>
}

const batch = 100
const attemptsMax = 40
/** The longest that sending a batch may take: then another process may try. */
const sendMs = 5 * 60_000
const waitMsMin = 5000
const waitMsMax = 30 * 60_000

/** One round: routes new alerts, then sends what is due. Returns how many were delivered. */
export async function deliverAlerts(deps: AlertDeps): Promise<number> {
  for (const alert of await deps.store.unrouted(batch)) {
    deps.observe({ kind: 'alert', alert })
    await deps.store.route(alert.id, notificationsOf(alert, deps))
  }
  const now = deps.clock.now()
  let delivered = 0
  for (const due of await deps.store.takeDue(now, batch, after(now, sendMs))) {
    const { of: alert, ...notification } = due
    const sent = await trySend(deps, alert, notification, now)
    if (sent.state === 'delivered') delivered += 1
    await deps.store.saveNotification(sent)
  }
  return delivered
}

/** Every channel the alert is bound for, and every webhook: those want all of them. */
export function channelsOf(alert: Alert, webhooks: Iterable<string>): readonly string[] {
  const named = alert.actions.flatMap((action) => {
    const channel = channelOf(action)
    return channel === null ? [] : [channel]
  })
  return [...new Set([...named, ...webhooks])]
}

function channelOf(action: Action): string | null {
  if (action.kind !== 'notify') return null
  return action.name === null ? action.channel : `${action.channel}:${action.name}`
}

function notificationsOf(alert: Alert, { clock, notifiers }: AlertDeps): readonly Notification[] {
  const senders = notifiers()
  const now = clock.now()
  return channelsOf(alert, senders.keys()).map((channel) => {
    const known = senders.has(channel)
    return {
      alert: alert.id,
      channel,
      state: known ? 'waiting' : 'dead',
      attempts: 0,
      nextAt: now,
      lastError: known ? null : `no sender for channel "${channel}" is configured`,
    }
  })
}

async function trySend(
  deps: AlertDeps,
  alert: Alert,
  notification: Notification,
  now: Instant,
): Promise<Notification> {
  const attempts = notification.attempts + 1
  const sender = deps.notifiers().get(notification.channel)
  const failure =
    sender === undefined
      ? { reason: 'the channel is no longer configured', retryAfterMs: null }
      : await sender.send(alert)
  if (failure === null) return { ...notification, attempts, state: 'delivered', lastError: null }
  const dead = attempts >= attemptsMax
  const { reason } = failure
  deps.observe({
    kind: 'notification_failed',
    alert: alert.id,
    channel: notification.channel,
    reason,
    dead,
  })
  const backoff = Math.min(waitMsMax, waitMsMin * 2 ** Math.min(attempts - 1, 10))
  const waitMs = Math.max(failure.retryAfterMs ?? 0, backoff * (0.75 + deps.chance.fraction() / 2))
  return {
    ...notification,
    attempts,
    lastError: reason,
    state: dead ? 'dead' : 'waiting',
    nextAt: after(now, Math.ceil(waitMs)),
  }
}
