/** What the receivers' documentation says a payload is, with its limits. */
import { z } from 'zod'

const text = (max: number) => z.string().min(1).max(max)
const plainText = (max: number) =>
  z.strictObject({ type: z.literal('plain_text'), text: text(max), emoji: z.boolean().optional() })
/** `&` and `<` stand only for themselves or as entities. */
const markup = (max: number) =>
  z.strictObject({
    type: z.literal('mrkdwn'),
    text: text(max).regex(/^(?:[^&<>]|&(?:amp|lt|gt);)*$/, 'is not escaped'),
    verbatim: z.boolean().optional(),
  })
const button = z.strictObject({
  type: z.literal('button'),
  text: plainText(75),
  action_id: text(255),
  value: text(2000),
  style: z.enum(['primary', 'danger']),
})
const block = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('header'), text: plainText(150) }),
  z.strictObject({
    type: z.literal('section'),
    text: markup(3000).optional(),
    fields: z.array(markup(2000)).min(1).max(10).optional(),
  }),
  z.strictObject({
    type: z.literal('actions'),
    block_id: text(255),
    elements: z.array(button).min(1).max(25),
  }),
  z.strictObject({ type: z.literal('context'), elements: z.array(markup(3000)).min(1).max(10) }),
])
const blocks = z
  .array(block)
  .min(1)
  .max(50)
  .refine((all) => JSON.stringify(all).length < 13_200, 'msg_blocks_too_long')

export const slackWebhook = z.strictObject({ text: text(40_000), blocks: blocks.optional() })
export const slackMessage = z.strictObject({
  channel: text(80),
  text: text(40_000),
  ts: z.string().optional(),
  blocks: blocks.optional(),
  unfurl_links: z.literal(false),
  unfurl_media: z.literal(false),
  metadata: z.strictObject({
    event_type: text(100),
    event_payload: z.record(z.string(), z.union([z.string(), z.number()])),
  }),
})

const base = { routing_key: z.string().length(32), dedup_key: text(255) }
export const pagerDutyEvent = z.discriminatedUnion('event_action', [
  z.strictObject({
    ...base,
    event_action: z.literal('trigger'),
    payload: z.strictObject({
      summary: text(1024),
      source: text(255),
      severity: z.enum(['critical', 'error', 'warning', 'info']),
      timestamp: z.iso.datetime(),
      component: text(255),
      group: text(255),
      class: text(255),
      custom_details: z.record(z.string(), z.unknown()),
    }),
    client: z.string(),
  }),
  z.strictObject({ ...base, event_action: z.literal('resolve') }),
])

const textBlock = z.strictObject({
  type: z.literal('TextBlock'),
  text: z.string(),
  wrap: z.boolean(),
  size: z.enum(['Small', 'Default', 'Medium', 'Large', 'ExtraLarge']).optional(),
  weight: z.enum(['Lighter', 'Default', 'Bolder']).optional(),
  color: z.enum(['Default', 'Dark', 'Light', 'Accent', 'Good', 'Warning', 'Attention']).optional(),
  isSubtle: z.boolean().optional(),
  spacing: z.enum(['None', 'Small', 'Default', 'Medium']).optional(),
})
const factSet = z.strictObject({
  type: z.literal('FactSet'),
  facts: z.array(z.strictObject({ title: z.string(), value: z.string() })).min(1),
})
export const teamsCard = z
  .strictObject({
    type: z.literal('message'),
    attachments: z
      .array(
        z.strictObject({
          contentType: z.literal('application/vnd.microsoft.card.adaptive'),
          contentUrl: z.null(),
          content: z.strictObject({
            $schema: z.literal('http://adaptivecards.io/schemas/adaptive-card.json'),
            type: z.literal('AdaptiveCard'),
            version: z.literal('1.4'),
            body: z.array(z.discriminatedUnion('type', [textBlock, factSet])).min(1),
          }),
        }),
      )
      .length(1),
  })
  .refine((card) => Buffer.byteLength(JSON.stringify(card)) <= 28_000, 'larger than 28 KB')
