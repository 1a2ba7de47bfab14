/** Block Kit, inside its limits, whatever the words are. */
import type { Message } from '#core/message.ts'
import { plain, type Severity } from '#core/alert-text.ts'
import { approveAction, denyAction } from '#lib/slack-actions.ts'

const headerMax = 150
const sectionMax = 3000
const fieldMax = 2000
const textMax = 3000
/** Beyond about 13,200 characters in all, Slack refuses the blocks. */
const linesMax = 20

const marks: Readonly<Record<Severity, string>> = {
  info: ':information_source:',
  warning: ':warning:',
  error: ':red_circle:',
  critical: ':octagonal_sign:',
}

/** `& < >` are Slack's only special characters; what was one stays text. */
export function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

/** Escaped, and then short enough; no entity is cut in half. */
function clipped(text: string, max: number): string {
  const whole = escaped(text)
  if (whole.length <= max) return whole
  return `${whole
    .slice(0, max - 1)
    .replace(/&[a-z]{0,4}$/, '')
    .toWellFormed()}…`
}

/** `verbatim`: a name that looks like a link or a mention is a name. */
function mrkdwn(text: string, max: number): unknown {
  return { type: 'mrkdwn', text: clipped(text, max), verbatim: true }
}

/** What notifications and screen readers say. */
export function fallbackText(message: Message): string {
  return clipped(`${message.title}. ${message.sentence}`, textMax)
}

export function blocksOf(message: Message, buttons: boolean): readonly unknown[] {
  const { severity, title, sentence, fields, lines, alerts, organization, atText } = message
  const blocks: unknown[] = [
    { type: 'header', text: { type: 'plain_text', text: plain(title, headerMax), emoji: false } },
    {
      type: 'section',
      text: mrkdwn(`${marks[severity]} ${sentence}`, sectionMax),
    },
  ]
  if (fields.length > 0) {
    const shown = fields.slice(0, 10)
    const texts = shown.map(({ name, value }) => mrkdwn(`*${plain(name, 40)}*\n${value}`, fieldMax))
    blocks.push({ type: 'section', fields: texts })
  }
  if (lines.length > 0) {
    const listed = lines.slice(-linesMax).map((line) => `• ${plain(line, 200)}`)
    blocks.push({ type: 'section', text: mrkdwn(listed.join('\n'), sectionMax) })
  }
  if (buttons && message.decides !== null) blocks.push(decisionBlock(message.decides))
  const named = alerts.length === 1 ? `alert ${alerts[0]?.id ?? ''}` : `${alerts.length} alerts`
  blocks.push({
    type: 'context',
    elements: [mrkdwn(`${plain(organization, 100)} · ${named} · ${atText}`, 500)],
  })
  return blocks
}

function decisionBlock(override: string): unknown {
  const button = (text: string, action: string, style: 'primary' | 'danger'): unknown => ({
    type: 'button',
    text: { type: 'plain_text', text, emoji: false },
    action_id: action,
    value: override,
    style,
  })
  return {
    type: 'actions',
    block_id: `override:${override}`,
    elements: [
      button('Approve', approveAction(override), 'primary'),
      button('Deny', denyAction(override), 'danger'),
    ],
  }
}
