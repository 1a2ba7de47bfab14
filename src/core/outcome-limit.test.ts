import { expect, test } from 'vitest'
import { nanos } from './money.ts'
import type { CostRow } from './outcome-cost.ts'
import { judge, limitAlert, type OutcomeLimit, paceOf, type Verdict } from './outcome-limit.ts'
import { whole } from './outcome-cost.ts'
import { instant } from './time.ts'
import { textOf } from './alert-text.ts'
import { start } from '#test/support/outcomes.ts'

const limit: OutcomeLimit = {
  id: 'bud_x-resolved-case',
  budget: null,
  name: 'resolver',
  selector: { agent: 'resolver' },
  type: 'resolved_case',
  max: nanos(800_000_000n),
  atLeast: 200,
  throttlePercent: 50,
  observes: false,
  period: 'month',
  timeZone: 'UTC',
  owner: 'kim@acme.test',
}
const row = (usd: number, outcomes: number, low: number | null = null): CostRow => {
  const cost = nanos(BigInt(Math.round(usd * 1e9)))
  const none = nanos(0n)
  return {
    group: null,
    counted: BigInt(outcomes) * whole,
    calls: 1000n,
    metered: cost,
    presumed: none,
    cost,
    layers: { model: cost, tools: none, classifier: none, platformFee: none, human: none },
    perOutcome: null,
    interval:
      low === null ? null : { low: nanos(BigInt(Math.round(low * 1e9))), high: nanos(2n * cost) },
  }
}

test.each<readonly [string, number, number, number | null, Verdict['state']]>([
  ['nothing was spent', 0, 0, null, 'within'],
  ['less than two hundred may cost, and none holds yet', 160, 0, null, 'within'],
  [
    'more than two hundred may cost: whatever comes, it is over',
    160.000000001,
    0,
    null,
    'surely_over',
  ],
  ['the same with a few', 161, 199, 0.7, 'surely_over'],
  ['on the line', 160, 200, 0.75, 'within'],
  ['above the line, but the interval is not', 164, 200, 0.79, 'over'],
  ['above the line with its whole interval', 180, 200, 0.81, 'surely_over'],
  ['above the line, and nobody knows how far', 180, 200, null, 'over'],
  ['many outcomes', 700, 1000, 0.6, 'within'],
])('%s: $%s for %s, from $%s: %s', (_name, usd, outcomes, low, state) => {
  expect(judge(limit, row(usd, outcomes, low)).state).toBe(state)
})

test('an alert a state and month, in words that say what follows', () => {
  const period = { start, end: instant(start + 2_592_000_000) }
  const tell = (state: Verdict['state'], more: Partial<OutcomeLimit> = {}) => {
    const verdict = { state, perOutcome: nanos(900_000_000n) }
    return limitAlert({ ...limit, ...more }, row(180, 200, 0.81), verdict, period, start)
  }
  const words = { organization: 'acme', timeZone: 'UTC', ruleOf: () => null }
  const text = textOf(tell('surely_over'), words)
  expect(text.title).toBe('An outcome costs too much: resolver, resolved_case')
  expect(text.severity).toBe('error')
  expect(text.sentence).toBe(
    'One resolved_case costs $0.90, and may cost $0.80: $180.00 for 200. Calls now pass at 50 % ' +
      'of their pace until 2027-02-14T08:00:00Z.',
  )
  expect(text.fields).toContainEqual({ name: '95 % interval', value: '$0.81 to $360.00' })
  expect(textOf(tell('over'), words).sentence).toContain('Nothing is slowed')
  const observed = textOf(tell('surely_over', { observes: true }), words)
  expect(observed.sentence).toContain('Nothing is slowed')
  expect(tell('over').id).not.toBe(tell('surely_over').id)
  expect(tell('over').id).toBe(tell('over').id)
})

test('the pace is a share of the calls of an average hour, of at least sixty', () => {
  const period = { start, end: instant(start + 2_592_000_000) }
  const after = (hours: number) => instant(start + hours * 3_600_000)
  expect(paceOf(limit, 50, row(1, 1), period, after(2))).toMatchObject({
    baselinePerHour: 500,
    percent: 50,
    until: period.end,
  })
  expect(paceOf(limit, 50, row(1, 1), period, after(500)).baselinePerHour).toBe(60)
})
