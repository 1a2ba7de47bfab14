/**
 * How sure a cost per outcome is: a ratio of two sums over units (conversations, runs, calls), of
 * which each brings a cost and perhaps an outcome.
 */

export interface Unit {
  readonly cost: number
  /** Outcomes that it brought: mostly 0 or 1, or a part of one. */
  readonly count: number
}

export interface Interval {
  readonly low: number
  readonly high: number
}

/** Of the normal distribution, two-sided. */
export const z95 = 1.959_963_984_540_054

/**
 * The interval around sum(cost) / sum(count), by the delta method on the logarithm of the ratio, so
 * that it never reaches below zero. Null: too little is known (fewer than two units, or no outcome
 * or no cost).
 */
export function ratioInterval(units: readonly Unit[], z = z95): Interval | null {
  const n = units.length
  let cost = 0
  let count = 0
  for (const unit of units) {
    cost += unit.cost
    count += unit.count
  }
  if (n < 2 || cost <= 0 || count <= 0) return null
  const ratio = cost / count
  let squares = 0
  for (const unit of units) squares += (unit.cost - ratio * unit.count) ** 2
  const error = Math.sqrt((n / (n - 1)) * squares) / cost
  return { low: ratio * Math.exp(-z * error), high: ratio * Math.exp(z * error) }
}
