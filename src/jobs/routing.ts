/** New alerts to channels: each alert once, by one process at a time. */
import type { Alert, Notification } from '#core/alert.ts'
import { channelsOf, nobody, type Surroundings } from '#core/alert-route.ts'
import { type Climb, climbedBy, toldOfEnd } from '#core/climbing.ts'
import type { ChannelState } from '#core/delivery.ts'
import { rulesOfSnapshot } from '#core/rules-by-id.ts'
import type { AlertDeps } from './alert-deps.ts'

const batch = 1000
const batchesMax = 20

export async function routeAlerts(deps: AlertDeps): Promise<void> {
  for (let round = 0; round < batchesMax; round += 1) {
    const alerts = await deps.store.unrouted(batch)
    if (alerts.length === 0) return
    const dead = await deadChannels(deps)
    // In the order of their making where they are about one account; else all at once.
    const byAccount = Map.groupBy(alerts, ({ account, id }) => (account === '' ? id : account))
    await Promise.all(
      [...byAccount.values()].map(async (of) => {
        for (const alert of of) await routeOne(deps, alert, dead)
      }),
    )
  }
}

async function deadChannels({ store }: AlertDeps): Promise<readonly string[]> {
  const states = await store.records('channel')
  return states.filter(({ value }) => (value as ChannelState).dead).map(({ id }) => id)
}

async function routeOne(deps: AlertDeps, alert: Alert, dead: readonly string[]): Promise<void> {
  const { store, clock, observe } = deps
  observe({ kind: 'alert', alert })
  const record = alert.account === '' ? null : await store.record('climb', alert.account)
  const climb = record === null ? null : (record.value as Climb)
  const channels = channelsOf(alert, surroundings(deps, alert, climb, dead))
  const rule = rulesOfSnapshot(deps.snapshot()).get(alert.budget) ?? null
  const next = climbedBy(alert, climb, { rule, channels })
  if (next !== null) await store.putRecord({ kind: 'climb', id: next.account, value: next })
  const now = clock.now()
  const { notifiers } = deps
  const notifications = channels.map((channel): Notification => {
    const problem = problemOf(channel, notifiers().of(channel) !== null)
    const state = problem === null ? 'waiting' : 'dead'
    return { alert: alert.id, channel, state, attempts: 0, nextAt: now, lastError: problem }
  })
  await store.route(alert.id, notifications)
  // After that: were it forgotten before, a crash would lose where the end must be told.
  if (alert.kind === 'resumed' && climb !== null && !climb.relieved) {
    await store.putRecord({ kind: 'climb', id: climb.account, value: null })
  }
}

function surroundings(
  { snapshot, notifiers }: AlertDeps,
  { budget, details = {} }: Alert,
  climb: Climb | null,
  dead: readonly string[],
): Surroundings {
  const rule = rulesOfSnapshot(snapshot()).get(budget)
  return {
    configured: notifiers().names,
    dead,
    owner: rule?.owner ?? details.owner ?? null,
    ladder: rule?.ladder ?? [],
    told: climb === null ? [] : toldOfEnd(climb),
  }
}

function problemOf(channel: string, isKnown: boolean): string | null {
  if (isKnown) return null
  return channel === nobody
    ? 'nobody was told: configure notify.slack, teams, email or a webhook'
    : `no sender for channel "${channel}" is configured`
}
