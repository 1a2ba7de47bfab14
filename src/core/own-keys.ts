/** Which of a provider's keys the gateway uses, where nobody has said: those that fit its cells. */
import type { ByKey } from './billed.ts'
import { approximately } from './decimal.ts'
import { cellName, type MeteredCell } from './metered.ts'

/** More keys than this are not tried in all combinations. */
const triedMax = 12

/** `metered`: what passed the gateway at this provider. `said`: null where nobody has. */
export function ownKeysOf(
  keys: ReadonlyMap<string, ByKey>,
  metered: readonly MeteredCell[],
  said: ReadonlySet<string> | null,
): readonly string[] {
  const names = [...keys.keys()]
  if (said !== null) {
    // A provider of which no key was said is taken whole.
    const own = names.filter((name) => said.has(name) || name === '')
    return names.some((name) => said.has(name)) ? own : names
  }
  if (names.length < 2 || names.length > triedMax || metered.length === 0) return names
  const costs = new Map(metered.map((cell) => [cellName(cell), Number(cell.cost) / 1e9]))
  const nets = names.map((name) => {
    const cells = keys.get(name)?.cells ?? new Map()
    return new Map([...cells].map(([cell, { net }]) => [cell, approximately(net)]))
  })
  const all = new Set([...costs.keys(), ...nets.flatMap((net) => [...net.keys()])])
  let best: readonly string[] = names
  let bestGap = Number.POSITIVE_INFINITY
  for (let bits = 1; bits < 2 ** names.length; bits += 1) {
    const chosen = nets.filter((_, i) => (bits >> i) % 2 === 1)
    let gap = 0
    for (const cell of all) {
      const sum = chosen.reduce((total, net) => total + (net.get(cell) ?? 0), 0)
      gap += Math.abs(sum - (costs.get(cell) ?? 0))
    }
    // Among what fits as well, the one with more keys: less is called a bypass.
    if (gap > bestGap || (gap === bestGap && chosen.length <= best.length)) continue
    best = names.filter((_, i) => (bits >> i) % 2 === 1)
    bestGap = gap
  }
  return best
}
