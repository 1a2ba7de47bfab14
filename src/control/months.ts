/** Months that are closed: signed off by somebody, and not changed any more. */
import { z } from 'zod'
import { type Instant, instant, toIso } from '#core/time.ts'
import { changed } from './audited.ts'
import type { ControlDeps } from './deps.ts'
import { conflict, invalid } from './problem.ts'
import { declare, notLeads, type Route, stewards } from './route.ts'
import { type Kept, reconciliationsOf } from './reconciled.ts'

export interface ClosedMonth {
  readonly month: string
  readonly by: string
  readonly at: Instant
  readonly note: string
  /** The reconciliation that it was closed on; null: none. */
  readonly reconciliation: string | null
}

const monthShape = z.object({
  month: z.string(),
  /** `metered`, `reconciled` or `final`. */
  mark: z.string(),
  metered_usd: z.string().nullable(),
  billed_usd: z.string().nullable(),
  /** What has no cause, of what was billed. */
  unexplained_percent: z.string().nullable(),
  closed_by: z.string().nullable(),
  closed_at: z.string().nullable(),
  note: z.string().nullable(),
})

export const monthRoutes: readonly Route[] = [
  declare({
    method: 'get',
    path: '/months',
    summary: 'How far each month is known: metered, reconciled with the bills, or final',
    allows: notLeads,
    answer: z.array(monthShape),
    handle: async ({ deps }) => {
      const kept = await reconciliationsOf(deps)
      const names = new Set([...kept.map(({ month }) => month), ...closedMonths(deps).keys()])
      return [...names].sort().map((month) => showMonth(deps, kept, month))
    },
  }),
  declare({
    method: 'post',
    path: '/months/{month}/close',
    summary: 'Sign a month off: its bills, calls and reconciliation are not changed any more',
    allows: stewards,
    body: z.strictObject({ note: z.string().trim().min(3).max(1000) }),
    answer: monthShape,
    handle: async ({ deps, actor, params: { month = '' }, body: { note } }) => {
      const { end } = monthSpan(month)
      requireOpen(deps, month)
      if (deps.clock.now() < end) throw conflict('not_over', `${month} is not over yet.`)
      await requireEnded(deps, month)
      const kept = await reconciliationsOf(deps)
      const [newest] = kept.filter((one) => one.month === month && one.acceptedAt !== null)
      const value: ClosedMonth = {
        month,
        by: actor.name,
        at: deps.clock.now(),
        note,
        reconciliation: newest?.id ?? null,
      }
      const record = { kind: 'month', id: month, value } as const
      await changed(
        deps,
        actor,
        { kind: 'put_record', record },
        { action: 'month.closed', subject: month, reason: note, after: value },
      )
      deps.records.put(record)
      return showMonth(deps, kept, month)
    },
  }),
]

function showMonth(
  deps: ControlDeps,
  kept: readonly Kept[],
  month: string,
): z.infer<typeof monthShape> {
  const closed = closedMonths(deps).get(month) as ClosedMonth | undefined
  const accepted = kept.find((one) => one.month === month && one.acceptedAt !== null)
  const last = accepted ?? kept.find((one) => one.month === month)
  return {
    month,
    mark: markOf(deps, kept, month),
    metered_usd: last?.metered ?? null,
    billed_usd: last?.billed ?? null,
    unexplained_percent: last?.unexplainedPercent ?? null,
    closed_by: closed?.by ?? null,
    closed_at: closed === undefined ? null : toIso(closed.at),
    note: closed?.note ?? null,
  }
}

export const closedMonths = (deps: ControlDeps): ReadonlyMap<string, unknown> =>
  deps.records.all('month')

/** Throws where the month is closed. */
export function requireOpen(deps: ControlDeps, month: string): void {
  if (!closedMonths(deps).has(month)) return
  throw conflict('month_closed', `${month} is closed: what comes late belongs to an open month.`)
}

/** The UTC month, end excluded. */
export function monthSpan(month: string): { readonly start: Instant; readonly end: Instant } {
  const match = /^(\d{4})-(0[1-9]|1[0-2])$/.exec(month)
  if (match === null) throw invalid('month', 'write a month such as 2026-10')
  const [year, no] = [Number(match[1]), Number(match[2])]
  return { start: instant(Date.UTC(year, no - 1)), end: instant(Date.UTC(year, no)) }
}

/** Throws where any month of the stretch is closed. */
export function requireOpenBetween(deps: ControlDeps, from: Instant, to: Instant): void {
  for (const month of closedMonths(deps).keys()) {
    const { start, end } = monthSpan(month)
    if (start < to && from < end) requireOpen(deps, month)
  }
}

function markOf(deps: ControlDeps, kept: readonly Kept[], month: string): Mark {
  if (closedMonths(deps).has(month)) return 'final'
  const isAccepted = kept.some((one) => one.month === month && one.acceptedAt !== null)
  return isAccepted ? 'reconciled' : 'metered'
}

export type Mark = 'metered' | 'reconciled' | 'final'

/** Of a stretch of time: that of its least known month. */
export async function markBetween(deps: ControlDeps, from: Instant, to: Instant): Promise<Mark> {
  const kept = await reconciliationsOf(deps)
  let mark: Mark = 'final'
  for (let at = monthSpan(toIso(from).slice(0, 7)); at.start < to; ) {
    const month = toIso(at.start).slice(0, 7)
    const own = markOf(deps, kept, month)
    if (own === 'metered') return own
    if (own === 'reconciled') mark = own
    at = monthSpan(toIso(at.end).slice(0, 7))
  }
  return mark
}

const openMax = 10_000

/** A call that is in flight ends in the month in which it was made. */
async function requireEnded({ store }: ControlDeps, month: string): Promise<void> {
  const { end } = monthSpan(month)
  const open = await store.overdue(instant(Number.MAX_SAFE_INTEGER), openMax)
  const own = open.filter(({ madeAt }) => madeAt < end).length
  if (own === 0) return
  throw conflict(
    'calls_open',
    `${own} calls of ${month} have not ended yet: close it when they have.`,
  )
}
