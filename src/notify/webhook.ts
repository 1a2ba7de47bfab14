/** A generic signed webhook: Standard Webhooks, so that any library can verify it. */
import { createHmac } from 'node:crypto'
import type { Alert } from '#core/alert.ts'
import { formatPercent, formatUsd, type Nanos } from '#core/money.ts'
import type { Message } from '#core/message.ts'
import type { WebhookTarget } from '#core/snapshot.ts'
import { toIso } from '#core/time.ts'
import { secret as wrapped } from '#lib/secret.ts'
import type { Clock } from '#ports/clock.ts'
import type { Notifier, Sending } from '#ports/notifier.ts'
import { failureOf, isAnswer, post } from './http.ts'

export function webhookNotifier(target: WebhookTarget, clock: Clock): Notifier {
  return {
    // Programs want each alert as it is.
    manner: { gathers: false, closes: false },
    send: (message) => sendTo(target, message, clock),
  }
}

async function sendTo(
  { url, secret }: WebhookTarget,
  message: Message,
  clock: Clock,
): Promise<Sending> {
  const [alert] = message.alerts
  const isDigest = message.subject === null || alert === undefined
  const body = JSON.stringify(isDigest ? digestPayload(message) : payloadOf(alert))
  const seconds = Math.floor(clock.now() / 1000)
  const headers: Record<string, string> = {
    'webhook-id': message.id,
    'webhook-timestamp': String(seconds),
  }
  if (secret !== null) {
    headers['webhook-signature'] = sign(secret.reveal(), message.id, seconds, body)
  }
  const secrets = [wrapped(url), ...(secret === null ? [] : [secret])]
  const answer = await post({ url, headers, body, secrets }, clock)
  if (!isAnswer(answer)) return { kind: 'failed', ...answer }
  if (answer.status >= 200 && answer.status < 300) {
    return { kind: 'delivered', answer: answer.shown, thread: null }
  }
  // A program may be taught better: only "gone" is for good, and even that is tried again slowly.
  const lasting = answer.status === 410 ? 'channel' : null
  return { kind: 'failed', ...failureOf(answer), lasting }
}

/** `v1,` + base64 of HMAC-SHA-256 over `id.timestamp.body`; the secret is base64 after `whsec_`. */
export function sign(secret: string, id: string, seconds: number, body: string): string {
  const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice(6), 'base64') : secret
  return `v1,${createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64')}`
}

/** What happened, in words and in numbers. No prompt and no secret is part of an alert. */
export function payloadOf(alert: Alert): Record<string, unknown> {
  const show = (amount: bigint): string =>
    alert.unit === 'usd' ? formatUsd(amount as Nanos) : String(amount)
  return {
    type: `budget.${alert.kind}`,
    timestamp: toIso(alert.at),
    data: {
      alert: alert.id,
      budget: alert.budget,
      value: alert.value,
      unit: alert.unit,
      threshold: alert.threshold,
      limit: show(alert.amount),
      posted: show(alert.posted),
      used_percent: formatPercent(alert.posted, alert.amount),
      actions: alert.actions.map(({ kind }) => kind),
      resets_at: toIso(alert.periodEnd),
      hold: alert.hold,
      overage_usd: alert.kind === 'overage' ? formatUsd(alert.overage as Nanos) : null,
      details: alert.details ?? {},
    },
  }
}

/** Many at once: the worst in words, all of them by id, to be read at `/api/v1/alerts`. */
function digestPayload({ alerts, title, sentence, lines, at }: Message): Record<string, unknown> {
  return {
    type: 'budget.digest',
    timestamp: toIso(at),
    data: {
      count: alerts.length,
      title,
      sentence,
      worst: lines,
      alerts: alerts.map(({ id }) => id),
    },
  }
}
