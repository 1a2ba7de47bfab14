import { expect, test } from 'vitest'
import { type Contract, contractFor, netOf, type Terms } from './contract.ts'
import { nanos, picosPerUnit } from './money.ts'
import type { PriceRow } from './price-book.ts'
import { instant } from './time.ts'

const one = { numerator: 1n, denominator: 1n }
const row: PriceRow = {
  vendor: 'openai',
  model: 'm',
  from: null,
  until: null,
  bands: [
    {
      abovePromptTokens: -1,
      rates: { input: picosPerUnit(1001n), output: picosPerUnit(8000n) },
    },
    {
      abovePromptTokens: 1000,
      rates: { input: picosPerUnit(2000n), output: picosPerUnit(9000n) },
    },
  ],
  tiers: { standard: one, batch: { numerator: 1n, denominator: 2n } },
  geos: {},
  contextWindow: 1000,
  maxOutputTokens: 100,
  source: 'a test',
  checked: '2026-11-01',
}
const contract = (terms: Terms, more: Partial<Contract> = {}): Contract => ({
  provider: 'p',
  model: null,
  from: null,
  until: null,
  terms,
  ...more,
})
const discount: Terms = { kind: 'discount', keep: { numerator: 88n, denominator: 100n } }
const ratesOf = (terms: Terms) => netOf(row, contract(terms)).bands.map(({ rates }) => rates)

test('a discount is off every rate of every band, and never more than was agreed', () => {
  expect(ratesOf(discount)).toEqual([
    { input: 881n, output: 7040n },
    { input: 1760n, output: 7920n },
  ])
  expect(netOf(row, contract(discount)).tiers).toEqual(row.tiers)
})

test('fixed rates stand in every band; what is not named costs the list price', () => {
  expect(ratesOf({ kind: 'fixed', rates: { input: picosPerUnit(5n) } })).toEqual([
    { input: 5n, output: 8000n },
    { input: 5n, output: 9000n },
  ])
})

test('provisioned capacity costs nothing more', () => {
  expect(ratesOf({ kind: 'provisioned', monthly: nanos(9n) })).toEqual([
    { input: 0n, output: 0n },
    { input: 0n, output: 0n },
  ])
})

test('without a contract the row is the row, and a net row is made once', () => {
  expect(netOf(row, null)).toBe(row)
  const agreed = contract(discount)
  expect(netOf(row, agreed)).toBe(netOf(row, agreed))
  expect(netOf(row, contract(discount))).not.toBe(netOf(row, agreed))
})

test('who names the model goes first; days begin inside and end outside', () => {
  const general = contract(discount)
  const named = contract({ kind: 'provisioned', monthly: nanos(1n) }, { model: 'm' })
  const dated = contract(discount, { from: instant(100), until: instant(200) })
  const all = [general, named]
  expect(contractFor(all, 'p', 'm', instant(1))).toBe(named)
  expect(contractFor(all, 'p', 'other', instant(1))).toBe(general)
  expect(contractFor(all, 'q', 'm', instant(1))).toBeNull()
  const found = [99, 100, 199, 200].map((at) => contractFor([dated], 'p', 'm', instant(at)))
  expect(found).toEqual([null, dated, dated, null])
})
