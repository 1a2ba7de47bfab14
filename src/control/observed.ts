/** The report of what was only observed: beside spend, and in no budget. */
import { z } from 'zod'
import type { ObservedRow } from '#core/observed.ts'
import type { SpendDimension } from '#core/spend.ts'
import { toIso } from '#core/time.ts'
import { observedSeen } from './observed-seen.ts'
import { groupsOf, spanOf, spendQuery } from './reports.ts'
import { declare, everybody, type Route } from './route.ts'
import { usd } from './shapes.ts'

const observedShape = z.object({
  day: z.string().optional(),
  business_unit: z.string().nullable().optional(),
  team: z.string().nullable().optional(),
  agent: z.string().nullable().optional(),
  environment: z.string().nullable().optional(),
  provider: z.string().nullable().optional(),
  model: z.string().nullable().optional(),
  calls: z.string(),
  tokens: z.string(),
  observed_usd: z.string(),
  unpriced_calls: z.string(),
  duplicates: z.string(),
})

export const observedRoutes: readonly Route[] = [
  declare({
    method: 'get',
    path: '/reports/observed',
    summary: 'Calls that did not pass the gateway, as telemetry tells of them; in no budget',
    allows: everybody,
    query: spendQuery,
    answer: z.array(observedShape),
    handle: async ({ deps, actor, query }) => {
      const { by, daily } = groupsOf(query.by)
      const rows = await observedSeen(deps, actor, { ...spanOf(deps, query), daily, by })
      return rows.map((row) => showObserved(row, by))
    },
  }),
]

function showObserved(
  row: ObservedRow,
  by: readonly SpendDimension[],
): z.infer<typeof observedShape> {
  return {
    ...(row.day === null ? {} : { day: toIso(row.day).slice(0, 10) }),
    ...Object.fromEntries(by.map((dimension) => [dimension, row.scope[dimension]])),
    calls: String(row.calls),
    tokens: String(row.tokens),
    observed_usd: usd(row.cost),
    unpriced_calls: String(row.unpriced),
    duplicates: String(row.duplicates),
  }
}
