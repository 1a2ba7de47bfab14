/**
 * PagerDuty, Events API v2: one incident for each account and period, opened, made worse and
 * resolved under one key. A repetition of an event changes nothing there.
 */
import { createHash } from 'node:crypto'
import type { PagerDutyTarget } from '#core/channels.ts'
import type { Message } from '#core/message.ts'
import { plain } from '#core/alert-text.ts'
import { toIso } from '#core/time.ts'
import type { Clock } from '#ports/clock.ts'
import type { Notifier, Sending } from '#ports/notifier.ts'
import { failureOf, isAnswer, post } from './http.ts'

/** What is kept of an incident that is open. */
interface Open {
  readonly dedupKey: string
}

export function pagerDutyNotifier(target: PagerDutyTarget, clock: Clock): Notifier {
  return {
    manner: { gathers: true, closes: true },
    send: async (message, thread) => {
      const open = openFrom(thread)
      if (!message.over) {
        const dedupKey = open?.dedupKey ?? dedupKeyOf(message)
        return sendEvent(target, triggerOf(message, dedupKey), { dedupKey }, clock)
      }
      // It was never opened by itself, or somebody has seen to it: there is nothing to close.
      if (open === null) return { kind: 'delivered', answer: 'no incident is open', thread: null }
      const { dedupKey } = open
      return sendEvent(target, { event_action: 'resolve', dedup_key: dedupKey }, null, clock)
    },
  }
}

const keyMax = 255

/** The same for all that is said of one account in one period. */
export function dedupKeyOf({ organization, subject, at }: Message): string {
  const about = subject ?? `digest/${toIso(at).slice(0, 10)}`
  const key = `bursar/${organization}/${about.replaceAll('|', '/')}`
  if (key.length <= keyMax && plain(key, keyMax) === key) return key
  return `bursar/${createHash('sha256').update(key).digest('hex')}`
}

const summaryMax = 1024
/** An event may have 512 KB: the ids of a full digest are a fraction of that. */
const idsMax = 2000

function triggerOf(message: Message, dedupKey: string): Record<string, unknown> {
  const { title, sentence, severity, at, alerts, fields, lines, organization, subject } = message
  const [alert] = alerts
  return {
    event_action: 'trigger',
    dedup_key: dedupKey,
    payload: {
      summary: plain(`${title}. ${sentence}`, summaryMax),
      source: `bursar/${plain(organization, 200)}`,
      severity,
      timestamp: toIso(at),
      component: plain(
        subject === null || alert === undefined ? 'many' : componentOf(message),
        255,
      ),
      group: 'budgets',
      class: subject === null || alert === undefined ? 'digest' : alert.kind,
      custom_details: {
        ...Object.fromEntries(fields.map(({ name, value }) => [name, value])),
        ...(lines.length === 0 ? {} : { lines }),
        alerts: alerts.slice(0, idsMax).map(({ id }) => id),
      },
    },
    client: 'bursar',
  }
}

function componentOf({ fields, alerts }: Message): string {
  return fields.find(({ name }) => name === 'Budget')?.value ?? alerts[0]?.kind ?? 'bursar'
}

async function sendEvent(
  { routingKey, eventsUrl }: PagerDutyTarget,
  event: Readonly<Record<string, unknown>>,
  thread: Open | null,
  clock: Clock,
): Promise<Sending> {
  const body = JSON.stringify({ routing_key: routingKey.reveal(), ...event })
  const answer = await post({ url: eventsUrl, body, secrets: [routingKey] }, clock)
  if (!isAnswer(answer)) return { kind: 'failed', ...answer }
  if (answer.status === 202 || answer.status === 200) {
    return { kind: 'delivered', answer: answer.shown, thread }
  }
  return { kind: 'failed', ...failureOf(answer) }
}

function openFrom(value: unknown): Open | null {
  if (typeof value !== 'object' || value === null || !('dedupKey' in value)) return null
  return typeof value.dedupKey === 'string' ? { dedupKey: value.dedupKey } : null
}
