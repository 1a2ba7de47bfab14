/** An amount cut into parts that add up to it, to the last nano-dollar. */
import { assert } from '#lib/assert.ts'

/**
 * By weight, each part rounded down; what is left goes, one by one, to the parts that lost most by
 * it (largest remainder), the earlier first. Weights that are all zero count as equal.
 */
export function allocate(total: bigint, weights: readonly bigint[]): readonly bigint[] {
  assert(total >= 0n, 'only what is there can be cut up')
  assert(weights.length > 0 || total === 0n, 'nobody to give it to')
  const sum = weights.reduce((all, weight) => all + weight, 0n)
  const shares = sum === 0n ? weights.map(() => 1n) : weights
  const of = sum === 0n ? BigInt(weights.length) : sum
  const parts = shares.map((share, i) => {
    assert(share >= 0n, 'a weight is never negative')
    return { i, part: (total * share) / of, lost: (total * share) % of }
  })
  let left = total - parts.reduce((all, { part }) => all + part, 0n)
  const byLoss = parts.toSorted((a, b) =>
    a.lost === b.lost ? a.i - b.i : a.lost > b.lost ? -1 : 1,
  )
  const out = parts.map(({ part }) => part)
  for (const { i, part } of byLoss) {
    if (left === 0n) break
    out[i] = part + 1n
    left -= 1n
  }
  return out
}
