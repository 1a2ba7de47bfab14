/** Several real programs before one database. */
import { join } from 'node:path'
import { until } from './bursar.ts'
import { type Child, type Site, startChild } from './child.ts'

export interface Replicas extends AsyncDisposable {
  readonly children: readonly Child[]
  /** The next in turn. */
  next(): Child
}

/** Starts replica `no`, which keeps nothing but its own few files. `said` hears its log. */
export function startReplica(
  site: Site,
  databaseUrl: string,
  no: number,
  said?: (log: string) => void,
): Promise<Child> {
  const data = join(site.folder, `replica-${no}`)
  return startChild({ ...site, data }, { DATABASE_URL: databaseUrl }, said)
}

export async function startReplicas(
  site: Site,
  databaseUrl: string,
  count: number,
): Promise<Replicas> {
  const starting = Array.from({ length: count }, (_, no) => startReplica(site, databaseUrl, no))
  const children = await Promise.all(starting)
  let turn = 0
  return {
    children,
    next: () => {
      turn += 1
      return children[turn % count] as Child
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(children.map((child) => child.kill()))
    },
  }
}

/** A key made on one replica opens the doors of all. */
export async function knownEverywhere({ children }: Replicas, key: string): Promise<void> {
  const headers = { authorization: `Bearer ${key}` }
  for (const { url } of children) {
    const isKnown = async (): Promise<boolean> =>
      (await fetch(`${url}/v1/budget`, { headers })).status === 200
    await until('the key is known', isKnown)
  }
}
