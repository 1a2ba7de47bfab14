import { z } from 'zod'
import type { Alert, Notification } from '#core/alert.ts'
import { actionText } from '#core/budget.ts'
import { toIso } from '#core/time.ts'
import { reachesAlert } from './access.ts'
import { declare, everybody, notLeads, type Route } from './route.ts'
import { usd } from './shapes.ts'

const list = z.object({ limit: z.coerce.number().int().min(1).max(1000).default(100) })

/** So many of the newest are looked through for those of a subtree. */
const readForLead = 10_000

export const alertShape = z.object({
  id: z.string(),
  kind: z.string(),
  budget: z.string(),
  value: z.string().nullable(),
  account: z.string(),
  unit: z.string(),
  threshold: z.string(),
  actions: z.array(z.string()),
  at: z.string(),
  limit: z.string(),
  posted: z.string(),
  period_end: z.string(),
  overage_usd: z.string().nullable(),
  details: z.record(z.string(), z.string()).nullable(),
})

export function showAlert(alert: Alert): z.infer<typeof alertShape> {
  const money = alert.unit === 'usd'
  return {
    id: alert.id,
    kind: alert.kind,
    budget: alert.budget,
    value: alert.value,
    account: alert.account,
    unit: alert.unit,
    threshold: alert.threshold,
    actions: alert.actions.map(actionText),
    at: toIso(alert.at),
    limit: money ? usd(alert.amount) : String(alert.amount),
    posted: money ? usd(alert.posted) : String(alert.posted),
    period_end: toIso(alert.periodEnd),
    overage_usd: alert.kind === 'overage' ? usd(alert.overage) : null,
    details: alert.details ?? null,
  }
}

const deliveryShape = z.object({
  alert: z.string(),
  channel: z.string(),
  state: z.string(),
  attempts: z.number(),
  next_at: z.string(),
  last_error: z.string().nullable(),
})

function showDelivery(one: Notification): z.infer<typeof deliveryShape> {
  const { alert, channel, state, attempts, nextAt, lastError } = one
  return { alert, channel, state, attempts, next_at: toIso(nextAt), last_error: lastError }
}

export const alertRoutes: readonly Route[] = [
  declare({
    method: 'get',
    path: '/alerts',
    summary: 'Alerts, newest first',
    allows: everybody,
    query: list,
    answer: z.array(alertShape),
    handle: async ({ deps, actor, query }) => {
      const read = actor.subtree === null ? query.limit : readForLead
      const alerts = await deps.store.alerts(read)
      return alerts
        .filter((alert) => reachesAlert(deps, actor, alert))
        .slice(0, query.limit)
        .map(showAlert)
    },
  }),
  declare({
    method: 'get',
    path: '/deliveries',
    summary: 'Notifications: one a channel and alert',
    allows: notLeads,
    query: list,
    answer: z.array(deliveryShape),
    handle: async ({ deps, query }) =>
      (await deps.store.notifications(query.limit)).map(showDelivery),
  }),
]
