/** E-mail, as text and HTML. Into headers go addresses that were checked, and single lines. */
import { createHash } from 'node:crypto'
import { createTransport } from 'nodemailer'
import { plain } from '#core/alert-text.ts'
import { type EmailTarget, isAddress } from '#core/channels.ts'
import type { Message } from '#core/message.ts'
import type { Secret } from '#core/snapshot.ts'
import type { Notifier, Sending } from '#ports/notifier.ts'
import { withoutSecrets } from './http.ts'

const timeoutMs = 10_000

/** To all of `target.to`, or to one person. */
export function emailNotifier(target: EmailTarget, to: readonly string[]): Notifier {
  return {
    manner: { gathers: true, closes: false },
    send: (message) => mail(target, to, message),
  }
}

async function mail(
  { smtp, from }: EmailTarget,
  to: readonly string[],
  message: Message,
): Promise<Sending> {
  const recipients = to.filter(isAddress)
  if (recipients.length === 0) {
    return { kind: 'failed', reason: 'no valid address', retryAfterMs: null, lasting: 'message' }
  }
  const transport = createTransport({
    url: smtp.reveal(),
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  const domain = from.split('@')[1] ?? 'bursar.invalid'
  try {
    const { response, rejected } = await transport.sendMail({
      from: { name: 'Bursar', address: from },
      to: recipients.map((address) => ({ name: '', address })),
      subject: plain(`[${message.organization}] ${message.title}`, 200),
      text: textOf(message),
      html: htmlOf(message),
      messageId: `<${message.id}@${domain}>`,
      ...threadOf(message, domain),
      headers: {
        'auto-submitted': 'auto-generated',
        'list-unsubscribe': `<mailto:${from}?subject=unsubscribe>`,
      },
    })
    const missed = rejected.length > 0 ? `; ${rejected.length} recipients were refused` : ''
    const answer = plain(withoutSecrets(String(response), [smtp]) + missed, 200)
    return { kind: 'delivered', answer, thread: null }
  } catch (error) {
    return failure(error, smtp)
  } finally {
    transport.close()
  }
}

/** Mails about one subject stand together: all answer to one that never was. */
function threadOf({ subject }: Message, domain: string): { references?: string } {
  if (subject === null) return {}
  const name = createHash('sha256').update(subject).digest('hex').slice(0, 32)
  return { references: `<about-${name}@${domain}>` }
}

function failure(error: unknown, smtp: Secret): Sending {
  const { code, responseCode, response } = error as Record<string, unknown>
  const word = typeof code === 'string' && /^[A-Z_0-9]{2,40}$/.test(code) ? code : 'unreachable'
  if (typeof responseCode !== 'number') {
    const reason = `could not be reached (${word})`
    return {
      kind: 'failed',
      reason,
      retryAfterMs: null,
      lasting: word === 'EAUTH' ? 'channel' : null,
    }
  }
  const said = typeof response === 'string' ? response : String(responseCode)
  const reason = plain(`the mail server answered ${withoutSecrets(said, [smtp])}`, 200)
  // 4xx is "later"; a refused password is not about this mail.
  const lasting = word === 'EAUTH' ? 'channel' : responseCode >= 500 ? 'message' : null
  return { kind: 'failed', reason, retryAfterMs: null, lasting }
}

function textOf({ title, sentence, fields, lines, organization, alerts, atText }: Message): string {
  const width = Math.max(0, ...fields.map(({ name }) => name.length))
  return [
    title,
    '',
    sentence,
    '',
    ...fields.map(({ name, value }) => `${`${name}:`.padEnd(width + 2)}${value}`),
    ...(lines.length === 0 ? [] : ['', ...lines.map((line) => `- ${line}`)]),
    '',
    `${organization}, ${atText}`,
    ...alerts.slice(0, 50).map(({ id }) => `alert ${id}`),
    ...(alerts.length > 50 ? [`and ${alerts.length - 50} more: bursar alert list`] : []),
    '',
  ].join('\n')
}

function htmlOf({ title, sentence, fields, lines, organization, alerts, atText }: Message): string {
  const rows = fields.map(
    ({ name, value }) =>
      `<tr><th align="left" style="padding-right:16px">${escaped(name)}</th>` +
      `<td>${escaped(value)}</td></tr>`,
  )
  const items = lines.map((line) => `<li>${escaped(line)}</li>`)
  const named = alerts.length === 1 ? `alert ${alerts[0]?.id ?? ''}` : `${alerts.length} alerts`
  return [
    '<!doctype html><html><body style="font-family:sans-serif">',
    `<h2>${escaped(title)}</h2><p>${escaped(sentence)}</p>`,
    rows.length === 0 ? '' : `<table>${rows.join('')}</table>`,
    items.length === 0 ? '' : `<ul>${items.join('')}</ul>`,
    `<p style="color:#666">${escaped(`${organization} · ${named} · ${atText}`)}</p>`,
    '</body></html>',
  ].join('\n')
}

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;')
}
