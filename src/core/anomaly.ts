/** A day that is out of line with the days before it, and with the rest of the company. */
import { forecast } from './forecast.ts'

export interface Anomaly {
  readonly spent: number
  readonly expected: number
  /** Of all spend, this day and usually; between 0 and 1. */
  readonly share: number
  readonly usualShare: number
}

/** Two weeks tell a weekday from an anomaly. */
const daysWanted = 14

/**
 * Both must say so: the day is far above what was to be expected of it, and the part has grown
 * against the whole (a busy day of the company is no anomaly of an agent). `parts` and `wholes` are
 * the days before, oldest first; `least` is what it must be above expectation, in their unit.
 */
export function anomalyOf(
  parts: readonly number[],
  wholes: readonly number[],
  spent: number,
  whole: number,
  least: number,
): Anomaly | null {
  const said = parts.length < daysWanted ? null : forecast(parts, 1)
  if (said === null || spent - said.expected < least) return null
  const spread = Math.max(said.high - said.expected, said.expected * 0.25)
  const own = spent > said.expected + 3 * spread && spent > Math.max(...parts.slice(-28))
  const shares = parts.slice(-28).map((part, i, all) => {
    const of = wholes[wholes.length - all.length + i] ?? 0
    return of === 0 ? 0 : part / of
  })
  const usualShare = shares.toSorted((a, b) => a - b)[Math.floor(shares.length / 2)] ?? 0
  const share = whole === 0 ? 0 : spent / whole
  // What is nearly all of the whole cannot grow against it.
  const grown = usualShare > 0.9 || share > Math.min(usualShare * 1.5, (1 + usualShare) / 2)
  return own && grown ? { spent, expected: said.expected, share, usualShare } : null
}
