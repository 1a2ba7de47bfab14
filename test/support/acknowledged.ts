/** What a caller was told, against what the ledger knows after the worst has happened. */
import type { Store } from '#ports/store.ts'
import type { Simulator } from '#simulator/server.ts'
import { ask, type Child } from './child.ts'

/** What was answered with a cost is acknowledged. By call. */
export type Acknowledged = Map<string, string>

/** Calls without pause until the process dies. */
export async function load(
  child: Child,
  key: string,
  acknowledged: Acknowledged,
  headers: () => Readonly<Record<string, string>> = () => ({}),
): Promise<void> {
  const one = async (): Promise<void> => {
    for (;;) {
      const asked = await ask(child, key, 'delay=3', headers()).catch(() => null)
      if (asked === null) return
      if (asked.status === 200 && asked.cost !== null) acknowledged.set(asked.id, asked.cost)
    }
  }
  await Promise.all(Array.from({ length: 16 }, one))
}

export interface Examined {
  /** Acknowledged calls of which the ledger knows nothing, or another cost. */
  readonly lost: readonly string[]
  readonly wrong: readonly (readonly [string, string])[]
  /** Holds that are charged less than the bill says; lines of the bill without a hold. */
  readonly under: readonly unknown[]
  readonly unheld: readonly unknown[]
  readonly presumed: number
}

export async function examine(
  store: Store,
  simulator: Simulator,
  acknowledged: Acknowledged,
): Promise<Examined> {
  const holds = await store.recentHolds(10_000_000)
  const ids = new Set<string | null>(holds.map(({ id }) => id))
  const byCall = new Map(holds.map((hold) => [String(hold.call), hold]))
  const nanosOf = (usd: string): bigint => BigInt(usd.replace('.', ''))
  const bill = new Map(
    simulator.bill().lines.map((line) => [line.client_request_id, line.cost_usd]),
  )
  return {
    lost: [...acknowledged.keys()].filter((call) => !byCall.has(call)),
    wrong: [...acknowledged].filter(([call, cost]) => byCall.get(call)?.cost !== nanosOf(cost)),
    under: holds.filter(({ id, cost }) => (cost ?? 0n) < nanosOf(bill.get(id) ?? '0')),
    unheld: [...bill.keys()].filter((id) => !ids.has(id)),
    presumed: holds.filter(({ basis, state }) => basis === 'presumed' && state === 'expired')
      .length,
  }
}
