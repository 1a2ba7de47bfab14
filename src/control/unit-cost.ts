/** `/reports/unit-cost`: what one outcome cost, and how sure that is. */
import { z } from 'zod'
import type { CostRow } from '#core/outcome-cost.ts'
import { whole } from '#core/outcome-cost.ts'
import type { UnitCost } from '#core/outcome-report.ts'
import type { OutcomeDefinition } from '#core/outcome.ts'
import type { Dimension } from '#core/scope.ts'
import { type Period, toIso } from '#core/time.ts'
import { subtreeSelector } from './access.ts'
import type { ControlDeps } from './deps.ts'
import { invalid } from './problem.ts'
import { instantOf, spanOf } from './reports.ts'
import { type Mark, markBetween } from './months.ts'
import { declare, everybody, type Route } from './route.ts'
import { usd } from './shapes.ts'

const groups = [
  'agent',
  'team',
  'business_unit',
  'environment',
  'tenant',
  'provider',
  'model',
] as const satisfies readonly Dimension[]

const query = z.object({
  /** Left out: the only type that is defined. */
  type: z.string().optional(),
  by: z.string().optional(),
  /** Left out: the current month, UTC. */
  from: z.string().optional(),
  to: z.string().optional(),
  /** When the period was closed; left out: once its last quiet period was over. */
  closed_at: z.string().optional(),
})

const rowShape = z.object({
  group: z.string().nullable(),
  /** Outcomes that hold; a part of one where several had a hand in it. */
  outcomes: z.number(),
  calls: z.number(),
  metered_usd: z.string(),
  presumed_usd: z.string(),
  /** With the layers that the ledger does not have. */
  cost_usd: z.string(),
  cost_per_outcome_usd: z.string().nullable(),
  low_usd: z.string().nullable(),
  high_usd: z.string().nullable(),
  layers: z.object({
    model_usd: z.string(),
    tools_usd: z.string(),
    classifier_usd: z.string(),
    platform_fee_usd: z.string(),
    human_usd: z.string(),
  }),
})

const reportShape = rowShape.omit({ group: true }).extend({
  type: z.string(),
  from: z.string(),
  to: z.string(),
  /** How far the months of the period are known: the least known one says it. */
  mark: z.enum(['metered', 'reconciled', 'final']),
  confidence: z.literal('95 %'),
  /** Fewer than 30: the count says more than the quotient. */
  few: z.boolean(),
  provisional: z.number(),
  reversed: z.number(),
  repeated: z.number(),
  attested_by: z.record(z.string(), z.number()),
  /** More than one: the numbers of two definitions are not one series. */
  definitions: z.array(z.string()),
  fates: z.object({
    confirmed_usd: z.string(),
    provisional_usd: z.string(),
    reversed_usd: z.string(),
    open_usd: z.string(),
    unlinked_usd: z.string(),
  }),
  value_usd: z.string().nullable(),
  compare_usd: z.string().nullable(),
  as_reported: z.object({
    closed_at: z.string(),
    outcomes: z.number(),
    cost_per_outcome_usd: z.string().nullable(),
    added_since: z.number(),
    removed_since: z.number(),
  }),
  by: z.string().nullable(),
  rows: z.array(rowShape),
  dearest: z.array(z.object({ outcome: z.string(), cost_usd: z.string() })),
})

export const unitCostRoutes: readonly Route[] = [
  declare({
    method: 'get',
    path: '/reports/unit-cost',
    summary: 'What one outcome cost, all attempts included, with its interval and its layers',
    allows: everybody,
    query,
    answer: reportShape,
    handle: async ({ deps, actor, query: asked }) => {
      const definition = definitionOf(deps, asked.type)
      const by = groupOf(asked.by)
      const span = spanOf(deps, asked)
      const period = { start: span.from, end: span.to }
      if (period.end <= period.start) throw invalid('to', 'it is not after `from`')
      const closedAt = instantOf('closed_at', asked.closed_at)
      const question = { definition, period, by, closedAt, now: deps.clock.now() }
      const cost = await deps.unitCost(question, subtreeSelector(actor))
      const mark = await markBetween(deps, period.start, period.end)
      return show(definition, period, by, cost, mark)
    },
  }),
]

function definitionOf(deps: ControlDeps, type: string | undefined): OutcomeDefinition {
  const { outcomes } = deps.snapshot()
  const known = outcomes.map((one) => one.type)
  const [first, second] = outcomes
  if (first === undefined) {
    throw invalid('type', 'no outcome is defined: add one under outcomes: in the config')
  }
  if (type === undefined && second === undefined) return first
  const found = outcomes.find((one) => one.type === type)
  if (found !== undefined) return found
  throw invalid('type', `write one of: ${known.join(', ')}`)
}

function groupOf(text: string | undefined): (typeof groups)[number] | null {
  if (text === undefined || text === '') return null
  const found = groups.find((one) => one === text)
  if (found === undefined) throw invalid('by', `"${text}" is not one of: ${groups.join(', ')}`)
  return found
}

const usdOr = (amount: bigint | null): string | null => (amount === null ? null : usd(amount))

function showRow(row: CostRow): z.infer<typeof rowShape> {
  const { layers } = row
  return {
    group: row.group,
    outcomes: Number(row.counted) / Number(whole),
    calls: Number(row.calls),
    metered_usd: usd(row.metered),
    presumed_usd: usd(row.presumed),
    cost_usd: usd(row.cost),
    cost_per_outcome_usd: usdOr(row.perOutcome),
    low_usd: usdOr(row.interval?.low ?? null),
    high_usd: usdOr(row.interval?.high ?? null),
    layers: {
      model_usd: usd(layers.model),
      tools_usd: usd(layers.tools),
      classifier_usd: usd(layers.classifier),
      platform_fee_usd: usd(layers.platformFee),
      human_usd: usd(layers.human),
    },
  }
}

const fewOutcomes = 30

function show(
  definition: OutcomeDefinition,
  period: Period,
  by: string | null,
  found: UnitCost,
  mark: Mark,
): z.infer<typeof reportShape> {
  const { group: _, ...total } = showRow(found.total)
  const { fates, counts, reported } = found
  const each = reported === 0 ? null : (found.total.cost + BigInt(reported) / 2n) / BigInt(reported)
  return {
    type: definition.type,
    from: toIso(period.start),
    to: toIso(period.end),
    mark,
    ...total,
    confidence: '95 %',
    few: counts.confirmed < fewOutcomes,
    provisional: counts.provisional,
    reversed: counts.reversed,
    repeated: counts.repeated,
    attested_by: { ...found.attestedBy },
    definitions: [...found.versions],
    fates: {
      confirmed_usd: usd(fates.confirmed),
      provisional_usd: usd(fates.provisional),
      reversed_usd: usd(fates.reversed),
      open_usd: usd(fates.open),
      unlinked_usd: usd(fates.unlinked),
    },
    value_usd: usdOr(found.value),
    compare_usd: usdOr(definition.compare),
    as_reported: {
      closed_at: toIso(found.closedAt),
      outcomes: reported,
      cost_per_outcome_usd: usdOr(each),
      added_since: found.added,
      removed_since: found.removed,
    },
    by,
    rows: found.groups.map(showRow),
    dearest: found.dearest.map(({ outcome, cost }) => ({ outcome, cost_usd: usd(cost) })),
  }
}
