/** A month as it was reported, and as it is known now: what was booked since is between them. */
import { foldOutcomes, isCounted, type OutcomeEvent, type OutcomeView } from './outcome.ts'
import { after, type Instant, type Period } from './time.ts'

export interface Books {
  /** As known when the books were closed. */
  readonly reported: readonly OutcomeView[]
  /** As known now. */
  readonly restated: readonly OutcomeView[]
  /** Outcomes that count now and did not then: they were told late, or another made room. */
  readonly added: readonly OutcomeView[]
  /** Outcomes that counted then and do not now: they were reversed. */
  readonly removed: readonly OutcomeView[]
}

/** `events`: all of each subject that has a claim in the period, in the order of writing. */
export function booksOf(
  events: readonly OutcomeEvent[],
  period: Period,
  { closedAt, now }: { readonly closedAt: Instant; readonly now: Instant },
): Books {
  const within = ({ claim }: OutcomeView): boolean =>
    claim.at >= period.start && claim.at < period.end
  const restated = foldOutcomes(events, now).filter(within)
  const reported = foldOutcomes(events, closedAt < now ? closedAt : now).filter(within)
  const counts = (views: readonly OutcomeView[]): ReadonlySet<string> =>
    new Set(views.filter(isCounted).map(({ claim }) => claim.id))
  const [then, today] = [counts(reported), counts(restated)]
  return {
    reported,
    restated,
    added: restated.filter((view) => isCounted(view) && !then.has(view.claim.id)),
    removed: reported.filter((view) => isCounted(view) && !today.has(view.claim.id)),
  }
}

/** When nothing of the period is provisional any more by itself. */
export function usualClose(period: Period, quietMs: number): Instant {
  return after(period.end, quietMs)
}
