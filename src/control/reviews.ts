/** Budgets are looked at again: by whom, when, and what the last months would make of them. */
import { z } from 'zod'
import type { BudgetRule } from '#core/budget.ts'
import { dimensionsOf, isReported, rowsByValue, seriesOf } from '#core/outlook.ts'
import {
  asReview,
  type Proposal,
  proposalDays,
  proposalOf,
  type Review,
  reviewState,
} from '#core/review.ts'
import { dayMs, dayOf } from '#core/spend.ts'
import { instant, toIso } from '#core/time.ts'
import { reachesAccount } from './access.ts'
import { changed } from './audited.ts'
import type { Actor, ControlDeps } from './deps.ts'
import { notFound } from './problem.ts'
import { declare, everybody, notViewers, type Route } from './route.ts'
import { usd } from './shapes.ts'

const proposalShape = z.object({
  spent_90_days_usd: z.string(),
  expected_usd: z.string(),
  high_usd: z.string(),
  /** What a new budget might be: in nine of ten periods this is enough. */
  amount_usd: z.string(),
})

const reviewShape = z.object({
  budget: z.string(),
  name: z.string(),
  owner: z.string().nullable(),
  amount: z.string(),
  review_every_days: z.number().nullable(),
  last_reviewed_at: z.string().nullable(),
  last_reviewed_by: z.string().nullable(),
  note: z.string().nullable(),
  due_at: z.string().nullable(),
  overdue_days: z.number(),
  is_due: z.boolean(),
  /** Null: too few days, or a budget whose spend reports do not tell apart. */
  proposal: proposalShape.nullable(),
})

export const reviewRoutes: readonly Route[] = [
  declare({
    method: 'get',
    path: '/reviews',
    summary: 'Budgets that are to be reviewed, the one most overdue first',
    allows: everybody,
    query: z.object({ overdue: z.enum(['true', 'false']).optional() }),
    answer: z.array(reviewShape),
    handle: async ({ deps, actor, query }) => {
      const rules = rulesSeen(deps, actor).filter(({ reviewEveryDays }) => reviewEveryDays !== null)
      const shown = await shownOf(deps, rules)
      return shown
        .filter((one) => query.overdue !== 'true' || one.is_due)
        .sort((a, b) => b.overdue_days - a.overdue_days)
    },
  }),
  declare({
    method: 'post',
    path: '/budgets/{id}/review',
    summary: 'Somebody has looked at a budget, and says what they found',
    allows: notViewers,
    body: z.strictObject({
      note: z.string().trim().min(3, 'say what you found, in at least 3 characters').max(1000),
    }),
    answer: reviewShape,
    handle: async ({ deps, actor, params: { id = '' }, body: { note } }) => {
      const rule = rulesSeen(deps, actor).find((one) => one.id === id)
      if (rule === undefined) throw notFound('budget', id)
      const before = asReview(deps.records.all('review').get(rule.id))
      const value: Review = { at: deps.clock.now(), by: actor.name, note, isFirst: false }
      const record = { kind: 'review', id: rule.id, value } as const
      await changed(
        deps,
        actor,
        { kind: 'put_record', record },
        { action: 'budget.reviewed', subject: rule.id, reason: note, before, after: value },
      )
      deps.records.put(record)
      const [shown] = await shownOf(deps, [rule])
      return shown
    },
  }),
]

function rulesSeen(deps: ControlDeps, actor: Actor): readonly BudgetRule[] {
  return deps
    .snapshot()
    .budgets.filter((rule) => rule.unit === 'usd' && reachesAccount(deps, actor, rule, null))
}

async function shownOf(
  deps: ControlDeps,
  rules: readonly BudgetRule[],
): Promise<z.infer<typeof reviewShape>[]> {
  const now = deps.clock.now()
  const from = instant(dayOf(now) - proposalDays * dayMs)
  const told = rules.filter(canPropose)
  const by = dimensionsOf(told)
  const rows = told.length === 0 ? [] : await deps.store.spend({ from, to: now, daily: true, by })
  return rules.map((rule) => {
    const last = asReview(deps.records.all('review').get(rule.id))
    const state = reviewState(rule, last, now)
    const reviewed = last === null || last.isFirst ? null : last
    const own = rowsByValue(rule, rows).get(null) ?? []
    const proposal = canPropose(rule) ? proposalOf(rule, seriesOf(own, now).days) : null
    return {
      budget: rule.id,
      name: rule.name,
      owner: rule.owner,
      amount: usd(rule.amount),
      review_every_days: rule.reviewEveryDays,
      last_reviewed_at: reviewed === null ? null : toIso(reviewed.at),
      last_reviewed_by: reviewed?.by ?? null,
      note: reviewed?.note ?? null,
      due_at: state === null ? null : toIso(state.dueAt),
      overdue_days: state?.overdueDays ?? 0,
      is_due: state?.isDue ?? false,
      proposal: proposal === null ? null : showProposal(proposal),
    }
  })
}

const canPropose = (rule: BudgetRule): boolean =>
  rule.unit === 'usd' && rule.per === null && isReported(rule)

function showProposal(proposal: Proposal): z.infer<typeof proposalShape> {
  const shown = (amount: number): string => usd(BigInt(Math.round(amount)))
  return {
    spent_90_days_usd: shown(proposal.spent),
    expected_usd: shown(proposal.expected),
    high_usd: shown(proposal.high),
    amount_usd: shown(proposal.amount),
  }
}
