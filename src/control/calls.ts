import { requireOpen } from './months.ts'
import { z } from 'zod'
import { budgetRulesOf } from '#core/rules-by-id.ts'
import type { Hold } from '#core/journal.ts'
import { toIso } from '#core/time.ts'
import { correctedFact } from '#core/recost.ts'
import { parseUsd } from '#core/money.ts'
import { spentWithin } from '#core/role.ts'
import { parseId } from '#lib/id.ts'
import { changed } from './audited.ts'
import type { Actor, ControlDeps } from './deps.ts'
import { conflict, invalid, notFound } from './problem.ts'
import { declare, everybody, notLeads, type Route, stewards } from './route.ts'
import { callShape, entryShape, showCall, showEntry, usd } from './shapes.ts'

const page = z.object({
  after: z.coerce.number().int().min(0).default(0),
  limit: z.coerce.number().int().min(1).max(10_000).default(100),
})
const adjustBody = z.strictObject({
  hold: z.string(),
  cost_usd: z.string(),
  reason: z.string().trim().min(3, 'say why, in at least 3 characters').max(500),
})

export const callRoutes: readonly Route[] = [
  declare({
    method: 'get',
    path: '/calls',
    summary: 'The newest calls',
    allows: everybody,
    query: z.object({ limit: z.coerce.number().int().min(1).max(1000).default(50) }),
    answer: z.array(callShape),
    handle: async ({ deps, actor, query }) => {
      const holds = await recentHolds(deps, actor, query.limit)
      const calls = new Map<string, [Hold, ...Hold[]]>()
      for (const hold of holds) {
        const known = calls.get(hold.call)
        if (known === undefined) calls.set(hold.call, [hold])
        else known.unshift(hold)
      }
      return [...calls.values()].map(showCall)
    },
  }),
  declare({
    method: 'get',
    path: '/calls/{id}',
    summary: 'One call: who, what, how much, and each attempt',
    allows: everybody,
    answer: callShape,
    handle: async ({ deps, actor, params: { id: text = '' } }) => {
      const id = parseId('call', text)
      const [first, ...rest] = id === null ? [] : await deps.store.holdsOf(id)
      if (first === undefined || !isSeen(actor, first)) {
        throw notFound('call with a hold', text)
      }
      return showCall([first, ...rest])
    },
  }),
  declare({
    method: 'get',
    path: '/ledger',
    summary: 'Ledger entries in the order of writing',
    allows: notLeads,
    query: page,
    answer: z.array(entryShape),
    handle: async ({ deps, query }) =>
      (await deps.store.entries(query.after, query.limit)).map(showEntry),
  }),
  declare({
    method: 'post',
    path: '/ledger/adjustments',
    status: 201,
    summary: 'Correct an attempt that has ended: what it did cost, by whom it is known',
    allows: stewards,
    body: adjustBody,
    answer: callShape,
    handle: async ({ deps, actor, body }) => {
      const cost = parseUsd(body.cost_usd)
      if (cost === null || cost < 0n) throw invalid('cost_usd', 'write it as 0.067500000')
      const before = await holdOf(deps, body.hold)
      requireOpen(deps, toIso(before.madeAt).slice(0, 7))
      // What a person or a bill has said, no price book says otherwise.
      const facts = { [correctedFact]: body.reason }
      const { result } = await deps.store.run(
        { kind: 'adjust', hold: before.id, cost, reason: body.reason, author: actor.name, facts },
        deps.clock.now(),
        budgetRulesOf(deps.snapshot()),
      )
      if (result.status === 'hold_already_resolved') {
        throw conflict('hold_pending', `Attempt ${body.hold} is still in flight.`)
      }
      await changed(
        deps,
        actor,
        { kind: 'note' },
        {
          action: 'ledger.adjusted',
          subject: before.id,
          reason: body.reason,
          before: { cost_usd: before.cost === null ? null : usd(before.cost) },
          after: { cost_usd: usd(cost) },
        },
      )
      const [first, ...rest] = await deps.store.holdsOf(before.call)
      if (first === undefined) throw notFound('attempt', body.hold)
      return showCall([first, ...rest])
    },
  }),
]

const isSeen = ({ subtree }: Actor, { attribution }: Hold): boolean =>
  subtree === null || spentWithin(subtree, attribution)

/** So many of the newest are looked through for those of a subtree. */
const readForLead = 10_000

async function recentHolds(
  { store }: ControlDeps,
  actor: Actor,
  limit: number,
): Promise<readonly Hold[]> {
  if (actor.subtree === null) return store.recentHolds(limit)
  const holds = await store.recentHolds(readForLead)
  return holds.filter((hold) => isSeen(actor, hold)).slice(0, limit)
}

async function holdOf(deps: ControlDeps, text: string): Promise<Hold> {
  const id = parseId('hold', text)
  const hold = id === null ? null : await deps.store.hold(id)
  if (hold === null) throw notFound('attempt', text)
  return hold
}
