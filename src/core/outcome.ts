/**
 * Outcomes: what the money was spent for. They are events, kept for ever; what an outcome is now,
 * or was when a month was closed, is the fold of those that were booked by then.
 *
 * - An outcome is claimed, holds once its quiet period has passed without a reversal, and may be
 *   reversed at any time after, also in a later month. Nothing is ever edited.
 * - A claim carries the definition it was made under: a changed config changes no past outcome.
 * - Of those that are one per subject, the first that was booked and not reversed counts.
 * - Quiet periods are lengths of time, not of the calendar: no clock change makes one shorter.
 */
import type { Nanos } from './money.ts'
import type { Selector } from './scope.ts'
import { after, type Instant } from './time.ts'

export const attesters = ['agent', 'system', 'human', 'silence'] as const
export type Attester = (typeof attesters)[number]

export const subjects = ['conversation', 'run', 'call'] as const
export type SubjectKind = (typeof subjects)[number]

export const creditRules = ['last_touch', 'first_touch', 'equal', 'cost_share'] as const
/** Which of several agents that worked on an outcome it is counted for. */
export type CreditRule = (typeof creditRules)[number]

/** A type of outcome, as the config defines it. */
export interface OutcomeDefinition {
  readonly type: string
  /** Of what follows: another text, another version. */
  readonly version: string
  readonly quietMs: number
  /** One counts for each of these; null: each counts. */
  readonly onePer: SubjectKind | null
  /** Whose word makes it hold; null: anybody's. */
  readonly attestedBy: readonly Attester[] | null
  readonly credit: CreditRule
  /** Whose cost is counted; empty: that of every agent that worked on one. */
  readonly match: Selector
  /** What one is worth where the event does not say. */
  readonly value: Nanos | null
  /** What somebody else charges for one. */
  readonly compare: Nanos | null
  /** What a minute of a person's costs. */
  readonly humanMinute: Nanos
}

/** What its cost is looked for in. */
export interface OutcomeLink {
  readonly scope: SubjectKind | 'tenant'
  readonly call: string | null
  readonly conversation: string | null
  readonly run: string | null
  readonly agent: string | null
  readonly tenant: string | null
}

/** Where in the organization it belongs, as far as is known when it is booked. */
export interface OutcomePlace {
  readonly business_unit: string | null
  readonly team: string | null
  readonly agent: string | null
}

export interface OutcomeEvent {
  readonly id: string
  readonly kind: 'claimed' | 'confirmed' | 'reversed'
  /** The claim that it is about; of a claim its own id. */
  readonly outcome: string
  readonly type: string
  /** Of one per subject the same text; else the outcome's own. */
  readonly subject: string
  /** When it happened, and when we were told. */
  readonly at: Instant
  readonly bookedAt: Instant
  readonly definition: Pick<OutcomeDefinition, 'version' | 'quietMs' | 'attestedBy'>
  readonly link: OutcomeLink
  readonly place: OutcomePlace
  readonly value: Nanos | null
  readonly attestedBy: Attester
  /** Why it was reversed, in a few words. */
  readonly cause: string | null
  /** Thousandths of a person's minutes. */
  readonly humanMillis: number
  /** Who told us: `api`, `csv`, `agent`, `zendesk`. */
  readonly source: string
}

export type OutcomeState = 'provisional' | 'confirmed' | 'reversed'

/** An outcome as it was known at some time. */
export interface OutcomeView {
  readonly claim: OutcomeEvent
  readonly state: OutcomeState
  /** When it holds, or will unless something happens; null: somebody else's word is missing. */
  readonly confirmsAt: Instant | null
  readonly reversal: OutcomeEvent | null
  /** Another of its subject counts, and this one does not. */
  readonly repeats: string | null
  readonly humanMillis: number
}

export interface OutcomeQuery {
  /** Null: every type. */
  readonly type: string | null
  /** When it happened. */
  readonly from: Instant
  readonly to: Instant
  /** Claims after this number of writing, so many. */
  readonly after: number
  readonly limit: number
}

/** As the store has it: `seq` is the order of writing. */
export type BookedOutcome = OutcomeEvent & { readonly seq: number }

export const isCounted = ({ state, repeats }: OutcomeView): boolean =>
  state === 'confirmed' && repeats === null

/**
 * What was known at `known` of the outcomes that these events are of: all events of each subject,
 * in the order of writing.
 */
export function foldOutcomes(
  events: readonly OutcomeEvent[],
  known: Instant,
): readonly OutcomeView[] {
  const bySubject = Map.groupBy(
    events.filter(({ bookedAt }) => bookedAt <= known),
    ({ subject }) => subject,
  )
  return [...bySubject.values()].flatMap((own) => foldSubject(own, known))
}

function foldSubject(events: readonly OutcomeEvent[], known: Instant): readonly OutcomeView[] {
  const views: OutcomeView[] = []
  let first: string | null = null
  for (const claim of events) {
    if (claim.kind !== 'claimed') continue
    const own = events.filter(({ outcome }) => outcome === claim.outcome)
    const view = viewOf(claim, own, known)
    const repeats: string | null = view.state === 'reversed' ? null : first
    if (view.state !== 'reversed') first ??= claim.id
    views.push({ ...view, repeats })
  }
  return views
}

function viewOf(claim: OutcomeEvent, own: readonly OutcomeEvent[], known: Instant): OutcomeView {
  const reversal = own.find(({ kind }) => kind === 'reversed') ?? null
  const confirmsAt = confirmationOf(claim, own)
  const holds = confirmsAt !== null && confirmsAt <= known
  return {
    claim,
    state: reversal !== null ? 'reversed' : holds ? 'confirmed' : 'provisional',
    confirmsAt,
    reversal,
    repeats: null,
    humanMillis: own.reduce((sum, { humanMillis }) => sum + humanMillis, 0),
  }
}

/** Somebody whose word counts said so: at once where that was asked for, else after the quiet. */
function confirmationOf(claim: OutcomeEvent, own: readonly OutcomeEvent[]): Instant | null {
  const { quietMs, attestedBy } = claim.definition
  const counts = ({ attestedBy: who }: OutcomeEvent): boolean =>
    attestedBy === null || attestedBy.includes(who)
  const confirmed = own.find((event) => event.kind === 'confirmed' && counts(event))
  const quietEnd = counts(claim) ? after(claim.at, quietMs) : null
  if (confirmed === undefined) return quietEnd
  return quietEnd === null || confirmed.at < quietEnd ? confirmed.at : quietEnd
}

/** The claims of a page, in the order of writing; `events` has those of their subjects too. */
export function pageOf(events: readonly BookedOutcome[], query: OutcomeQuery) {
  return events
    .filter((event) => event.kind === 'claimed' && isAsked(event, query))
    .sort((a, b) => a.seq - b.seq)
    .slice(0, query.limit)
}

export function isAsked(event: BookedOutcome, query: OutcomeQuery): boolean {
  const { type, from, to } = query
  const ofType = type === null || event.type === type
  return ofType && event.at >= from && event.at < to && event.seq > query.after
}

/** The text that all of one subject share. */
export function subjectOf(
  definition: Pick<OutcomeDefinition, 'type' | 'onePer'>,
  id: string,
  link: OutcomeLink,
): string {
  const { type, onePer } = definition
  const name = onePer === null ? null : link[onePer]
  return JSON.stringify(name === null ? [type, id] : [type, onePer, name, link.tenant ?? ''])
}

/** The same event told twice: all but when we heard of it. */
export function isSameEvent(a: OutcomeEvent, b: OutcomeEvent): boolean {
  const text = (event: OutcomeEvent): string => {
    const { bookedAt: _, definition: __, place: ___, subject: ____, value, ...rest } = event
    const { seq: _____, ...said } = rest as typeof rest & { seq?: number }
    const members = Object.entries({ ...said, value: String(value) })
    return JSON.stringify(members.sort(([one], [other]) => (one < other ? -1 : 1)))
  }
  return text(a) === text(b)
}
