import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { BillLine } from './bill-line.ts'
import { addDecimals, compareDecimals, type Decimal, decimalZero } from './decimal.ts'
import {
  addLine,
  addOutcome,
  compare,
  groupsOf,
  newTally,
  poissonInterval,
  totalOf,
  unitCost,
} from './unit-cost.ts'

/** Garwood (1936), and tables since. */
test.each([
  [0, 0, 3.6889],
  [1, 0.0253, 5.5716],
  [3, 0.6187, 8.7673],
  [10, 4.7954, 18.3904],
  [30, 20.2409, 42.8269],
  [100, 81.3637, 121.6268],
  [1000, 938.97, 1063.95],
])('of %i seen the mean is within %f and %f', (count, low, high) => {
  const found = poissonInterval(count)
  const places = count < 1000 ? 3 : 1
  expect(found.low).toBeCloseTo(low, places)
  expect(found.high).toBeCloseTo(high, places)
})

test('the interval holds for counts as large as a month has', () => {
  const { low, high } = poissonInterval(4_000_000)
  // The normal approximation is good to a few units here.
  expect(Math.abs(low - (4_000_000 - 1.959964 * 2000))).toBeLessThan(5)
  expect(Math.abs(high - (4_000_000 + 1.959964 * 2000))).toBeLessThan(5)
})

const line = (net: Decimal, agent: string | null): BillLine => ({
  provider: 'anthropic',
  format: 'test',
  source: { file: 'bill', row: 2 },
  rows: 1,
  day: '2026-10-05',
  lastDay: '2026-10-05',
  month: '2026-10',
  service: null,
  model: null,
  kind: 'input',
  quantity: null,
  unit: null,
  list: null,
  net,
  currency: 'USD',
  key: null,
  project: null,
  workspace: null,
  tags: agent === null ? {} : { agent },
})

test('groups add up to the bill to its last digit, and every outcome is in one', () => {
  const name = fc.option(fc.constantFrom('Support Bot', 'support-bot', 'sales', 'SALES'))
  const cost = fc.record({
    digits: fc.bigInt({ min: -(10n ** 15n), max: 10n ** 15n }),
    places: fc.nat({ max: 15 }),
  })
  const world = fc.tuple(fc.array(fc.tuple(cost, name)), fc.array(name))
  fc.assert(
    fc.property(world, ([lines, outcomes]) => {
      const tally = newTally(['agent'], new Map())
      for (const [net, agent] of lines) addLine(tally, line(net, agent), net)
      for (const agent of outcomes) addOutcome(tally, { agent: agent ?? '' })
      const rows = groupsOf(tally)
      const all = lines.reduce((sum, [net]) => addDecimals(sum, net), decimalZero)
      const grouped = rows.reduce((sum, row) => addDecimals(sum, row.cost), decimalZero)
      expect(compareDecimals(grouped, all)).toBe(0)
      expect(compareDecimals(totalOf(tally).cost, all)).toBe(0)
      expect(totalOf(tally).outcomes).toBe(outcomes.length)
      expect(rows.length).toBeLessThanOrEqual(3)
    }),
  )
})

test('two names are one where that is said', () => {
  const tally = newTally(['agent'], new Map([['support-bot-key', 'Support Bot']]))
  addLine(tally, line({ digits: 5n, places: 0 }, 'support-bot-key'), { digits: 5n, places: 0 })
  addOutcome(tally, { agent: 'support_bot' })
  expect(groupsOf(tally)).toMatchObject([{ outcomes: 1, cost: { digits: 5n } }])
})

test('without outcomes there is a lower end only; a vendor is dearer only beyond the interval', () => {
  const cost = { digits: 100n, places: 0 }
  const none = unitCost([], { cost, tokens: decimalZero, outcomes: 0 })
  expect(none).toMatchObject({ each: null, high: null })
  // -ln(0.025) is the upper end of a count of none.
  expect(none.low).toEqual({ digits: 27108503n, places: 6 })
  const some = unitCost([], { cost, tokens: decimalZero, outcomes: 100 })
  const vendor = (text: bigint) => ({
    ...{ vendor: 'v', outcome: 'o', checked: '2026-11-01', source: 's' },
    usd: { digits: text, places: 2 },
  })
  // One dollar each; the interval is 0.82 to 1.23.
  const verdicts = compare(some, [vendor(50n), vendor(99n), vendor(200n)])
  expect(verdicts.map(({ verdict }) => verdict)).toEqual(['dearer', 'open', 'cheaper'])
  expect(verdicts.map(({ perMille }) => perMille)).toEqual([2000, 1010, 500])
})
