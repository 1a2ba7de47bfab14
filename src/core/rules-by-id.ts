/** Rules of a config by their id: caps on runs too. */
import type { BudgetId } from '#lib/id.ts'
import type { BudgetRule } from './budget.ts'
import type { Rules } from './journal.ts'
import type { Snapshot } from './snapshot.ts'

/** A snapshot is frozen: indexed once, however many budgets it has. */
const indexes = new WeakMap<Snapshot, ReadonlyMap<BudgetId, BudgetRule>>()

/** Budgets and quotas alone: what corrects a call of the past begins no stage of a run's cap. */
export function budgetRulesOf(snapshot: Snapshot): Rules {
  const index = rulesOfSnapshot(snapshot)
  return (id) => {
    const rule = index.get(id)
    return rule === undefined || rule.per === 'run' ? null : rule
  }
}

export function rulesOfSnapshot(snapshot: Snapshot): ReadonlyMap<BudgetId, BudgetRule> {
  let index = indexes.get(snapshot)
  if (index === undefined) {
    index = new Map([...snapshot.budgets, ...snapshot.runs].map((rule) => [rule.id, rule]))
    indexes.set(snapshot, index)
  }
  return index
}
