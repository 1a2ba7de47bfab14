/** Reminds of budgets that nobody has looked at for too long. */
import { asReview, firstSeen, reviewAlerts, reviewState } from '#core/review.ts'
import type { Snapshot } from '#core/snapshot.ts'
import type { Clock } from '#ports/clock.ts'
import type { AlertStore, ControlStore } from '#ports/store.ts'

export interface ReviewDeps {
  readonly clock: Clock
  readonly store: Pick<AlertStore, 'raise'> & Pick<ControlStore, 'records' | 'putRecord'>
  readonly snapshot: () => Snapshot
}

/** One round. Raised twice, an alert is one. */
export async function remindOfReviews({ clock, store, snapshot }: ReviewDeps): Promise<void> {
  const asked = snapshot().budgets.filter(({ reviewEveryDays }) => reviewEveryDays !== null)
  if (asked.length === 0) return
  const now = clock.now()
  const records = await store.records('review')
  const last = new Map(records.map(({ id, value }) => [id, asReview(value)]))
  for (const rule of asked) {
    const known = last.get(rule.id) ?? null
    if (known === null) {
      await store.putRecord({ kind: 'review', id: rule.id, value: firstSeen(now) })
      continue
    }
    const state = reviewState(rule, known, now)
    if (state === null) continue
    for (const alert of reviewAlerts(state, now)) await store.raise(alert)
  }
}
