/**
 * `/reports/focus`: the ledger as FOCUS rows, a page at a time. A page is what a charge period came
 * to, and at most so many rows and calls: a month of a million calls is read in bounded memory.
 */
import { z } from 'zod'
import {
  addCharges,
  chargesOf,
  chargeStart,
  type FocusGrain,
  focusGrains,
  type FocusTally,
  focusVersions,
  grainMs,
  inFocusOrder,
} from '#core/focus.ts'
import { focusCells, focusColumns, focusRow } from '#core/focus-columns.ts'
import { providersOf } from '#core/focus-names.ts'
import type { Hold } from '#core/journal.ts'
import { spentWithin } from '#core/role.ts'
import { type Instant, instant } from '#core/time.ts'
import { parseId } from '#lib/id.ts'
import type { Actor, ControlDeps } from './deps.ts'
import { invalid } from './problem.ts'
import { spanOf } from './reports.ts'
import { declare, everybody, type Route } from './route.ts'
import { usd } from './shapes.ts'

const query = z.object({
  /** ISO 8601, at a whole charge period. Left out: the current month, UTC. */
  from: z.string().optional(),
  to: z.string().optional(),
  version: z.enum(focusVersions).default('1.2'),
  grain: z.enum(focusGrains).default('day'),
  /** `next` of the page before. */
  after: z.string().optional(),
})

const shape = z.object({
  version: z.enum(focusVersions),
  columns: z.array(z.string()),
  /** Cells in the order of the columns; numbers are exact decimal strings. */
  rows: z.array(z.array(z.string().nullable())),
  calls: z.number(),
  billed_usd: z.string(),
  /** Null: this was the last page. */
  next: z.string().nullable(),
})

export const focusRoutes: readonly Route[] = [
  declare({
    method: 'get',
    path: '/reports/focus',
    summary: 'What was charged, as FOCUS 1.2 or 1.4, a page at a time',
    allows: everybody,
    query,
    answer: shape,
    handle: async ({ deps, actor, query: asked }) => {
      const { version, grain } = asked
      const span = spanOf(deps, asked)
      for (const name of ['from', 'to'] as const) {
        if (span[name] % grainMs(grain) === 0) continue
        throw invalid(name, `a report by ${grain} begins and ends with a whole ${grain}, UTC`)
      }
      const from = asked.after === undefined ? null : placeOf(asked.after)
      const page = await readPage(deps, actor, {
        place: from ?? { madeAt: span.from, id: '' },
        to: span.to,
        grain,
      })
      const columns = focusColumns(version)
      const names = providersOf(deps.snapshot())
      const charges = inFocusOrder(page.tally)
      return {
        version,
        columns: [...columns],
        rows: charges.map((charge) => {
          const { provider, model } = charge.key
          const row = focusRow(charge, names(provider, model), grainMs(grain))
          return [...focusCells(row, columns)]
        }),
        calls: page.calls,
        billed_usd: usd(charges.reduce((sum, { cost }) => sum + cost, 0n)),
        next: page.next === null ? null : `${page.next.madeAt}.${page.next.id}`,
      }
    },
  }),
]

interface Span {
  readonly place: HoldPlace
  readonly to: Instant
  readonly grain: FocusGrain
}

/** Where a page begins. An empty id stands before all that were made at the time. */
type HoldPlace = Pick<Hold, 'madeAt'> & { readonly id: Hold['id'] | '' }

interface Page {
  readonly tally: FocusTally
  readonly calls: number
  readonly next: HoldPlace | null
}

/** Read at once, in a few milliseconds of the event loop: calls are served between two. */
const holdsAtOnce = 250
/** A page ends with its charge period, or where it has so many groups or has read so much. */
const rowsMax = 5000
const holdsMax = 50_000

async function readPage({ store, clock }: ControlDeps, actor: Actor, span: Span): Promise<Page> {
  const tally: FocusTally = new Map()
  let { place } = span
  let calls = 0
  let read = 0
  let period: Instant | null = null
  for (;;) {
    const after = place.id === '' ? null : { madeAt: place.madeAt, id: place.id }
    const asked = { from: place.madeAt, to: span.to, after, limit: holdsAtOnce }
    const holds = await store.holdsMade(asked)
    for (const hold of holds) {
      const start = chargeStart(hold.madeAt, span.grain)
      const isOver = (period ?? start) !== start && tally.size > 0
      if (isOver || tally.size >= rowsMax || read >= holdsMax) return { tally, calls, next: place }
      period = start
      read += 1
      place = { madeAt: hold.madeAt, id: hold.id }
      if (!isSeen(actor, hold)) continue
      const charges = chargesOf(hold, span.grain)
      if (charges.length > 0) calls += 1
      addCharges(tally, charges)
    }
    if (holds.length < holdsAtOnce) return { tally, calls, next: null }
    await clock.sleep(0)
  }
}

const isSeen = ({ subtree }: Actor, { attribution }: Hold): boolean =>
  subtree === null || spentWithin(subtree, attribution)

function placeOf(text: string): HoldPlace {
  const match = /^(\d{1,15})\.(.{1,100})$/.exec(text)
  const id = match === null ? null : parseId('hold', match[2] ?? '')
  if (id === null) throw invalid('after', 'it is `next` of the page before')
  return { madeAt: instant(Number(match?.[1])), id }
}
