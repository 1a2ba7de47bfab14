/** One gateway of a simulated world: what it awaits dies with it. */
import type { VirtualKey } from '#core/key.ts'
import type { Snapshot } from '#core/snapshot.ts'
import type { Ending } from '#core/journal.ts'
import { instant } from '#core/time.ts'
import { Books } from '#gateway/books.ts'
import { type GatewayDeps, usualLimits } from '#gateway/deps.ts'
import { Loops } from '#gateway/loops.ts'
import { Replays } from '#gateway/replays.ts'
import { Runs } from '#gateway/runs.ts'
import type { Desk } from '#gateway/serve.ts'
import type { HoldId } from '#lib/id.ts'
import type { Clock } from '#ports/clock.ts'
import { type LedgerStore, type Store, StoreUnavailable } from '#ports/store.ts'
import type { Upstream } from '#ports/upstream.ts'
import type { Swarm } from './swarm.ts'

/**
 * Fails before or after the commit, is told some commands twice and hears some late: the caller
 * cannot tell which of these it met. Whichever replica it asks next, it is one ledger.
 */
export function shaky(
  stores: readonly Pick<LedgerStore, 'run'>[],
  clock: Clock,
  chance: () => number,
  swarm: () => Swarm,
): Pick<LedgerStore, 'run'> {
  let turn = 0
  return {
    run: async (command, now, rules) => {
      turn += 1
      const store = stores[turn % stores.length] as Pick<LedgerStore, 'run'>
      const { failBefore, failAfter, duplicate, late } = swarm()
      const fate = chance()
      if (fate < failBefore) throw new StoreUnavailable('before the commit')
      if (chance() < late) await clock.sleep(Math.floor(chance() * 1500))
      // A commit takes a millisecond of virtual time, however a store's own turns fall.
      const [outcome] = await Promise.all([store.run(command, now, rules), clock.sleep(1)])
      // A repeat: the network sent it twice, or somebody asked again because no answer came.
      if (chance() < duplicate) await store.run(command, now, rules)
      if (fate < failBefore + failAfter) throw new StoreUnavailable('after the commit')
      return outcome
    },
  }
}

export const key: VirtualKey = {
  id: 'key_sim',
  name: 'sim',
  hash: '',
  prefix: 'vk_sim',
  team: null,
  agent: 'agent',
  environment: null,
  tenant: null,
  user: null,
  createdAt: instant(0),
  createdBy: 'sim',
  expiresAt: null,
  revokedAt: null,
}

/** What all gateways of a world share. */
export interface Surroundings {
  readonly clock: Clock
  readonly chance: () => number
  readonly provider: Upstream
  readonly store: Store
  readonly flaky: Pick<LedgerStore, 'run'>
  readonly snapshot: () => Snapshot
  readonly token: (length: number) => string
  readonly unexpected: (reason: string) => void
}

export interface Process {
  readonly desk: Desk
  /** What its disk has that the ledger may not have yet. */
  readonly kept: ReadonlyMap<HoldId, Ending>
  /** Resolves when it is killed. */
  readonly dead: Promise<void>
  kill(): void
}

export function boot(world: Surroundings): Process {
  let alive = true
  const { promise: dead, resolve } = Promise.withResolvers<void>()
  const kill = (): void => {
    alive = false
    resolve()
  }
  const kept = new Map<HoldId, Ending>()
  return { desk: deskOf(world, () => alive, kept), kept, dead, kill }
}

function deskOf(world: Surroundings, alive: () => boolean, kept: Map<HoldId, Ending>): Desk {
  const { clock, provider, flaky } = world
  const never = new Promise<never>(() => {})
  const deps: GatewayDeps = {
    clock: {
      now: () => clock.now(),
      sleep: async (ms, signal) => {
        await clock.sleep(ms, signal)
        if (!alive()) await never
      },
    },
    chance: { token: world.token, fraction: world.chance },
    observe: (o) => {
      if (o.kind === 'unexpected') world.unexpected(`${o.where}: ${o.reason}`)
    },
    upstream: {
      send: (request, listener) =>
        provider.send(request, {
          started: (s, h) => alive() && listener.started(s, h),
          data: (c) => alive() && listener.data(c),
          ended: () => alive() && listener.ended(),
          failed: (f) => alive() && listener.failed(f),
        }),
      close: async () => {},
    },
    store: {
      run: async (command, now, used) => {
        if (!alive()) await never
        const outcome = await flaky.run(command, now, used)
        return alive() ? outcome : never
      },
      mark: (id) => world.store.mark(id),
      raise: (alert) => world.store.raise(alert),
      change: (change, audit) => world.store.change(change, audit),
      outcomeEvent: (id) => world.store.outcomeEvent(id),
      observe: (calls) => world.store.observe(calls),
    },
    freezes: () => [],
    paces: () => [],
    endings: {
      keep: async (ending) => {
        await clock.sleep(1)
        if (!alive()) await never
        kept.set(ending.hold, ending)
      },
      forget: (hold) => kept.delete(hold),
    },
    balances: world.store,
    snapshot: world.snapshot,
    findKey: () => key,
    limits: { ...usualLimits, drainMs: 30_000, holdMs: 600_000 },
  }
  return {
    deps,
    books: new Books(deps),
    replays: new Replays(),
    runs: new Runs(deps.store),
    loops: new Loops(),
    waiting: { count: 0 },
    drains: { count: 0 },
  }
}
