/** Reads what a report on outcomes is made of, in pages, so that calls are served between two. */
import { parseRatio, type Ratio } from '#core/money.ts'
import {
  draftOf,
  dropForeign,
  type UnitCost,
  unitCostOf,
  type UnitCostQuestion,
} from '#core/outcome-report.ts'
import { addWork } from '#core/outcome-work.ts'
import { type BookedOutcome, type OutcomePlace, pageOf } from '#core/outcome.ts'
import { matches, type Selector } from '#core/scope.ts'
import type { Snapshot } from '#core/snapshot.ts'
import type { WorkQuery } from '#core/work.ts'
import type { Clock } from '#ports/clock.ts'
import type { ControlStore, LedgerStore } from '#ports/store.ts'

export interface UnitCostDeps {
  readonly clock: Clock
  readonly store: Pick<LedgerStore, 'work'> & Pick<ControlStore, 'outcomeEvents'>
  readonly snapshot: () => Snapshot
}

/** Rows are read on the event loop of an embedded ledger: so many take a few milliseconds. */
const pageRows = 2000

/** `only`: of what that selects; null: of everything. */
export async function unitCost(
  deps: UnitCostDeps,
  question: UnitCostQuestion,
  only: Selector | null,
): Promise<UnitCost> {
  const events = await eventsOf(deps, question)
  const draft = draftOf(
    question,
    events,
    ({ place }) => only === null || place.agent === null || isPlaced(only, place),
  )
  const { start: from, end: to } = question.period
  for (let after: WorkQuery['after'] = null; ; ) {
    const page = await deps.store.work({ from, to, after, limit: pageRows })
    for (const row of page) {
      if (only === null || matches(only, row.attribution)) addWork(draft.tally, row)
    }
    if (page.length < pageRows) break
    after = page.at(-1) ?? null
    await deps.clock.sleep(0)
  }
  if (only !== null) dropForeign(draft)
  return unitCostOf(draft, feeOf(deps.snapshot()))
}

/** As far as it is known where an outcome belongs. */
function isPlaced(only: Selector, place: OutcomePlace): boolean {
  return (['business_unit', 'team', 'agent'] as const).every(
    (name) => only[name] === undefined || only[name] === place[name],
  )
}

/** Each once, in the order of writing: a subject may have claims on two pages. */
async function eventsOf(
  { clock, store }: UnitCostDeps,
  { definition: { type }, period }: UnitCostQuestion,
): Promise<readonly BookedOutcome[]> {
  const found = new Map<string, BookedOutcome>()
  for (let after = 0; ; ) {
    const { start: from, end: to } = period
    const query = { type, from, to, after, limit: pageRows }
    const events = await store.outcomeEvents(query)
    for (const event of events) found.set(event.id, event)
    const page = pageOf(events, query)
    const last = page.at(-1)
    if (last === undefined || page.length < pageRows) break
    after = last.seq
    await clock.sleep(0)
  }
  return [...found.values()].sort((a, b) => a.seq - b.seq)
}

function feeOf({ policy }: Snapshot): Ratio {
  const { numerator, denominator } = parseRatio(policy.platformFeePercent) ?? none
  return { numerator, denominator: denominator * 100n }
}

const none: Ratio = { numerator: 0n, denominator: 1n }
