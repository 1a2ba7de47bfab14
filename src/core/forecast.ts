/**
 * What a period will have cost at its end, from the days that were. The rest of the period is
 * forecast by weekday and recent level; how far off that may be is how far off the same forecast
 * was before, on the same series: nothing is assumed about its shape.
 */

export interface Forecast {
  /** Of the days that are still to come, in the unit of the history. */
  readonly expected: number
  /** The middle 80 %: one time in ten it is below `low`, one time in ten above `high`. */
  readonly low: number
  readonly high: number
}

/** Fewer whole days tell nothing about weeks, and too little about anything else. */
export const daysNeeded = 7
/** Looked at no further back: what was a quarter ago says little of next week. */
const daysUsed = 120
const halfLifeDays = 7
/** So many errors of before, to have quantiles worth the name. */
const errorsWanted = 20

/** `history`: whole days, oldest first; null: too short. `ahead`: days to come, at least 1. */
export function forecast(history: readonly number[], ahead: number): Forecast | null {
  const days = history.slice(-daysUsed)
  if (days.length < daysNeeded) return null
  const expected = sum(next(days, ahead))
  const ratios = pastRatios(days, ahead)
  const [low, high] = quantiles(ratios)
  return { expected: expected * middle(ratios), low: expected * low, high: expected * high }
}

/** Each of the next days: the recent level, times what its weekday usually is of it. */
export function next(days: readonly number[], ahead: number): readonly number[] {
  const weekday = weekdays(days)
  const level = recentLevel(days, weekday)
  return Array.from({ length: ahead }, (_, i) => level * (weekday[(days.length + i) % 7] ?? 1))
}

/** By index modulo 7, around 1. Two weeks are needed to tell a weekday from chance. */
function weekdays(days: readonly number[]): readonly number[] {
  const mean = sum(days) / days.length
  if (days.length < 14 || mean === 0) return Array.from({ length: 7 }, () => 1)
  const raw = Array.from({ length: 7 }, (_, day) => {
    const own = days.filter((_value, i) => i % 7 === day)
    // A little of the mean: with few weeks a weekday is half chance.
    return (sum(trimmed(own)) + mean) / (trimmed(own).length + 1) / mean
  })
  const average = sum(raw) / 7
  return raw.map((factor) => factor / average)
}

/** One day that is far out of line moves a mean, not the days around it. */
function trimmed(values: readonly number[]): readonly number[] {
  if (values.length < 5) return values
  return values.toSorted((a, b) => a - b).slice(1, -1)
}

function recentLevel(days: readonly number[], weekday: readonly number[]): number {
  let total = 0
  let weights = 0
  for (const [i, value] of days.entries()) {
    const weight = 0.5 ** ((days.length - 1 - i) / halfLifeDays)
    total += (weight * value) / Math.max(weekday[i % 7] ?? 1, 0.05)
    weights += weight
  }
  return total / weights
}

/** What did come, over what this would have said, at every day that has enough before and after. */
function pastRatios(days: readonly number[], ahead: number): readonly number[] {
  // Near the beginning there is no room for the whole horizon: a shorter one tells as much of it.
  const reach = Math.max(1, Math.min(ahead, Math.floor((days.length - daysNeeded) / 2)))
  const ratios: number[] = []
  for (let at = daysNeeded; at + reach <= days.length; at += 1) {
    const said = sum(next(days.slice(0, at), reach))
    const came = sum(days.slice(at, at + reach))
    if (said > 0) ratios.push(came / said)
  }
  return ratios
}

function quantiles(ratios: readonly number[]): readonly [number, number] {
  const sorted = ratios.toSorted((a, b) => a - b)
  if (sorted.length === 0) return [0.5, 2]
  const at = (share: number): number => {
    const place = share * (sorted.length + 1) - 1
    const below = Math.min(Math.max(Math.floor(place), 0), sorted.length - 1)
    const above = Math.min(below + 1, sorted.length - 1)
    const part = Math.min(Math.max(place - below, 0), 1)
    return (sorted[below] ?? 1) * (1 - part) + (sorted[above] ?? 1) * part
  }
  // Few errors, or errors of days that overlap, are less than they seem: further out for them.
  const wider = 1 + 0.6 * Math.sqrt(errorsWanted / (errorsWanted + sorted.length))
  return [1 - (1 - at(0.1)) * wider, 1 + (at(0.9) - 1) * wider]
}

function middle(ratios: readonly number[]): number {
  if (ratios.length < errorsWanted) return 1
  return ratios.toSorted((a, b) => a - b)[Math.floor(ratios.length / 2)] ?? 1
}

const sum = (values: readonly number[]): number => values.reduce((all, one) => all + one, 0)
