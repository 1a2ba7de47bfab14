/** Keeps what each value of a budget spends a day, and looks ahead from that, once an hour. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Account } from '#core/account.ts'
import { type BudgetRule, periodOf } from '#core/budget.ts'
import { asDayBook, closeDays, type DayBook, seriesSince, valuesMax } from '#core/day-book.ts'
import { canForecast, forecastAlert, isReported, type Outlook, outlookOf } from '#core/outlook.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { dayOf } from '#core/spend.ts'
import { type Instant, instant } from '#core/time.ts'
import type { Clock } from '#ports/clock.ts'
import type { AlertStore, ControlStore, LedgerStore } from '#ports/store.ts'

export interface DayBookDeps {
  readonly clock: Clock
  readonly store: Pick<LedgerStore, 'dearest'> &
    Pick<ControlStore, 'record' | 'putRecord'> &
    Pick<AlertStore, 'raise'>
  readonly snapshot: () => Snapshot
}

const hourMs = 3_600_000
/** More budgets are not looked at in one round. */
const budgetsMax = 500

/** Where accounts that reports do not tell apart will be at the end of their period. */
export async function bookedOutlooks(deps: DayBookDeps): Promise<readonly Outlook[]> {
  const now = deps.clock.now()
  const found: Outlook[] = []
  for (const rule of bookedRules(deps)) {
    found.push(...(await outlooksOf(rule, await booksOf(deps, rule, now), now)))
  }
  return found
}

/** To be called every few minutes: the first call of an hour does something. */
export function dayBookRound(deps: DayBookDeps): () => Promise<void> {
  let hour = 0
  return async () => {
    const now = deps.clock.now()
    if (Math.floor(now / hourMs) === hour) return
    for (const rule of bookedRules(deps)) {
      const books = await booksOf(deps, rule, now)
      const { kept, book } = books
      if (book !== kept) await deps.store.putRecord({ kind: 'days', id: rule.id, value: book })
      for (const outlook of await outlooksOf(rule, books, now)) {
        const alert = forecastAlert(outlook, now)
        if (alert !== null) await deps.store.raise(alert)
      }
    }
    // Not sooner: a round that fails is made again.
    hour = Math.floor(now / hourMs)
  }
}

const bookedRules = ({ snapshot }: DayBookDeps): readonly BudgetRule[] =>
  snapshot()
    .budgets.filter((rule) => canForecast(rule) && !isReported(rule))
    .slice(0, budgetsMax)

interface Books {
  readonly kept: DayBook | null
  /** The one that is kept, with the days closed that are over. */
  readonly book: DayBook
  readonly accounts: readonly Account[]
}

async function booksOf({ store }: DayBookDeps, rule: BudgetRule, now: Instant): Promise<Books> {
  const kept = asDayBook((await store.record('days', rule.id))?.value)
  const { start } = periodOf(rule, now)
  const accountsFrom = (begin: Instant): Promise<readonly Account[]> =>
    store.dearest(rule.id, begin, valuesMax)
  const hasEnded = kept !== null && kept.until < start
  const accounts = await accountsFrom(start)
  const before = hasEnded ? await accountsFrom(periodOf(rule, instant(start - 1)).start) : []
  return { kept, book: closeDays(kept, { start, now: accounts, before }, dayOf(now)), accounts }
}

async function outlooksOf(
  rule: BudgetRule,
  { book, accounts }: Books,
  now: Instant,
): Promise<readonly Outlook[]> {
  const seen = new Map(book.values.map((one) => [one.value, one]))
  const found: Outlook[] = []
  for (const account of accounts) {
    const { value } = account
    found.push(outlookOf({ rule, value }, account, seriesSince(seen.get(value), account), now))
    // A thousand forecasts take half a second, in which calls are served.
    await nextTurn()
  }
  return found
}
