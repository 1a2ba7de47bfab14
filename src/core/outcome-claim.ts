/** From what somebody says of an outcome to the event that is booked, or to what is wrong. */
import { failed, type Result, succeeded } from '#lib/result.ts'
import type { Nanos } from './money.ts'
import {
  type Attester,
  type OutcomeDefinition,
  type OutcomeEvent,
  type OutcomeLink,
  type OutcomePlace,
  subjectOf,
} from './outcome.ts'
import { isNameText } from './scope.ts'
import { after, type Instant } from './time.ts'

/** What may be said of an outcome; undefined: nothing was. */
export interface OutcomeSaid {
  readonly id?: string | undefined
  readonly type?: string | undefined
  readonly at?: Instant | undefined
  readonly conversation?: string | undefined
  readonly run?: string | undefined
  readonly call?: string | undefined
  readonly agent?: string | undefined
  readonly tenant?: string | undefined
  readonly value?: Nanos | undefined
  readonly attestedBy?: Attester | undefined
  readonly humanMillis?: number | undefined
  /** The id of the outcome that this takes back. */
  readonly reverses?: string | undefined
  /** The id of the outcome of which this says that it holds. */
  readonly confirms?: string | undefined
  readonly cause?: string | undefined
}

/** What the ledger knows of the call that was named. */
export interface KnownCall {
  readonly conversation: string | null
  readonly run: string | null
  readonly tenant: string | null
  readonly place: OutcomePlace
}

export interface Circumstances {
  readonly now: Instant
  readonly source: string
  /** Whose names ids may not begin with; null: it is a hook that tells. */
  readonly hooks: readonly string[] | null
  readonly definitions: readonly OutcomeDefinition[]
  /** Of the call that was named; null: none was, or the ledger has no such call. */
  readonly call: KnownCall | null
  /** Where the agent that was named stands. */
  readonly place: OutcomePlace
  /** What was booked under this id before; null: nothing. */
  readonly before: OutcomeEvent | null
  /** The outcome that is reversed or confirmed; null: there is none. */
  readonly target: OutcomeEvent | null
}

export interface ClaimProblem {
  readonly field: string
  /** What is wrong and what to do about it. */
  readonly message: string
}

type Booked = Result<OutcomeEvent, ClaimProblem>

/** Clocks differ; beyond this, a time in the future is a mistake. */
const aheadMs = 5 * 60_000
const nameMax = 128

const no = (field: string, message: string): Booked => failed({ field, message })

/** The id that it will have; null: it has none, and needs one. */
export function idOf({ id, reverses, confirms }: OutcomeSaid): string | null {
  if (id !== undefined) return id
  if (reverses !== undefined) return `${reverses}:reversed`
  return confirms === undefined ? null : `${confirms}:confirmed`
}

/** What is derived from other ids: whoever took one first could not be taken back. */
const isReserved = (id: string, hooks: readonly string[]): boolean =>
  /:(?:reversed|confirmed)$/.test(id) || hooks.some((name) => id.startsWith(`${name}:`))

export function eventOf(said: OutcomeSaid, about: Circumstances): Booked {
  const id = idOf(said)
  if (id === null) return no('id', 'give it an id of yours: told twice, it counts once')
  if (said.id !== undefined && about.hooks !== null && isReserved(said.id, about.hooks)) {
    const message = 'ids that end with :reversed or :confirmed, or begin with the name of a hook, '
    return no('id', `${message}are given by Bursar: use another`)
  }
  const unfit = unfitField({ ...said, id })
  if (unfit !== null) {
    return no(unfit, `write 1 to ${nameMax} characters, without line breaks and the like`)
  }
  if (said.at !== undefined && said.at > after(about.now, aheadMs)) {
    return no('at', 'it has not happened yet: write when it did, as 2026-11-01T12:00:00Z')
  }
  const isChange = said.reverses !== undefined || said.confirms !== undefined
  return isChange ? changeOf(id, said, about) : claimOf(id, said, about)
}

function unfitField(said: OutcomeSaid): string | null {
  const texts = ['id', 'conversation', 'run', 'call', 'agent', 'tenant', 'cause'] as const
  const isUnfit = (text: string): boolean =>
    text === '' || text.length > nameMax || !isNameText(text)
  return texts.find((name) => said[name] !== undefined && isUnfit(said[name] ?? '')) ?? null
}

function changeOf(id: string, said: OutcomeSaid, about: Circumstances): Booked {
  const { reverses, confirms } = said
  const { target, now, source, before } = about
  if (reverses !== undefined && confirms !== undefined) {
    return no('confirms', 'say either reverses or confirms, not both')
  }
  const field = reverses === undefined ? 'confirms' : 'reverses'
  if (target === null || target.kind !== 'claimed') {
    return no(field, `there is no outcome "${reverses ?? confirms}"`)
  }
  return succeeded({
    ...target,
    id,
    kind: reverses === undefined ? 'confirmed' : 'reversed',
    at: said.at ?? before?.at ?? now,
    bookedAt: now,
    value: null,
    attestedBy: said.attestedBy ?? 'system',
    cause: said.cause ?? null,
    humanMillis: said.humanMillis ?? 0,
    source,
  })
}

function claimOf(id: string, said: OutcomeSaid, about: Circumstances): Booked {
  const { definitions, now, source, before } = about
  const known = definitions.map(({ type }) => type)
  const definition = definitions.find(({ type }) => type === said.type)
  if (definition === undefined) {
    const others = known.length === 0 ? 'none is defined' : `defined are: ${known.join(', ')}`
    const what = said.type === undefined ? 'say of which type it is' : `no type "${said.type}"`
    return no('type', `${what}; ${others}. Types stand under outcomes: in the config`)
  }
  const linked = linkOf(said, about)
  if (!linked.ok) return linked
  const link = linked.value
  const { onePer } = definition
  if (onePer !== null && link[onePer] === null) {
    return no(onePer, `a ${definition.type} is one per ${onePer}: say which ${onePer}`)
  }
  const { version, quietMs, attestedBy } = definition
  return succeeded({
    id,
    kind: 'claimed',
    outcome: id,
    type: definition.type,
    subject: subjectOf(definition, id, link),
    at: said.at ?? before?.at ?? now,
    bookedAt: now,
    definition: { version, quietMs, attestedBy },
    link,
    place: about.call?.place ?? about.place,
    value: said.value ?? (before === null ? definition.value : before.value),
    attestedBy: said.attestedBy ?? 'system',
    cause: said.cause ?? null,
    humanMillis: said.humanMillis ?? 0,
    source,
  })
}

/** A call is looked up, so that the other ways to name it are known too. */
function linkOf(said: OutcomeSaid, { call }: Circumstances): Result<OutcomeLink, ClaimProblem> {
  const named = (['conversation', 'run', 'call'] as const).filter((one) => said[one] !== undefined)
  const [scope] = named
  if (named.length > 1) {
    return failed({ field: named[1] ?? 'run', message: `say ${named.join(' or ')}, not both` })
  }
  const link = {
    call: said.call ?? null,
    conversation: said.conversation ?? call?.conversation ?? null,
    run: said.run ?? call?.run ?? null,
    agent: said.agent ?? null,
    tenant: said.tenant ?? call?.tenant ?? null,
  }
  if (scope !== undefined) {
    if (scope === 'call' && call === null) {
      return failed({ field: 'call', message: `the ledger has no call "${said.call}"` })
    }
    return succeeded({ scope, ...link })
  }
  if (said.agent === undefined || said.tenant === undefined) {
    const message = 'say what it is an outcome of: conversation, run, call, or agent and tenant'
    return failed({ field: 'conversation', message })
  }
  return succeeded({ scope: 'tenant', ...link })
}
