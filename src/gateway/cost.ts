/**
 * What an ended attempt costs, from what the provider reported: known, or presumed at its maximum.
 */
import { charge, type ChargeLine } from '#core/charge.ts'
import type { Basis, Facts } from '#core/journal.ts'
import { formatUsd, max, type Nanos, type Ratio, zero } from '#core/money.ts'
import { type PriceRow, priceOf, type Tier } from '#core/price-book.ts'
import { count, noReport, promptTokens, type Usage, type UsageReport } from '#core/usage.ts'
import type { Attempt, Serving } from './call.ts'

export interface Costed {
  readonly cost: Nanos
  readonly basis: Exclude<Basis, 'nothing'>
  readonly tokens: number
  readonly facts: Facts
  readonly oddities: readonly string[]
}

export function costOf(serving: Serving, attempt: Attempt, report: UsageReport): Costed {
  const { target } = attempt
  const free = serving.parsed.endpoint.operation === 'count_tokens' || target.row === null
  const { usage } = report
  if (free) return known(zero, usage ?? { counts: {}, reasoningTokens: 0 }, report, [])
  if (usage === null) return presumed(attempt, 'the answer has no usage', report)
  const { row } = target
  if (row === null) return presumed(attempt, 'no price', report)

  const context = { tier: tierOf(report, serving), geo: report.geo ?? serving.parsed.shape.geo }
  const book = serving.snapshot.priceBook
  const lookup = (name: string): PriceRow | null => priceOf(book, name, serving.at)
  const asked = charge(report, row, context, lookup)
  if (!asked.ok) return presumed(attempt, asked.problem.message, report)
  const served = report.model === null || report.model === row.model ? null : lookup(report.model)
  if (served === null || served.model === row.model) {
    return known(asked.value.cost, usage, report, asked.value.lines)
  }
  // Another model answered than was asked for: the dearer of the two prices, never the cheaper.
  const other = charge(report, served, context, lookup)
  const cost = other.ok ? max(asked.value.cost, other.value.cost) : asked.value.cost
  const oddities = [...report.oddities, `answered by ${report.model}, asked for ${row.model}`]
  return known(cost, usage, { ...report, oddities }, asked.value.lines)
}

/** Nobody knows what it cost: the most that was held for it, until a bill says otherwise. */
export function presumed(attempt: Attempt, reason: string, report: UsageReport = noReport): Costed {
  return {
    cost: attempt.hold.amount,
    basis: 'presumed',
    tokens: attempt.hold.tokens,
    oddities: report.oddities,
    facts: { reason, responseId: report.responseId, usage: report.usage?.counts ?? {} },
  }
}

function known(
  cost: Nanos,
  usage: Usage,
  report: UsageReport,
  lines: readonly ChargeLine[],
): Costed {
  const tokens =
    promptTokens(usage) +
    count(usage, 'output') +
    count(usage, 'audio_output') +
    count(usage, 'image_output')
  return {
    cost,
    basis: 'actual',
    tokens,
    oddities: report.oddities,
    facts: {
      usage: usage.counts,
      reasoningTokens: usage.reasoningTokens,
      served: report.model,
      tier: report.tier,
      responseId: report.responseId,
      oddities: report.oddities,
      charge: lines.map(({ meter, quantity, unitPrice, multiplier }) => ({
        meter,
        quantity,
        usd_per_million: formatUsd((unitPrice * 1000n) as Nanos),
        ...timesOf(multiplier),
      })),
    },
  }
}

/** Of a tier or a place that does not cost the list price: "11/10". */
function timesOf({ numerator, denominator }: Ratio): { readonly multiplier?: string } {
  return numerator === denominator ? {} : { multiplier: `${numerator}/${denominator}` }
}

function tierOf(report: UsageReport, { parsed }: Serving): Tier | string {
  const [only, second] = parsed.shape.tiers
  return report.tier ?? (second === undefined ? (only ?? 'standard') : 'standard')
}
