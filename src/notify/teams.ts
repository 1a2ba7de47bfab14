/** Microsoft Teams, by a Workflows webhook: an Adaptive Card 1.4. */
import type { TeamsTarget } from '#core/channels.ts'
import type { Message } from '#core/message.ts'
import { plain, type Severity } from '#core/alert-text.ts'
import type { Clock } from '#ports/clock.ts'
import type { Notifier, Sending } from '#ports/notifier.ts'
import { failureOf, isAnswer, post } from './http.ts'

/** A flow takes about 28 KB. */
const bytesMax = 27_000

const colours: Readonly<Record<Severity, string>> = {
  info: 'Accent',
  warning: 'Warning',
  error: 'Attention',
  critical: 'Attention',
}

export function teamsNotifier({ workflowUrl }: TeamsTarget, clock: Clock): Notifier {
  return {
    manner: { gathers: true, closes: false },
    send: async (message): Promise<Sending> => {
      const url = workflowUrl.reveal()
      const send = (card: unknown) =>
        post({ url, body: JSON.stringify(card), secrets: [workflowUrl] }, clock)
      let answer = await send(cardOf(message))
      // Should the flow not like the card, its first words arrive all the same.
      if (isAnswer(answer) && answer.status === 400) answer = await send(cardOf(bare(message)))
      if (!isAnswer(answer)) return { kind: 'failed', ...answer }
      if (answer.status >= 200 && answer.status < 300) {
        return { kind: 'delivered', answer: answer.shown, thread: null }
      }
      return { kind: 'failed', ...failureOf(answer) }
    },
  }
}

const bare = (message: Message): Message => ({ ...message, fields: [], lines: [] })

function cardOf(message: Message): unknown {
  const card = wholeCard(message)
  return Buffer.byteLength(JSON.stringify(card)) <= bytesMax ? card : wholeCard(bare(message))
}

function wholeCard(message: Message): unknown {
  const { severity, title, sentence, fields, lines, organization, atText, alerts } = message
  const named = alerts.length === 1 ? `alert ${alerts[0]?.id ?? ''}` : `${alerts.length} alerts`
  const text = (words: string, more: Readonly<Record<string, unknown>> = {}): unknown => ({
    type: 'TextBlock',
    wrap: true,
    text: escaped(words),
    ...more,
  })
  const facts = fields.map(({ name, value }) => ({ title: escaped(name), value: escaped(value) }))
  return {
    type: 'message',
    attachments: [
      {
        contentType: 'application/vnd.microsoft.card.adaptive',
        contentUrl: null,
        content: {
          $schema: 'http://adaptivecards.io/schemas/adaptive-card.json',
          type: 'AdaptiveCard',
          version: '1.4',
          body: [
            text(title, { size: 'Medium', weight: 'Bolder', color: colours[severity] }),
            text(sentence),
            ...(facts.length === 0 ? [] : [{ type: 'FactSet', facts }]),
            ...lines.map((line) => text(plain(line, 300), { spacing: 'Small' })),
            text(`${plain(organization, 100)} · ${named} · ${atText}`, {
              isSubtle: true,
              size: 'Small',
            }),
          ],
        },
      },
    ],
  }
}

/** A card reads a part of Markdown: a name with brackets in it is no link. */
function escaped(text: string): string {
  return text.replace(/[\\`*_{}[\]()#~<>]/g, (mark) => `\\${mark}`)
}
