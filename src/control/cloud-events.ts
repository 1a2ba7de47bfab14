/** CloudEvents 1.0 that tell of outcomes: structured, binary and in batches. */
import { z } from 'zod'
import { attesters } from '#core/outcome.ts'
import type { OutcomeSaid } from '#core/outcome-claim.ts'
import { book } from './outcome-desk.ts'
import { outcomeBody, saidOf } from './outcome-said.ts'
import { eventShape, showEvent } from './outcome-shapes.ts'
import { invalid } from './problem.ts'
import { declare, notViewers, type Route } from './route.ts'

const attribute = z.string().min(1).max(256)
const envelope = z.object({
  specversion: z.literal('1.0', 'write "1.0": no other version is known'),
  id: attribute,
  source: attribute,
  type: attribute,
  time: z.string().optional(),
  subject: attribute.optional(),
  data: z.unknown().optional(),
})
type Envelope = z.output<typeof envelope>
const content = outcomeBody.partial().extend({ attested_by: z.enum(attesters).optional() })

export const cloudEventRoutes: readonly Route[] = [
  declare({
    method: 'post',
    path: '/outcomes/events',
    status: 201,
    summary: 'Outcomes as CloudEvents 1.0: structured, binary (`ce-` headers) or a batch',
    allows: notViewers,
    body: z.unknown(),
    answer: z.array(eventShape.extend({ repeated: z.boolean() })),
    handle: async ({ deps, actor, body, header }) => {
      const all = []
      for (const event of envelopesOf(body, header)) {
        const { event: made, repeated } = await book(deps, actor, saidBy(event), 'cloudevents')
        all.push({ ...showEvent(made), repeated })
      }
      return all
    },
  }),
]

const batchMax = 500

function envelopesOf(
  body: unknown,
  header: (name: string) => string | undefined,
): readonly Envelope[] {
  const type = header('content-type') ?? ''
  if (type.startsWith('application/cloudevents-batch+json')) {
    if (!Array.isArray(body) || body.length > batchMax) {
      throw invalid('body', `a batch is a list of at most ${batchMax} events`)
    }
    return body.map((one, i) => checked(envelope, one, `${i}`))
  }
  if (type.startsWith('application/cloudevents+json')) return [checked(envelope, body, 'body')]
  const of = (name: string): string | undefined => header(`ce-${name}`)
  if (of('specversion') === undefined) {
    throw invalid(
      'content-type',
      'send application/cloudevents+json, or ce-specversion and the other ce- headers',
    )
  }
  const names = ['specversion', 'id', 'source', 'type', 'time', 'subject'] as const
  const attributes = Object.fromEntries(names.map((name) => [name, of(name)]))
  return [checked(envelope, { ...attributes, data: body }, 'ce')]
}

/** Source and id together are unique; the type's last part is ours; the subject a conversation. */
function saidBy({ id, source, type, time, subject, data }: Envelope): OutcomeSaid {
  const inside = checked(content, data ?? {}, 'data')
  const isChange = inside.reverses !== undefined || inside.confirms !== undefined
  const isLinked = ['conversation', 'run', 'call', 'agent'].some((one) => one in inside)
  return saidOf({
    ...inside,
    id: inside.id ?? `${source}#${id}`.slice(0, 128),
    ...(isChange ? {} : { type: inside.type ?? type.split('.').at(-1) ?? '' }),
    ...(inside.at === undefined && time !== undefined ? { at: time } : {}),
    ...(!isChange && !isLinked && subject !== undefined ? { conversation: subject } : {}),
  })
}

function checked<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  where: string,
): z.output<Schema> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const [first] = parsed.error.issues
  throw invalid([where, ...(first?.path ?? [])].join('.'), first?.message ?? 'is not an event')
}
