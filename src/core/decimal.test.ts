import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  addDecimals,
  compareDecimals,
  type Decimal,
  decimalZero,
  divideDecimal,
  formatDecimal,
  multiplyDecimals,
  nearestNanos,
  parseDecimal,
  subtractDecimals,
} from './decimal.ts'

const decimal: fc.Arbitrary<Decimal> = fc.record({
  digits: fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }),
  places: fc.nat({ max: 25 }),
})

test.each([
  ['12.50', '12.5'],
  ['-0.10', '-0.1'],
  ['.5', '0.5'],
  ['1e-7', '0.0000001'],
  ['-2.5E+3', '-2500'],
  ['007', '7'],
  ['-0', '0'],
])('%s is %s', (text, shown) => {
  expect(formatDecimal(parseDecimal(text) ?? decimalZero)).toBe(shown)
})

test.each(['', '.', '1,5', '$1', '1e999', 'NaN', '0x10', ' 1', '1.2.3', '--1'])(
  '"%s" is no number',
  (text) => {
    expect(parseDecimal(text)).toBeNull()
  },
)

test('what is shown reads back as the same amount', () => {
  fc.assert(
    fc.property(decimal, (a) => {
      const back = parseDecimal(formatDecimal(a))
      expect(back === null ? null : compareDecimals(a, back)).toBe(0)
    }),
  )
})

test('a sum does not depend on order, and a difference takes back what was added', () => {
  fc.assert(
    fc.property(fc.array(decimal, { minLength: 1 }), decimal, (all, one) => {
      const sum = all.reduce(addDecimals, decimalZero)
      expect(formatDecimal(all.toReversed().reduce(addDecimals, decimalZero))).toBe(
        formatDecimal(sum),
      )
      const back = subtractDecimals(addDecimals(sum, one), one)
      expect(compareDecimals(back, sum)).toBe(0)
    }),
  )
})

test('products are exact, quotients are rounded half away from zero', () => {
  const [a, b] = ['-1.05', '0.3'].map((text) => parseDecimal(text) ?? decimalZero) as [
    Decimal,
    Decimal,
  ]
  expect(formatDecimal(multiplyDecimals(a, b))).toBe('-0.315')
  expect(formatDecimal(divideDecimal(a, 2n, 2))).toBe('-0.53')
  expect(formatDecimal(divideDecimal(b, 7n, 4))).toBe('0.0429')
  expect(nearestNanos({ digits: 15n, places: 10 })).toBe(2n)
})
