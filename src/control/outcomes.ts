/** `/outcomes`: what the money was spent for, told by whoever knows. */
import { z } from 'zod'
import { attesters, foldOutcomes, pageOf } from '#core/outcome.ts'
import { spentWithin } from '#core/role.ts'
import { instant } from '#core/time.ts'
import type { Actor, ControlDeps } from './deps.ts'
import { book, bookAll } from './outcome-desk.ts'
import { importOf } from './outcome-import.ts'
import { eventShape, outcomeShape, showEvent, showOutcome } from './outcome-shapes.ts'
import { outcomeBody, saidOf } from './outcome-said.ts'
import { instantOf } from './reports.ts'
import { declare, everybody, notViewers, type Route } from './route.ts'

const listQuery = z.object({
  type: z.string().optional(),
  from: z.string().optional(),
  to: z.string().optional(),
  state: z.enum(['provisional', 'confirmed', 'reversed']).optional(),
  /** The `seq` of the last one of the page before. */
  after: z.coerce.number().int().min(0).default(0),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
})

const importBody = z.strictObject({
  csv: z.string(),
  /** Our field to the column that has it. */
  columns: z.record(z.string(), z.string()).optional(),
  /** For rows that do not say. */
  type: z.string().optional(),
  attested_by: z.enum(attesters).optional(),
  dry_run: z.boolean().optional(),
})

/** For who sends the CSV as it is. */
const importQuery = z.object({ type: z.string().optional() })

export const outcomeRoutes: readonly Route[] = [
  declare({
    method: 'get',
    path: '/outcomes',
    summary: 'Outcomes in the order in which they were told, and what became of them',
    allows: everybody,
    query: listQuery,
    answer: z.array(outcomeShape),
    handle: async ({ deps, actor, query }) => listed(deps, actor, query),
  }),
  declare({
    method: 'post',
    path: '/outcomes',
    status: 201,
    summary: 'Tell of an outcome, once for each id; with `reverses`, take one back',
    allows: notViewers,
    body: outcomeBody,
    answer: eventShape.extend({ repeated: z.boolean() }),
    handle: async ({ deps, actor, body }) => {
      const { event, repeated } = await book(deps, actor, saidOf(body), 'api')
      return { ...showEvent(event), repeated }
    },
  }),
  declare({
    method: 'post',
    path: '/outcomes/import',
    summary: 'A CSV of outcomes, a row each; bad rows are told by line, good ones booked once',
    allows: notViewers,
    body: importBody,
    query: importQuery,
    answer: z.object({
      added: z.number(),
      repeated: z.number(),
      errors: z.array(z.object({ line: z.number(), message: z.string() })),
    }),
    handle: async ({ deps, actor, body, query }) => {
      const { rows, errors } = importOf(body.csv, {
        columns: body.columns ?? {},
        type: body.type ?? query.type,
        attested_by: body.attested_by,
      })
      const dryRun = body.dry_run === true
      const done = await bookAll(deps, actor, rows, { source: 'csv', dryRun })
      const all = [...errors, ...done.errors].sort((a, b) => a.line - b.line)
      return { ...done, errors: all }
    },
  }),
]

const endOfTime = instant(253_402_300_799_000)

async function listed(
  deps: ControlDeps,
  { subtree }: Actor,
  asked: z.output<typeof listQuery>,
): Promise<readonly z.infer<typeof outcomeShape>[]> {
  const out: z.infer<typeof outcomeShape>[] = []
  const query = {
    type: asked.type ?? null,
    from: instantOf('from', asked.from) ?? instant(0),
    to: instantOf('to', asked.to) ?? endOfTime,
    limit: asked.limit,
  }
  for (let after = asked.after; out.length < asked.limit; ) {
    const events = await deps.store.outcomeEvents({ ...query, after })
    const page = pageOf(events, { ...query, after })
    const views = new Map(
      foldOutcomes(events, deps.clock.now()).map((view) => [view.claim.id, view]),
    )
    for (const claim of page) {
      const view = views.get(claim.id)
      const isSeen = subtree === null || spentWithin(subtree, claim.place)
      const isMeant = asked.state === undefined || view?.state === asked.state
      if (view !== undefined && isSeen && isMeant) out.push(showOutcome(view, claim))
    }
    const last = page.at(-1)
    if (last === undefined || page.length < asked.limit) break
    after = last.seq
  }
  return out.slice(0, asked.limit)
}
