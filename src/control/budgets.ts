import { z } from 'zod'
import { openAccount } from '#core/account.ts'
import type { BudgetRule } from '#core/budget.ts'
import { reliefOf } from '#core/override.ts'
import { type AccountView, viewOf } from '#core/view.ts'
import type { ControlDeps } from './deps.ts'
import { notFound } from './problem.ts'
import { declare, type Route } from './route.ts'
import { budgetShape, quotaShape, showBudget, showQuota } from './shapes.ts'

export const budgetRoutes: readonly Route[] = [
  declare({
    method: 'get',
    path: '/budgets',
    summary: 'Budgets with their current accounts',
    answer: z.array(budgetShape),
    handle: async ({ deps }) => (await viewsNow(deps, isMoney)).map(showBudget),
  }),
  declare({
    method: 'get',
    path: '/budgets/{id}',
    summary: 'One budget: an account a value',
    answer: z.array(budgetShape),
    handle: async ({ deps, params: { id = '' } }) => {
      const views = await viewsNow(deps, (rule) => isMoney(rule) && rule.id === id)
      if (views.length === 0) throw notFound('budget', id)
      return views.map(showBudget)
    },
  }),
  declare({
    method: 'get',
    path: '/quotas',
    summary: 'Quotas with their current accounts',
    answer: z.array(quotaShape),
    handle: async ({ deps }) => (await viewsNow(deps, (rule) => !isMoney(rule))).map(showQuota),
  }),
]

const isMoney = ({ unit }: BudgetRule): boolean => unit === 'usd'

/** Every rule has at least one row: one that nobody has spent against shows as zero. */
async function viewsNow(
  deps: ControlDeps,
  wanted: (rule: BudgetRule) => boolean,
): Promise<readonly AccountView[]> {
  const now = deps.clock.now()
  const overrides = await deps.store.overrides()
  const accounts = await deps.store.accountsAt(now)
  return deps
    .snapshot()
    .budgets.filter(wanted)
    .flatMap((rule) => {
      const own = accounts.filter(({ budget }) => budget === rule.id)
      const rows = own.length > 0 ? own : [openAccount({ rule, value: null }, now)]
      return rows.map((account) => viewOf(account, rule, reliefOf(overrides, account, now)))
    })
}
