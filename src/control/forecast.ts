/** Where budgets will stand when their periods end. */
import { z } from 'zod'
import type { Outlook } from '#core/outlook.ts'
import { toIso } from '#core/time.ts'
import { reaches } from './access.ts'
import { declare, everybody, type Route } from './route.ts'
import { usd } from './shapes.ts'

const forecastShape = z.object({
  budget: z.string(),
  name: z.string(),
  period_end: z.string(),
  limit_usd: z.string(),
  posted_usd: z.string(),
  /** Null: fewer than seven whole days to judge by. */
  expected_usd: z.string().nullable(),
  low_usd: z.string().nullable(),
  high_usd: z.string().nullable(),
  /** The UTC day on which 100 % is passed if what is expected comes. */
  passes_on: z.string().nullable(),
})

export const forecastRoutes: readonly Route[] = [
  declare({
    method: 'get',
    path: '/reports/forecast',
    summary: 'What budgets of a week and longer will have cost at their end, with an 80 % interval',
    allows: everybody,
    answer: z.array(forecastShape),
    handle: async ({ deps, actor }) =>
      (await deps.outlooks())
        .filter(({ rule }) => reaches(deps, actor, rule.selector))
        .map(showOutlook),
  }),
]

function showOutlook({ rule, account, end, passes }: Outlook): z.infer<typeof forecastShape> {
  const amount = (value: number | undefined): string | null =>
    value === undefined ? null : usd(BigInt(Math.round(value)))
  return {
    budget: rule.id,
    name: rule.name,
    period_end: toIso(account.period.end),
    limit_usd: usd(rule.amount),
    posted_usd: usd(account.posted),
    expected_usd: amount(end?.expected),
    low_usd: amount(end?.low),
    high_usd: amount(end?.high),
    passes_on: passes === null ? null : toIso(passes).slice(0, 10),
  }
}
