/** Outcomes as the API shows them. */
import { z } from 'zod'
import type { BookedOutcome, OutcomeEvent, OutcomeView } from '#core/outcome.ts'
import { toIso } from '#core/time.ts'
import { usd } from './shapes.ts'

export const eventShape = z.object({
  id: z.string(),
  kind: z.string(),
  outcome: z.string(),
  type: z.string(),
  definition: z.string(),
  at: z.string(),
  booked_at: z.string(),
  scope: z.string(),
  conversation: z.string().nullable(),
  run: z.string().nullable(),
  call: z.string().nullable(),
  agent: z.string().nullable(),
  tenant: z.string().nullable(),
  value_usd: z.string().nullable(),
  attested_by: z.string(),
  human_minutes: z.number(),
  cause: z.string().nullable(),
  source: z.string(),
})

export function showEvent(event: OutcomeEvent): z.infer<typeof eventShape> {
  const { link } = event
  return {
    id: event.id,
    kind: event.kind,
    outcome: event.outcome,
    type: event.type,
    definition: event.definition.version,
    at: toIso(event.at),
    booked_at: toIso(event.bookedAt),
    scope: link.scope === 'tenant' ? 'agent+tenant' : link.scope,
    conversation: link.conversation,
    run: link.run,
    call: link.call,
    agent: event.place.agent ?? link.agent,
    tenant: link.tenant,
    value_usd: event.value === null ? null : usd(event.value),
    attested_by: event.attestedBy,
    human_minutes: event.humanMillis / 1000,
    cause: event.cause,
    source: event.source,
  }
}

export const outcomeShape = eventShape.omit({ kind: true, outcome: true }).extend({
  seq: z.number(),
  state: z.enum(['provisional', 'confirmed', 'reversed']),
  /** When it holds unless something happens; null: a word that counts is missing. */
  confirms_at: z.string().nullable(),
  reversed_at: z.string().nullable(),
  /** The outcome of the same subject that counts in its stead. */
  repeats: z.string().nullable(),
})

export function showOutcome(view: OutcomeView, { seq }: BookedOutcome) {
  const { kind: _, outcome: __, ...event } = showEvent(view.claim)
  return {
    seq,
    ...event,
    cause: view.reversal?.cause ?? event.cause,
    state: view.state,
    confirms_at: view.confirmsAt === null ? null : toIso(view.confirmsAt),
    reversed_at: view.reversal === null ? null : toIso(view.reversal.bookedAt),
    repeats: view.repeats,
    human_minutes: view.humanMillis / 1000,
  }
}
