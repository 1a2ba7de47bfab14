/**
 * Which rules stand above a call, without asking each: a company may have one for every agent. The
 * rules are frozen, so they are sorted once, by the dimension that tells most of them apart.
 */
import { onceFor } from '#lib/once.ts'
import type { BudgetRule } from './budget.ts'
import { type Attribution, type Dimension, matches } from './scope.ts'

interface Placed {
  readonly rule: BudgetRule
  readonly at: number
}

interface RuleIndex {
  /** Rules without a selector. */
  readonly all: readonly Placed[]
  readonly byValue: readonly ByValue[]
}

interface ByValue {
  readonly dimension: Dimension
  readonly values: Map<string, Placed[]>
}

/** Most values first: a rule is found by the first of these that its selector names. */
const tellingApart: readonly Dimension[] = [
  'user',
  'key',
  'tenant',
  'agent',
  'team',
  'business_unit',
  'model',
  'environment',
  'provider',
  'organization',
]

/** The rules whose selector fits, in their own order. */
export function matching(
  rules: readonly BudgetRule[],
  attribution: Attribution,
): readonly BudgetRule[] {
  const { all, byValue } = indexed(rules)
  const found = [...all]
  for (const { dimension, values } of byValue) {
    const value = attribution[dimension]
    const placed = value === null ? undefined : values.get(value)
    if (placed === undefined) continue
    for (const one of placed) if (matches(one.rule.selector, attribution)) found.push(one)
  }
  if (found.length > all.length) found.sort((a, b) => a.at - b.at)
  return found.map(({ rule }) => rule)
}

const indexed = onceFor((rules: readonly BudgetRule[]): RuleIndex => {
  const all: Placed[] = []
  const byValue: ByValue[] = []
  for (const [at, rule] of rules.entries()) {
    const dimension = tellingApart.find((name) => rule.selector[name] !== undefined)
    const value = dimension === undefined ? undefined : rule.selector[dimension]
    if (dimension === undefined || value === undefined) {
      all.push({ rule, at })
      continue
    }
    let known = byValue.find((one) => one.dimension === dimension)
    if (known === undefined) {
      known = { dimension, values: new Map() }
      byValue.push(known)
    }
    const { values } = known
    const placed = values.get(value) ?? []
    values.set(value, placed)
    placed.push({ rule, at })
  }
  return { all, byValue }
})
