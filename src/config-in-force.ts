/** The config that calls go by: swapped whole, never for one that is not good. */
import type { Snapshot } from '#core/snapshot.ts'
import { takeUp } from '#jobs/adoption.ts'
import type { Clock } from '#ports/clock.ts'
import type { ConfigHome } from '#ports/config-home.ts'
import type { Observe } from '#ports/observer.ts'
import type { Store } from '#ports/store.ts'

export interface ConfigInForce {
  readonly snapshot: () => Snapshot
  /** Why what is on disk is not in force; null: it is. */
  readonly problem: () => string | null
  /** Reads it again. Keeps the old one and resolves to the problems if it is not good. */
  readonly reload: () => Promise<string | null>
  /** Reads it again whenever its files change, until it is told to stop. */
  readonly watch: (home: ConfigHome, stopping: AbortSignal) => Promise<void>
}

export interface Surroundings {
  readonly clock: Clock
  readonly store: Store
  readonly observe: Observe
}

/** Also how long files must be at rest: an editor and a checkout write one after the other. */
const lookEveryMs = 500

/** `load` throws with what is wrong, the first time too. */
export function configInForce(load: () => Snapshot, around: Surroundings): ConfigInForce {
  let snapshot = load()
  let problem: string | null = null
  let last: Promise<unknown> = Promise.resolve()
  const reloadNow = async (): Promise<string | null> => {
    const { clock, store, observe } = around
    try {
      const next = load()
      await takeUp(store, clock, next, () => {
        snapshot = next
      })
      observe({ kind: 'config_loaded', version: next.version, notices: next.notices })
      problem = null
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error)
      observe({ kind: 'config_refused', problems: [problem] })
    }
    return problem
  }
  // One after the other: what was read first must not be in force last.
  const reload = (): Promise<string | null> => {
    const next = last.then(reloadNow)
    last = next
    return next
  }
  return {
    snapshot: () => snapshot,
    problem: () => problem,
    reload,
    watch: (home, stopping) => watch(home, around.clock, reload, stopping),
  }
}

async function watch(
  home: ConfigHome,
  clock: Clock,
  reload: () => Promise<unknown>,
  stopping: AbortSignal,
): Promise<void> {
  let loaded = home.fingerprint()
  let seen = loaded
  while (!stopping.aborted) {
    await clock.sleep(lookEveryMs, stopping)
    if (stopping.aborted) return
    const now = home.fingerprint()
    const atRest = now === seen
    seen = now
    if (!atRest || now === loaded) continue
    loaded = now
    await reload()
  }
}
