/** A report on outcomes, from the events of a period and the work done in it. */
import type { Ratio } from './money.ts'
import { booksOf, type Books, usualClose } from './outcome-books.ts'
import { type OutcomeCost, outcomeCost } from './outcome-cost.ts'
import {
  isCounted,
  type OutcomeDefinition,
  type OutcomeEvent,
  type OutcomeView,
} from './outcome.ts'
import { newTally, type OutcomeShare, sharesOf, type Tally } from './outcome-work.ts'
import type { Dimension } from './scope.ts'
import type { Instant, Period } from './time.ts'

export interface UnitCostQuestion {
  readonly definition: OutcomeDefinition
  readonly period: Period
  readonly by: Dimension | null
  /** When the period's books were closed; null: once its last quiet period was over. */
  readonly closedAt: Instant | null
  readonly now: Instant
}

export interface UnitCostDraft {
  readonly question: UnitCostQuestion
  readonly closedAt: Instant
  readonly books: Books
  readonly tally: Tally
}

/** `events`: all of each subject that has a claim in the period, in the order of writing. */
export function draftOf(
  question: UnitCostQuestion,
  events: readonly OutcomeEvent[],
  isSeen: (event: OutcomeEvent) => boolean,
): UnitCostDraft {
  const { definition, period, by, now } = question
  const closedAt = question.closedAt ?? usualClose(period, definition.quietMs)
  const books = booksOf(events, period, { closedAt, now })
  const own = books.restated.filter(({ claim }) => isSeen(claim))
  return { question, closedAt, books, tally: newTally(own, definition, by) }
}

/** Of whom nothing is seen but his own work, an outcome that none of it was for is none of his. */
export function dropForeign({ tally }: UnitCostDraft): void {
  for (const [key, { views, touches }] of tally.buckets) {
    if (touches.size === 0 && views.every(({ claim }) => claim.place.agent === null)) {
      tally.buckets.delete(key)
    }
  }
}

export interface UnitCost extends OutcomeCost {
  readonly closedAt: Instant
  /** Counted when the books were closed, and what has changed since. */
  readonly reported: number
  readonly added: number
  readonly removed: number
  /** Of the outcomes that count: made under which definitions, attested by whom. */
  readonly versions: readonly string[]
  readonly attestedBy: Readonly<Record<string, number>>
  /** The dearest of them, and the metered cost of each. */
  readonly dearest: readonly OutcomeShare[]
}

const dearestMax = 10

/** Once all work of the period is in the tally. `fee`: of the metered cost. */
export function unitCostOf(draft: UnitCostDraft, fee: Ratio): UnitCost {
  const { question, closedAt, books, tally } = draft
  const views = [...tally.buckets.values()].flatMap((bucket) => bucket.views)
  const own = new Set(views.map(({ claim }) => claim.id))
  const count = (some: readonly OutcomeView[]): number =>
    some.filter(({ claim }) => own.has(claim.id)).length
  const counted = views.filter(isCounted)
  const attestedBy: Record<string, number> = {}
  for (const { claim } of counted) {
    attestedBy[claim.attestedBy] = (attestedBy[claim.attestedBy] ?? 0) + 1
  }
  return {
    ...outcomeCost(tally, question.definition, fee),
    closedAt,
    reported: count(books.reported.filter(isCounted)),
    added: count(books.added),
    removed: count(books.removed),
    versions: [...new Set(counted.map(({ claim }) => claim.definition.version))],
    attestedBy,
    dearest: sharesOf(tally)
      .outcomes.toSorted((a, b) => (a.cost === b.cost ? 0 : a.cost > b.cost ? -1 : 1))
      .slice(0, dearestMax),
  }
}
