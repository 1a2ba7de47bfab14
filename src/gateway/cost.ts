/**
 * What an ended attempt costs, from what the provider reported: known, or presumed at its maximum.
 */
import type { ChargeContext, ChargeLine } from '#core/charge.ts'
import { contractFor } from '#core/contract.ts'
import { listLookup, netLookup, priced } from '#core/costing.ts'
import type { Basis, Facts } from '#core/journal.ts'
import { formatUsd, type Nanos, type Ratio, zero } from '#core/money.ts'
import type { Tier } from '#core/price-book.ts'
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

  const { snapshot, at } = serving
  const context = { tier: tierOf(report, serving), geo: report.geo ?? serving.parsed.shape.geo }
  const lookup = netLookup(snapshot, target.provider.name, at)
  const net = priced(report, row, context, lookup)
  if (!net.ok) return presumed(attempt, net.problem.message, report)
  const { cost, lines, oddity } = net.value
  const told = oddity === null ? report : { ...report, oddities: [...report.oddities, oddity] }
  const terms = { ...context, ...listCost(serving, attempt, report, context) }
  return known(cost, usage, told, lines, terms)
}

/** What it would have cost without a contract, and which terms it was charged at. */
function listCost(
  { snapshot, at }: Serving,
  { target: { provider, model } }: Attempt,
  report: UsageReport,
  context: ChargeContext,
): Facts {
  if (snapshot.contracts.length === 0) return {}
  const contract = contractFor(snapshot.contracts, provider.name, model, at)
  const list = listLookup(snapshot, at)
  const row = list(model)
  if (contract === null || row === null) return {}
  const full = priced(report, row, context, list)
  return {
    contract: contract.terms.kind,
    ...(full.ok ? { listUsd: formatUsd(full.value.cost) } : {}),
  }
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
  terms: Facts = {},
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
      ...(report.others.length === 0 ? {} : { others: report.others }),
      responseId: report.responseId,
      oddities: report.oddities,
      charge: lines.map(({ meter, quantity, unitPrice, multiplier }) => ({
        meter,
        quantity,
        usd_per_million: formatUsd((unitPrice * 1000n) as Nanos),
        ...timesOf(multiplier),
      })),
      ...terms,
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
