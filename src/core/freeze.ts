/** A kill switch: no call of whoever it names is admitted while it is on. What runs is recorded. */
import { type Attribution, matches, type Selector } from './scope.ts'
import type { Instant } from './time.ts'

export interface Freeze {
  readonly id: string
  /** Empty: everything. */
  readonly selector: Selector
  readonly reason: string
  readonly by: string
  readonly at: Instant
  /** Null: until somebody ends it. */
  readonly until: Instant | null
}

export function frozenBy(
  freezes: Iterable<Freeze>,
  attribution: Attribution,
  now: Instant,
): Freeze | null {
  for (const freeze of freezes) {
    const isOn = freeze.until === null || now < freeze.until
    if (isOn && matches(freeze.selector, attribution)) return freeze
  }
  return null
}

/** The same node has one id, so it is frozen once. */
export function freezeId(selector: Selector): string {
  const pairs = Object.entries(selector).map(([name, value]) => `${name}=${value}`)
  return pairs.length === 0 ? 'everything' : pairs.sort().join(',')
}
