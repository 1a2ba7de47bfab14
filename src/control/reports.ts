/** Reports: read from sums that are kept with the ledger, however large it has grown. */
import { z } from 'zod'
import {
  regroupSpend,
  type SpendDimension,
  type SpendQuery,
  type SpendRow,
  spendDimensions,
} from '#core/spend.ts'
import { type Instant, parseInstant, periodAt, toIso } from '#core/time.ts'
import { groupsSeen } from './access.ts'
import type { Actor, ControlDeps } from './deps.ts'
import { besideSpend, observedSeen } from './observed-seen.ts'
import { invalid } from './problem.ts'
import { declare, everybody, type Route } from './route.ts'
import { usd } from './shapes.ts'

export const spendQuery = z.object({
  /** ISO 8601; the hour that it is in counts whole. Left out: the current month, UTC. */
  from: z.string().optional(),
  to: z.string().optional(),
  /** Comma-separated: `day` and dimensions. */
  by: z.string().optional(),
})

const spendShape = z.object({
  day: z.string().optional(),
  business_unit: z.string().nullable().optional(),
  team: z.string().nullable().optional(),
  agent: z.string().nullable().optional(),
  environment: z.string().nullable().optional(),
  provider: z.string().nullable().optional(),
  model: z.string().nullable().optional(),
  calls: z.string(),
  tokens: z.string(),
  cost_usd: z.string(),
  presumed_usd: z.string(),
  /** Of calls that did not pass the gateway; where there are any. In no budget. */
  observed_usd: z.string().optional(),
})

export const reportRoutes: readonly Route[] = [
  declare({
    method: 'get',
    path: '/reports/spend',
    summary: 'What was spent, dearest first, by day, team, agent, model and more',
    allows: everybody,
    query: spendQuery,
    answer: z.array(spendShape),
    handle: async ({ deps, actor, query }) => {
      const { by, daily } = groupsOf(query.by)
      const asked = { ...spanOf(deps, query), daily, by }
      const [spent, observed] = await Promise.all([
        spendSeen(deps, actor, asked),
        observedSeen(deps, actor, asked),
      ])
      return besideSpend(spent, observed).map(({ spend, observed: beside }) => ({
        ...showSpend(spend, by),
        ...(beside === null ? {} : { observed_usd: usd(beside.cost) }),
      }))
    },
  }),
]

/** What was spent, as an actor may see it. */
export function spendSeen(
  { store }: ControlDeps,
  actor: Actor,
  query: SpendQuery,
): Promise<readonly SpendRow[]> {
  return groupsSeen(actor, query, (asked) => store.spend(asked), regroupSpend)
}

export function groupsOf(text = ''): {
  readonly by: readonly SpendDimension[]
  readonly daily: boolean
} {
  const names = text.split(',').filter((name) => name !== '')
  const by = spendDimensions.filter((dimension) => names.includes(dimension))
  const known: readonly string[] = ['day', ...spendDimensions]
  const unknown = names.find((name) => !known.includes(name))
  if (unknown !== undefined) {
    throw invalid('by', `"${unknown}" is not one of: ${known.join(', ')}`)
  }
  return { by, daily: names.includes('day') }
}

export function spanOf(
  { clock }: ControlDeps,
  { from, to }: { readonly from?: string | undefined; readonly to?: string | undefined },
): { readonly from: Instant; readonly to: Instant } {
  const month = periodAt('month', 'UTC', clock.now())
  return { from: instantOf('from', from) ?? month.start, to: instantOf('to', to) ?? month.end }
}

/** A day or a time as it was written; null: nothing was. */
export function instantOf(name: string, text: string | undefined): Instant | null {
  if (text === undefined) return null
  const at = parseInstant(/^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}T00:00:00Z` : text)
  if (at === null) throw invalid(name, `"${text}" is not a time: write 2026-11-01`)
  return at
}

function showSpend(row: SpendRow, by: readonly SpendDimension[]): z.infer<typeof spendShape> {
  return {
    ...(row.day === null ? {} : { day: toIso(row.day).slice(0, 10) }),
    ...Object.fromEntries(by.map((dimension) => [dimension, row.scope[dimension]])),
    calls: String(row.calls),
    tokens: String(row.tokens),
    cost_usd: usd(row.cost),
    presumed_usd: usd(row.presumed),
  }
}
