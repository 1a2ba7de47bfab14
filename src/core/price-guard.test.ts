import { expect, test } from 'vitest'
import { moves, type PriceSketch, refusal } from './price-guard.ts'

const sketch = (version: string, models: PriceSketch['models']): PriceSketch => ({
  version,
  models,
})
/** A pico-dollar a token is a millionth of a dollar a million. */
const usd = (n: number): bigint => BigInt(Math.round(n * 1_000_000))
const before = sketch('a', {
  m: { input: usd(1), output: usd(4) },
  free: { input: 0n, output: 0n },
})

test.each([
  ['half more', { input: usd(1.5), output: usd(4) }, []],
  ['half less', { input: usd(0.5), output: usd(2) }, []],
  ['more', { input: usd(1.500001), output: usd(4) }, ['m: input from 1 to 1.500001']],
  ['less', { input: usd(1), output: usd(1.9) }, ['m: output from 4 to 1.9']],
  ['to nothing', { input: 0n, output: 0n }, ['m: input from 1 to 0', 'm: output from 4 to 0']],
])('a price that moves: %s', (_what, m, said) => {
  const found = moves(before, sketch('b', { ...before.models, m }), new Set())
  expect(found).toEqual(said.map((text) => `${text} USD per million`))
})

test('what was free and costs now, and what is gone though it was used', () => {
  const paid = sketch('b', { ...before.models, free: { input: 1n, output: 0n } })
  expect(moves(before, paid, new Set())).toHaveLength(1)
  const without = sketch('b', {})
  expect(moves(before, without, new Set(['m']))).toEqual([
    'm is gone, and was used in the last 30 days',
  ])
  expect(moves(before, without, new Set(['other']))).toEqual([])
})

test('the same version moves nothing, and the sentence says how to accept', () => {
  expect(moves(before, { ...before, models: {} }, new Set(['m']))).toEqual([])
  const many = Array.from({ length: 30 }, (_, i) => `m${i}: input from 1 to 9 USD per million`)
  const text = refusal('v1', many)
  expect(text).toMatch(/and 10 more/)
  expect(text).toMatch(/--accept-prices, or in the config prices: \{ accept: v1 \}/)
})
