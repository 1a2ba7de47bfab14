/**
 * Slack, by incoming webhook or as a bot. A bot has one message for each account and period, and
 * updates it; a webhook can only say something new.
 */
import type { SlackTarget } from '#core/channels.ts'
import type { Message } from '#core/message.ts'
import { plain } from '#core/alert-text.ts'
import type { Clock } from '#ports/clock.ts'
import type { Notifier, Sending } from '#ports/notifier.ts'
import { type Answer, failureOf, isAnswer, post, withoutSecrets } from './http.ts'
import { blocksOf, fallbackText } from './slack-blocks.ts'

export function slackNotifier(target: SlackTarget, clock: Clock): Notifier {
  return {
    manner: { gathers: true, closes: false },
    send: (message, thread) =>
      target.kind === 'bot'
        ? asBot(target, message, threadFrom(thread), clock)
        : byWebhook(target, message, clock),
  }
}

type Webhook = Extract<SlackTarget, { kind: 'webhook' }>
type Bot = Extract<SlackTarget, { kind: 'bot' }>

async function byWebhook(target: Webhook, message: Message, clock: Clock): Promise<Sending> {
  const text = fallbackText(message)
  const send = (body: unknown) =>
    post({ url: target.url.reveal(), body: JSON.stringify(body), secrets: [target.url] }, clock)
  let answer = await send({ text, blocks: blocksOf(message, target.buttons) })
  // Should Slack not like the blocks, the words arrive all the same.
  if (isAnswer(answer) && answer.status === 400) answer = await send({ text })
  if (!isAnswer(answer)) return { kind: 'failed', ...answer }
  if (answer.status === 200) return { kind: 'delivered', answer: answer.shown, thread: null }
  return { kind: 'failed', ...failureOf(answer) }
}

interface Thread {
  readonly ts: string
  readonly channel: string
  /** What the message said before, oldest first. */
  readonly lines: readonly string[]
}

const linesKept = 10

async function asBot(
  target: Bot,
  message: Message,
  thread: Thread | null,
  clock: Clock,
): Promise<Sending> {
  const lines = [...(thread?.lines ?? []), ...message.lines].slice(-linesKept)
  const body = (channel: string, blocks: boolean): Record<string, unknown> => ({
    channel,
    text: fallbackText(message),
    ...(blocks ? { blocks: blocksOf({ ...message, lines }, target.buttons) } : {}),
    unfurl_links: false,
    unfurl_media: false,
    metadata: {
      event_type: 'bursar_alert',
      event_payload: { id: message.id, alerts: message.alerts.length },
    },
  })
  const said = `${message.atText}: ${message.title}`
  const keep = (spoken: Spoken): Sending => ({
    kind: 'delivered',
    answer: spoken.answer,
    thread:
      message.over || message.subject === null
        ? null
        : { ts: spoken.ts, channel: spoken.channel, lines: [...lines, said].slice(-linesKept) },
  })
  if (thread !== null) {
    const { ts, channel } = thread
    const updated = await speak(
      target,
      'chat.update',
      (blocks) => ({ ...body(channel, blocks), ts }),
      clock,
    )
    if (updated.kind === 'spoken') return keep(updated)
    // Somebody has removed it, or it is too old to be changed: then it is said anew.
    if (updated.kind === 'failed') return updated
  }
  const posted = await speak(
    target,
    'chat.postMessage',
    (blocks) => body(target.channel, blocks),
    clock,
  )
  if (posted.kind === 'spoken') return keep(posted)
  if (posted.kind === 'failed') return posted
  return { kind: 'failed', reason: posted.reason, retryAfterMs: null, lasting: 'message' }
}

interface Spoken {
  readonly kind: 'spoken'
  readonly ts: string
  readonly channel: string
  readonly answer: string
}
type Spoke = Spoken | Extract<Sending, { kind: 'failed' }> | { kind: 'no_message'; reason: string }

const unknownMessage = /^(message_not_found|cant_update_message|edit_window_closed)$/
const badMessage =
  /^(invalid_blocks|invalid_blocks_format|msg_blocks_too_long|msg_too_long|no_text|invalid_arguments|invalid_metadata_format|invalid_metadata_schema|metadata_too_large)$/
const passingTrouble =
  /^(ratelimited|rate_limited|internal_error|fatal_error|service_unavailable|request_timeout|message_limit_exceeded)$/

async function speak(
  target: Bot,
  method: string,
  body: (blocks: boolean) => unknown,
  clock: Clock,
): Promise<Spoke> {
  const send = async (blocks: boolean) =>
    post(
      {
        url: `${target.apiUrl}/${method}`,
        headers: {
          authorization: `Bearer ${target.token.reveal()}`,
          'content-type': 'application/json; charset=utf-8',
        },
        body: JSON.stringify(body(blocks)),
        secrets: [target.token],
      },
      clock,
    )
  let answer = await send(true)
  if (isAnswer(answer) && badMessage.test(errorOf(answer, target) ?? '')) answer = await send(false)
  if (!isAnswer(answer)) return { kind: 'failed', ...answer }
  const { ok, ts, channel } = jsonOf(answer)
  if (answer.status === 200 && ok === true && typeof ts === 'string') {
    const where = typeof channel === 'string' ? channel : target.channel
    return { kind: 'spoken', ts, channel: where, answer: plain(`${answer.status} ok`, 100) }
  }
  const error = errorOf(answer, target)
  if (error === null) return { kind: 'failed', ...failureOf(answer) }
  const reason = `Slack answered "${error}"`
  if (unknownMessage.test(error)) return { kind: 'no_message', reason }
  const { retryAfterMs } = answer
  if (badMessage.test(error)) return { kind: 'failed', reason, retryAfterMs, lasting: 'message' }
  const lasting = passingTrouble.test(error) ? null : 'channel'
  return { kind: 'failed', reason, retryAfterMs, lasting }
}

/** Slack says what is wrong in a 200; null: it does not say. */
function errorOf(answer: Answer, { token }: Bot): string | null {
  const { ok, error } = jsonOf(answer)
  if (ok === true || typeof error !== 'string') return null
  const isWord = /^[a-z_]{1,60}$/.test(error) && withoutSecrets(error, [token]) === error
  return isWord ? error : null
}

function jsonOf({ text }: Answer): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

function threadFrom(value: unknown): Thread | null {
  if (typeof value !== 'object' || value === null) return null
  const { ts, channel, lines } = value as Record<string, unknown>
  if (typeof ts !== 'string' || typeof channel !== 'string' || !Array.isArray(lines)) return null
  return { ts, channel, lines: lines.map(String) }
}
