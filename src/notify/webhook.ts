/** A generic signed webhook: Standard Webhooks, so that any library can verify it. */
import { createHmac } from 'node:crypto'
import { request } from 'undici'
import type { Alert } from '#core/alert.ts'
import { formatPercent, formatUsd, type Nanos } from '#core/money.ts'
import { toIso } from '#core/time.ts'
import type { WebhookTarget } from '#core/snapshot.ts'
import type { Clock } from '#ports/clock.ts'
import type { Notifier, SendFailure } from '#ports/notifier.ts'

const timeoutMs = 10_000

export function webhookNotifier(target: WebhookTarget, clock: Clock): Notifier {
  return { send: (alert) => post(target, alert, Math.floor(clock.now() / 1000)) }
}

async function post(
  { url, secret }: WebhookTarget,
  alert: Alert,
  seconds: number,
): Promise<SendFailure | null> {
  const body = JSON.stringify(payloadOf(alert))
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    'user-agent': 'bursar',
    'webhook-id': alert.id,
    'webhook-timestamp': String(seconds),
  }
  if (secret !== null) {
    headers['webhook-signature'] = sign(secret.reveal(), alert.id, seconds, body)
  }
  try {
    const answer = await request(url, {
      method: 'POST',
      headers,
      body,
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
    })
    await answer.body.dump()
    if (answer.statusCode >= 200 && answer.statusCode < 300) return null
    const wait = Number(answer.headers['retry-after'])
    return {
      reason: `the receiver answered ${answer.statusCode}`,
      retryAfterMs: Number.isFinite(wait) && wait > 0 ? wait * 1000 : null,
    }
  } catch (error) {
    // The URL may hold a token: the error's own text, which may repeat it, is not kept.
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreachable'
    return { reason: `could not be reached (${code})`, retryAfterMs: null }
  }
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
    },
  }
}
