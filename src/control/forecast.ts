/** Where budgets will stand when their periods end. */
import { z } from 'zod'
import { valuesMax } from '#core/day-book.ts'
import type { Outlook } from '#core/outlook.ts'
import { toIso } from '#core/time.ts'
import { reachesAccount } from './access.ts'
import { declare, everybody, type Route } from './route.ts'
import { usd } from './shapes.ts'

const forecastShape = z.object({
  budget: z.string(),
  name: z.string(),
  /** Of a `per:` budget: whose account it is. */
  value: z.string().nullable(),
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
    /** Accounts of each budget, those first that come closest to its amount. */
    query: z.object({ limit: z.coerce.number().int().min(1).max(valuesMax).default(100) }),
    answer: z.array(forecastShape),
    handle: async ({ deps, actor, query }) => {
      const seen = (await deps.outlooks()).filter(({ rule, account }) =>
        reachesAccount(deps, actor, rule, account.value),
      )
      const byRule = Map.groupBy(seen, ({ rule }) => rule)
      return [...byRule.values()].flatMap((own) =>
        closestFirst(own).slice(0, query.limit).map(showOutlook),
      )
    },
  }),
]

/** Of the accounts of one budget, those that come closest to its amount. */
function closestFirst(outlooks: readonly Outlook[]): readonly Outlook[] {
  return outlooks.toSorted((a, b) => share(b) - share(a))
}

function share({ rule, account, end }: Outlook): number {
  return (end?.expected ?? Number(account.posted)) / Math.max(1, Number(rule.amount))
}

function showOutlook({ rule, account, end, passes }: Outlook): z.infer<typeof forecastShape> {
  const amount = (value: number | undefined): string | null =>
    value === undefined ? null : usd(BigInt(Math.round(value)))
  return {
    budget: rule.id,
    name: rule.name,
    value: account.value,
    period_end: toIso(account.period.end),
    limit_usd: usd(rule.amount),
    posted_usd: usd(account.posted),
    expected_usd: amount(end?.expected),
    low_usd: amount(end?.low),
    high_usd: amount(end?.high),
    passes_on: passes === null ? null : toIso(passes).slice(0, 10),
  }
}
