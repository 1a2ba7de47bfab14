import { expect, test } from 'vitest'
import { allocate } from './allocate.ts'
import { ratioInterval } from './interval.ts'
import { nanos } from './money.ts'
import { outcomeCost } from './outcome-cost.ts'
import { foldOutcomes, type OutcomeEvent } from './outcome.ts'
import { addWork, newTally, sharesOf, type Tally } from './outcome-work.ts'
import type { Attribution } from './scope.ts'
import { instant } from './time.ts'
import type { WorkRow } from './work.ts'
import { nobody } from '#test/support/ledger.ts'
import { claim, definition, link, reversal, start, work } from '#test/support/outcomes.ts'

const none = { numerator: 0n, denominator: 1n }
const of = (agent: string, more: Partial<Attribution> = {}): Attribution => ({
  ...nobody,
  agent,
  ...more,
})

function tallied(
  events: readonly OutcomeEvent[],
  rows: readonly WorkRow[],
  more: { by?: Tally['by']; match?: Tally['match'] } = {},
): Tally {
  const views = foldOutcomes(events, instant(start + 1_000_000))
  const tally = newTally(views, definition({ match: more.match ?? {} }), more.by ?? null)
  for (const row of rows) addWork(tally, row)
  return tally
}

test.each([
  [100n, [1n, 1n, 1n], [34n, 33n, 33n]],
  [1n, [1n, 2n], [0n, 1n]],
  [7n, [0n, 0n], [4n, 3n]],
  [0n, [], []],
  [5n, [0n, 3n], [0n, 5n]],
])('%s in parts, no. %#', (total, weights, parts) => {
  expect(allocate(total, weights)).toEqual(parts)
})

test('the nearest outcome has the call: its own, its run’s, its conversation’s, its tenant’s', () => {
  const events = [
    claim('c', { link: link({ scope: 'call', call: 'call_1', conversation: 'k' }) }),
    claim('r', { link: link({ scope: 'run', run: 'run' }) }),
    claim('k', { link: link({ conversation: 'k' }) }),
    claim('t', { link: link({ scope: 'tenant', agent: 'resolver', tenant: 'acme' }) }),
  ]
  const acme = of('resolver', { tenant: 'acme' })
  const rows = [
    work(1, { conversation: 'k', run: 'run', cost: nanos(1n) }),
    work(2, { conversation: 'k', run: 'run', cost: nanos(10n) }),
    work(3, { conversation: 'k', run: 'other', cost: nanos(100n) }),
    work(4, { conversation: 'z', attribution: acme, cost: nanos(1000n) }),
    work(5, { conversation: 'z', cost: nanos(10_000n) }),
    work(6, { cost: nanos(100_000n) }),
    work(7, { cost: nanos(9n), attribution: of('stranger') }),
  ]
  const shares = sharesOf(tallied(events, rows))
  expect(Object.fromEntries(shares.outcomes.map(({ outcome, cost }) => [outcome, cost]))).toEqual({
    c: 1n,
    r: 10n,
    k: 100n,
    t: 1000n,
  })
  expect([shares.open, shares.unlinked]).toEqual([10_000n, 100_000n])
})

test('names of one tenant are not those of another', () => {
  const events = [
    claim('a', { link: link({ conversation: 'k', tenant: 'acme' }) }),
    claim('b', { link: link({ conversation: 'k', tenant: 'zeta' }) }),
  ]
  const rows = ['acme', 'zeta', 'acme'].map((tenant, n) =>
    work(n, { conversation: 'k', attribution: of('resolver', { tenant }), cost: nanos(5n) }),
  )
  const { outcomes } = sharesOf(tallied(events, rows))
  expect(outcomes.map(({ cost }) => cost)).toEqual([10n, 5n])
})

test('what failed, what is open and what no outcome can have is paid for by those that hold', () => {
  const lost = claim('lost')
  const events = [claim('won'), lost, reversal(lost), claim('wait', { definition: slow })]
  const rows = ['won', 'lost', 'wait', 'open', null].map((conversation, n) =>
    work(n, { conversation, cost: nanos(10n ** BigInt(n)), presumed: n === 3 }),
  )
  const cost = outcomeCost(tallied(events, rows), definition(), none)
  expect(cost.fates).toEqual({
    confirmed: 1n,
    reversed: 10n,
    provisional: 100n,
    open: 1000n,
    unlinked: 10_000n,
  })
  expect(cost.total).toMatchObject({ metered: 11_111n, perOutcome: 11_111n, presumed: 1000n })
  expect(cost.counts).toEqual({ confirmed: 1, provisional: 1, reversed: 1, repeated: 0 })
})
const slow = { version: 'v1', quietMs: 9_000_000, attestedBy: null }

test('layers: tools and classifiers are parts, fees and minutes come on top of what is metered', () => {
  const rows = [
    work(1, { conversation: 'a', cost: nanos(1000n), tools: nanos(300n) }),
    work(2, { conversation: 'a', cost: nanos(101n), purpose: 'classifier' }),
  ]
  const events = [claim('a', { humanMillis: 2500 })]
  const rate = definition({ humanMinute: nanos(1001n) })
  const { total } = outcomeCost(tallied(events, rows), rate, { numerator: 5n, denominator: 100n })
  expect(total.layers).toEqual({
    model: 700n,
    tools: 300n,
    classifier: 101n,
    platformFee: 56n,
    human: 2503n,
  })
  expect([total.metered, total.cost]).toEqual([1101n, 1101n + 56n + 2503n])
})

test.each([
  [
    'last_touch',
    [
      ['b', 1_000_000n],
      ['a', 0n],
    ],
  ],
  [
    'first_touch',
    [
      ['b', 0n],
      ['a', 1_000_000n],
    ],
  ],
  [
    'equal',
    [
      ['b', 500_000n],
      ['a', 500_000n],
    ],
  ],
  [
    'cost_share',
    [
      ['b', 750_000n],
      ['a', 250_000n],
    ],
  ],
] as const)('two agents and one outcome, by %s', (credit, expected) => {
  const rows = [
    work(1, { conversation: 'k', attribution: of('a'), cost: nanos(100n) }),
    work(2, { conversation: 'k', attribution: of('b'), cost: nanos(300n) }),
  ]
  const tally = tallied([claim('k')], rows, { by: 'agent' })
  const { groups, total } = outcomeCost(tally, definition({ credit }), none)
  expect(groups.map(({ group, counted }) => [group, counted])).toEqual(expected)
  expect(groups.map(({ cost }) => cost)).toEqual([300n, 100n])
  expect(total.counted).toBe(1_000_000n)
})

test('work counts for agents that worked on one, or for what is selected', () => {
  const rows = [
    work(1, { conversation: 'k', cost: nanos(1n) }),
    work(2, { conversation: 'x', cost: nanos(10n) }),
    work(3, { conversation: 'y', cost: nanos(100n), attribution: of('idle', { team: 'care' }) }),
  ]
  const events = [claim('k')]
  const metered = (tally: Tally): bigint => outcomeCost(tally, definition(), none).total.metered
  expect(metered(tallied(events, rows))).toBe(11n)
  expect(metered(tallied(events, rows, { match: { team: 'care' } }))).toBe(101n)
  expect(metered(tallied([], rows))).toBe(0n)
})

test('an interval holds the truth about as often as it says, and is null where nobody can know', () => {
  expect(ratioInterval([])).toBeNull()
  expect(ratioInterval([{ cost: 5, count: 1 }])).toBeNull()
  expect(
    ratioInterval([
      { cost: 5, count: 0 },
      { cost: 5, count: 0 },
    ]),
  ).toBeNull()
  let seed = 7
  const chance = (): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
    return seed / 2_147_483_648
  }
  // A case costs 1 to 3 on average 2 and is won in 60 of 100: 2 / 0.6 each.
  let held = 0
  const rounds = 400
  for (let round = 0; round < rounds; round += 1) {
    const units = Array.from({ length: 150 }, () => ({
      cost: 1 + 2 * chance(),
      count: chance() < 0.6 ? 1 : 0,
    }))
    const found = ratioInterval(units)
    if (found !== null && found.low <= 2 / 0.6 && 2 / 0.6 <= found.high) held += 1
  }
  expect(held / rounds).toBeGreaterThan(0.91)
  expect(held / rounds).toBeLessThan(0.985)
})
