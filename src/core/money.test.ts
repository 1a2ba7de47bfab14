import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  formatPercent,
  formatUsd,
  formatUsdPerMillion,
  formatUsdShort,
  nanos,
  parseRatio,
  parseUsd,
  parseUsdPerMillion,
  picosPerUnit,
  roundPicosUp,
} from './money.ts'

test('money reads back as it is written', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 9n * 10n ** 17n }), (amount) => {
      expect(parseUsd(formatUsd(nanos(amount)))).toBe(amount)
    }),
  )
})

test.each([
  ['25000', 25_000_000_000_000n],
  ['0.000000001', 1n],
  ['12.50', 12_500_000_000n],
  ['1.0000000001', null],
  ['1e3', null],
  ['', null],
  ['1,000', null],
  ['NaN', null],
  ['.5', null],
])('parseUsd %s', (text, amount) => {
  expect(parseUsd(text)).toBe(amount)
})

test('one rounding, up', () => {
  expect([0n, 1n, 999n, 1000n, 1001n].map((picos) => roundPicosUp(picos))).toEqual([
    0n,
    1n,
    1n,
    1n,
    2n,
  ])
})

test('a million charges of a third of a cent lose nothing', () => {
  let total = 0n
  for (let i = 0; i < 1_000_000; i += 1) total += roundPicosUp(2_950_000n)
  expect(formatUsd(nanos(total))).toBe('2.950000000')
})

test('prices and ratios are exact', () => {
  expect(parseUsdPerMillion('2.50')).toBe(2_500_000n)
  expect(parseUsdPerMillion('0.0000001')).toBeNull()
  expect(formatUsdPerMillion(picosPerUnit(2_500_000n))).toBe('2.5')
  expect(parseRatio('1.1')).toEqual({ numerator: 11n, denominator: 10n })
})

test('for people', () => {
  expect(formatUsdShort(nanos(1_203_110_000_000n))).toBe('$1,203.11')
  expect(formatUsdShort(nanos(67_500n))).toBe('$0.000068')
  expect(formatPercent(831n, 1000n)).toBe('83.1')
  expect(formatPercent(0n, 0n)).toBe('0.0')
})
