import fc from 'fast-check'
import { expect, test } from 'vitest'
import { nanos } from './money.ts'
import type { BudgetRule } from './budget.ts'
import { matching } from './rule-index.ts'
import { type Attribution, type Dimension, dimensions, matches, type Selector } from './scope.ts'

const value = fc.constantFrom('a', 'b', 'c')
const selector: fc.Arbitrary<Selector> = fc
  .array(fc.tuple(fc.constantFrom<Dimension>(...dimensions), value), { maxLength: 3 })
  .map((pairs) => Object.fromEntries(pairs))
const attribution: fc.Arbitrary<Attribution> = fc
  .array(fc.option(value), { minLength: dimensions.length, maxLength: dimensions.length })
  .map((values) => Object.fromEntries(dimensions.map((name, i) => [name, values[i] ?? null])))
  .map((all) => all as Attribution)

const rule = (no: number, of: Selector): BudgetRule => ({
  id: `bud_${no}`,
  name: String(no),
  selector: of,
  per: null,
  unit: 'usd',
  amount: nanos(1n),
  period: 'day',
  timeZone: 'UTC',
  ladder: [],
  mode: 'enforce',
  owner: null,
  reviewEveryDays: null,
  origin: 'test',
})

test('the index finds what asking every rule finds, in the same order', () => {
  fc.assert(
    fc.property(
      fc.array(selector, { maxLength: 40 }),
      fc.array(attribution, { minLength: 1, maxLength: 10 }),
      (selectors, calls) => {
        const rules = selectors.map((of, no) => rule(no, of))
        for (const call of calls) {
          expect(matching(rules, call)).toEqual(rules.filter((one) => matches(one.selector, call)))
        }
      },
    ),
  )
})
