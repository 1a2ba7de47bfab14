/** The config that calls go by: swapped whole, never for one that is not good. */
import { configDiff } from '#core/config-diff.ts'
import { configWarnings } from '#core/config-warnings.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { bodyAt, makeId } from '#lib/id.ts'
import type { Chance } from '#ports/chance.ts'
import { takeUp } from '#jobs/adoption.ts'
import { guardPrices } from '#jobs/price-guard.ts'
import type { Clock } from '#ports/clock.ts'
import type { ConfigHome } from '#ports/config-home.ts'
import type { Observe } from '#ports/observer.ts'
import { type Store, StoreUnavailable } from '#ports/store.ts'

export interface ConfigInForce {
  readonly snapshot: () => Snapshot
  /** Why what is on disk is not in force; null: it is. */
  readonly problem: () => string | null
  /**
   * Reads it again. Keeps the old one and resolves to the problems if it is not good. `isTold`:
   * whoever asks has written into the audit log what changes.
   */
  readonly reload: (isTold?: boolean) => Promise<string | null>
  /** Reads it again whenever its files change, until it is told to stop. */
  readonly watch: (home: ConfigHome, stopping: AbortSignal) => Promise<void>
}

export interface Surroundings {
  readonly clock: Clock
  readonly chance: Chance
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
  const reloadNow = async (isTold: boolean): Promise<string | null> => {
    const { clock, store, observe } = around
    const before = snapshot
    try {
      const next = load()
      await guardPrices(store, clock, next, false)
      await takeUp(store, clock, next, () => {
        snapshot = next
      })
      observe({ kind: 'config_loaded', version: next.version, notices: next.notices })
      problem = null
      if (!isTold && next.version !== before.version) await noteChange(around, before, next)
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error)
      observe({ kind: 'config_refused', problems: [problem] })
    }
    return problem
  }
  // One after the other: what was read first must not be in force last.
  const reload = (isTold = false): Promise<string | null> => {
    const next = last.then(() => reloadNow(isTold))
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

/** Nobody has said why: the files have. Without a ledger to write to, the log has it. */
async function noteChange(
  { clock, chance, store, observe }: Surroundings,
  before: Snapshot,
  after: Snapshot,
): Promise<void> {
  const changes = configDiff(before, after)
  const names = changes.map(({ kind, part, name }) => `${part} ${name} ${kind}`)
  const { version } = after
  observe({
    kind: 'config_changed',
    version,
    changes: [...names, ...configWarnings(before, after)],
  })
  const note = { actor: 'bursar', action: 'config.reloaded', subject: version, reason: null }
  const id = makeId('aud', bodyAt(clock.now(), chance.token(13)))
  const row = { ...note, id, at: clock.now(), before: { version: before.version } }
  await store
    .change({ kind: 'note' }, { ...row, after: { version, changes } })
    .catch((error: unknown) => {
      if (error instanceof StoreUnavailable) return
      observe({ kind: 'unexpected', where: 'the audit of a reload', reason: String(error) })
    })
}
