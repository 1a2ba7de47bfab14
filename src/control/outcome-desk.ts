/** Books what is told of outcomes, by whatever way it came: once, with its audit row. */
import { eventOf, idOf, type KnownCall, type OutcomeSaid } from '#core/outcome-claim.ts'
import { isSameEvent, type OutcomeEvent, type OutcomePlace } from '#core/outcome.ts'
import { spentWithin } from '#core/role.ts'
import { parseId } from '#lib/id.ts'
import { StoreUnavailable } from '#ports/store.ts'
import { changed } from './audited.ts'
import type { Actor, ControlDeps } from './deps.ts'
import { showEvent } from './outcome-shapes.ts'
import { conflict, forbidden, invalid, ProblemError } from './problem.ts'

export interface Booked {
  readonly event: OutcomeEvent
  /** It was booked before, just so. */
  readonly repeated: boolean
}

/** What would be booked; throws a `ProblemError` where it cannot be. */
export async function prepare(
  deps: ControlDeps,
  actor: Actor,
  said: OutcomeSaid,
  source: string,
): Promise<Booked> {
  const id = idOf(said)
  const before = id === null ? null : await deps.store.outcomeEvent(id)
  const target = said.reverses ?? said.confirms
  const made = eventOf(said, {
    now: deps.clock.now(),
    source,
    hooks: isHook(deps, source) ? null : deps.snapshot().outcomeHooks.map(({ name }) => name),
    definitions: deps.snapshot().outcomes,
    call: said.call === undefined ? null : await knownCall(deps, said.call),
    place: placeOf(deps, said.agent),
    before,
    target: target === undefined ? null : await deps.store.outcomeEvent(target),
  })
  if (!made.ok) throw invalid(made.problem.field, made.problem.message)
  requireReach(actor, made.value)
  requireOwnWork(actor, said)
  return before === null ? { event: made.value, repeated: false } : repeatOf(before, made.value)
}

const isHook = (deps: ControlDeps, source: string): boolean =>
  deps.snapshot().outcomeHooks.some(({ kind }) => kind === source)

function repeatOf(before: OutcomeEvent, event: OutcomeEvent): Booked {
  // The same news by another way is the same news.
  if (isSameEvent({ ...before, source: event.source }, event)) {
    return { event: before, repeated: true }
  }
  throw conflict(
    'outcome_exists',
    `An outcome "${event.id}" was booked with other content, and is never edited: use another ` +
      `id, or take it back with {"reverses": "${before.outcome}"}.`,
  )
}

export async function book(
  deps: ControlDeps,
  actor: Actor,
  said: OutcomeSaid,
  source: string,
): Promise<Booked> {
  const prepared = await prepare(deps, actor, said, source)
  if (prepared.repeated) return prepared
  const { event } = prepared
  try {
    await changed(
      deps,
      actor,
      { kind: 'add_outcomes', events: [event] },
      { action: `outcome.${event.kind}`, subject: event.id, after: showEvent(event) },
    )
  } catch (error) {
    // Somebody else may have been faster with the same id: then it is told once more.
    if (!(error instanceof StoreUnavailable) || !(await isBooked(deps, event.id))) throw error
    return prepare(deps, actor, said, source)
  }
  return prepared
}

/** False where the store is away too. */
async function isBooked({ store }: ControlDeps, id: string): Promise<boolean> {
  return (await store.outcomeEvent(id).catch(() => null)) !== null
}

async function knownCall({ store }: ControlDeps, text: string): Promise<KnownCall | null> {
  const id = parseId('call', text)
  const hold = id === null ? undefined : (await store.holdsOf(id)).at(-1)
  if (hold === undefined) return null
  const { business_unit, team, agent, tenant } = hold.attribution
  const { conversation, run } = hold.facts
  return {
    conversation: typeof conversation === 'string' ? conversation : null,
    run: typeof run === 'string' ? run : null,
    tenant,
    place: { business_unit, team, agent },
  }
}

function placeOf(deps: ControlDeps, agent: string | undefined): OutcomePlace {
  const node = deps.snapshot().tree.find(({ kind, name }) => kind === 'agent' && name === agent)
  return {
    business_unit: node?.businessUnit ?? null,
    team: node?.team ?? null,
    agent: agent ?? null,
  }
}

/** A lead books what is his; what cannot be told to be his is not. */
function requireReach({ subtree }: Actor, { place }: OutcomeEvent): void {
  if (subtree === null || spentWithin(subtree, place)) return
  throw forbidden(
    'outside_your_subtree',
    place.agent === null
      ? 'Say which agent of yours it is an outcome of: only then is it yours to tell.'
      : `Agent "${place.agent}" is not in ${subtree.kind}=${subtree.name}.`,
  )
}

/** Whose a conversation or a run is, is seen by its calls, not by what somebody says of it. */
function requireOwnWork({ subtree }: Actor, { conversation, run }: OutcomeSaid): void {
  if (subtree === null || (conversation === undefined && run === undefined)) return
  throw forbidden(
    'outside_your_subtree',
    'Name a call of the conversation or run (call: call_...): only then is it seen to be yours.',
  )
}

export interface ImportRow {
  /** Where it stands in what was sent, from 1. */
  readonly line: number
  readonly said: OutcomeSaid
}

export interface Imported {
  readonly added: number
  readonly repeated: number
  readonly errors: readonly { readonly line: number; readonly message: string }[]
}

const rowsPerChange = 500

/** Good rows are booked, each once; bad ones are told, each with its line. */
export async function bookAll(
  deps: ControlDeps,
  actor: Actor,
  rows: readonly ImportRow[],
  { source, dryRun }: { readonly source: string; readonly dryRun: boolean },
): Promise<Imported> {
  const errors: { line: number; message: string }[] = []
  const fresh = new Map<string, OutcomeEvent>()
  let repeated = 0
  let added = 0
  const write = async (): Promise<void> => {
    added += fresh.size
    if (fresh.size > 0 && !dryRun) await writeAll(deps, actor, [...fresh.values()], source)
    fresh.clear()
  }
  for (const { line, said } of rows) {
    // What takes back a row of the same file must find it booked.
    if (said.reverses !== undefined || said.confirms !== undefined) await write()
    try {
      const { event, repeated: isOld } = await prepare(deps, actor, said, source)
      const twin = fresh.get(event.id)
      if (isOld || (twin !== undefined && repeatOf(twin, event).repeated)) repeated += 1
      else fresh.set(event.id, event)
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error
      errors.push({ line, message: error.problem.detail })
    }
    if (fresh.size >= rowsPerChange) await write()
  }
  await write()
  return { added, repeated, errors }
}

async function writeAll(
  deps: ControlDeps,
  actor: Actor,
  events: readonly OutcomeEvent[],
  source: string,
): Promise<void> {
  const [first] = events
  await changed(
    deps,
    actor,
    { kind: 'add_outcomes', events },
    {
      action: 'outcome.imported',
      subject: first?.id ?? '',
      after: { source, events: events.length, ids: events.map(({ id }) => id) },
    },
  )
}
