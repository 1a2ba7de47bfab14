/** `max_usd_per_outcome` of budgets to limits on what one outcome may cost. */
import { parseUsd } from '#core/money.ts'
import type { OutcomeLimit } from '#core/outcome-limit.ts'
import {
  checkSelector,
  idOf,
  moneyLimits,
  nameOf,
  type Names,
  ownerOf,
  selectorOf,
} from './compile-rules.ts'
import type { BudgetEntry } from './document.ts'
import type { Merged, Placed } from './merged.ts'
import { type ConfigProblem, didYouMean } from './source.ts'

export function compileOutcomeLimits(
  merged: Merged,
  types: readonly string[],
  names: Names,
  problems: ConfigProblem[],
): readonly OutcomeLimit[] {
  const limits = new Map<string, OutcomeLimit>()
  for (const placed of merged.budgets) {
    const limit = limitOf(placed, types, names, problems)
    if (limit === null) continue
    if (limits.has(limit.id)) {
      problems.push(placed.problem('the same limit is defined twice', ['max_usd_per_outcome']))
    }
    limits.set(limit.id, limit)
  }
  return [...limits.values()]
}

function limitOf(
  placed: Placed<BudgetEntry>,
  types: readonly string[],
  names: Names,
  problems: ConfigProblem[],
): OutcomeLimit | null {
  const { entry } = placed
  const written = entry.max_usd_per_outcome
  const max = written === undefined ? null : parseUsd(written.usd)
  if (written === undefined || max === null) return null
  const refuse = (field: string, message: string, hint: string | null = null): void => {
    problems.push(placed.problem(message, ['max_usd_per_outcome', field], hint))
  }
  if (!types.includes(written.type)) {
    const hint = didYouMean(written.type, types) ?? 'define it under outcomes:'
    refuse('type', `no outcome type "${written.type}"`, hint)
  }
  if (entry.per !== undefined) refuse('type', 'a limit on outcomes cannot be per something')
  const selector = selectorOf(entry)
  const [shared] = moneyLimits(entry)
  const month = { key: 'budget_monthly_usd', unit: 'usd', period: 'month', amount: 0n } as const
  if (shared === undefined) checkSelector(selector, placed, names, problems)
  return {
    id: `${idOf(selector, null, shared ?? month)}-${written.type.replaceAll('_', '-')}`,
    // Told with the budget it stands in; null: it stands alone.
    budget: shared === undefined ? null : idOf(selector, null, shared),
    name: nameOf(entry),
    selector,
    type: written.type,
    max,
    atLeast: Number(written.at_least),
    throttlePercent: written.throttle_to === undefined ? null : Number(written.throttle_to),
    observes: entry.mode === 'observe',
    period: shared?.period ?? 'month',
    timeZone: names.timeZone,
    owner: entry.owner ?? ownerOf(selector, names),
  }
}
