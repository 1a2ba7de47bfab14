/** Outcome events and the work beside them, as tests need them. */
import type { OutcomeDefinition, OutcomeEvent, OutcomeLink } from '#core/outcome.ts'
import { nanos } from '#core/money.ts'
import { type Instant, instant } from '#core/time.ts'
import type { WorkRow } from '#core/work.ts'
import { nobody } from './ledger.ts'

export const start = instant(1_800_000_000_000)

export const link = (of: Partial<OutcomeLink> = {}): OutcomeLink => ({
  scope: 'conversation',
  call: null,
  conversation: null,
  run: null,
  agent: null,
  tenant: null,
  ...of,
})

/** Booked when it happened, by a definition without a quiet period, unless said otherwise. */
export function claim(id: string, of: Partial<OutcomeEvent> = {}): OutcomeEvent {
  const at = of.at ?? start
  return {
    id,
    kind: 'claimed',
    outcome: id,
    type: 'resolved_case',
    subject: id,
    at,
    bookedAt: at,
    definition: { version: 'v1', quietMs: 0, attestedBy: null },
    link: link({ conversation: id }),
    place: { business_unit: null, team: null, agent: null },
    value: null,
    attestedBy: 'system',
    cause: null,
    humanMillis: 0,
    source: 'api',
    ...of,
  }
}

export function reversal(of: OutcomeEvent, more: Partial<OutcomeEvent> = {}): OutcomeEvent {
  const at = more.bookedAt ?? of.at
  return { ...of, id: `${of.id}:reversed`, kind: 'reversed', at, cause: 'reopened', ...more }
}

export const definition = (of: Partial<OutcomeDefinition> = {}): OutcomeDefinition => ({
  type: 'resolved_case',
  version: 'v1',
  quietMs: 0,
  onePer: 'conversation',
  attestedBy: null,
  credit: 'last_touch',
  match: {},
  value: null,
  compare: null,
  humanMinute: nanos(0n),
  ...of,
})

export function work(n: number, of: Partial<WorkRow> & { readonly at?: Instant } = {}): WorkRow {
  const { at, ...rest } = of
  return {
    hold: `hold_${n}`,
    call: `call_${n}`,
    madeAt: at ?? instant(start + n),
    attribution: { ...nobody, agent: 'resolver' },
    conversation: null,
    run: null,
    cost: nanos(1n),
    tools: nanos(0n),
    presumed: false,
    purpose: null,
    ...rest,
  }
}
