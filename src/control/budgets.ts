import { z } from 'zod'
import { accountKey, openAccount } from '#core/account.ts'
import type { BudgetRule } from '#core/budget.ts'
import { rearm } from '#core/ladder.ts'
import { reliefOf } from '#core/override.ts'
import { type AccountView, viewOf } from '#core/view.ts'
import { reachesAccount } from './access.ts'
import type { Actor, ControlDeps } from './deps.ts'
import { notFound } from './problem.ts'
import { declare, everybody, type Route } from './route.ts'
import { budgetShape, quotaShape, showBudget, showQuota } from './shapes.ts'

export const budgetRoutes: readonly Route[] = [
  declare({
    method: 'get',
    path: '/budgets',
    summary: 'Budgets with their current accounts',
    allows: everybody,
    answer: z.array(budgetShape),
    handle: async ({ deps, actor }) => (await viewsNow(deps, actor, isMoney)).map(showBudget),
  }),
  declare({
    method: 'get',
    path: '/budgets/{id}',
    summary: 'One budget: an account a value',
    allows: everybody,
    answer: z.array(budgetShape),
    handle: async ({ deps, actor, params: { id = '' } }) => {
      const views = await viewsNow(deps, actor, (rule) => isMoney(rule) && rule.id === id)
      if (views.length === 0) throw notFound('budget', id)
      return views.map(showBudget)
    },
  }),
  declare({
    method: 'get',
    path: '/quotas',
    summary: 'Quotas with their current accounts',
    allows: everybody,
    answer: z.array(quotaShape),
    handle: async ({ deps, actor }) =>
      (await viewsNow(deps, actor, (rule) => !isMoney(rule))).map(showQuota),
  }),
]

const isMoney = ({ unit }: BudgetRule): boolean => unit === 'usd'

/** Every rule has at least one row: one that nobody has spent against shows as zero. */
async function viewsNow(
  deps: ControlDeps,
  actor: Actor,
  wanted: (rule: BudgetRule) => boolean,
): Promise<readonly AccountView[]> {
  const now = deps.clock.now()
  const overrides = await deps.store.overrides()
  const accounts = await deps.store.accountsAt(now)
  return deps
    .snapshot()
    .budgets.filter(wanted)
    .flatMap((rule) => {
      // After a change of the time zone the period before may not be over yet.
      const own = accounts.filter(
        ({ budget, key, value }) => budget === rule.id && key === accountKey({ rule, value }, now),
      )
      const rows = own.length > 0 ? own : [openAccount({ rule, value: null }, now)]
      const seen = rows.filter(({ value }) => reachesAccount(deps, actor, rule, value))
      return seen.map((account) => {
        // A limit that was edited since the last call holds for the next one.
        const current = rearm(account, rule, now).account
        return viewOf(current, rule, reliefOf(overrides, account, now))
      })
    })
}
