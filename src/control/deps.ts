/** What the control plane is given. */
import type { VirtualKey } from '#core/key.ts'
import type { Inspection } from '#core/recount.ts'
import type { Snapshot } from '#core/snapshot.ts'
import type { Chance } from '#ports/chance.ts'
import type { ControlRecord, RecordKind } from '#core/record.ts'
import type { Clock } from '#ports/clock.ts'
import type { Observe } from '#ports/observer.ts'
import type { Store } from '#ports/store.ts'

export interface ControlDeps {
  readonly clock: Clock
  readonly chance: Chance
  readonly observe: Observe
  readonly store: Store
  readonly snapshot: () => Snapshot
  readonly keys: {
    /** A new secret and its hash; the secret is shown once and kept nowhere. */
    make(): { readonly secret: string; readonly hash: string }
    /** A key was made or changed: it is usable, or no longer, from the next call on. */
    changed(key: VirtualKey): void
  }
  /** In memory; `put` after the store has it, so that it holds from the next call on. */
  readonly records: {
    all(kind: RecordKind): ReadonlyMap<string, unknown>
    put(record: ControlRecord): void
  }
  readonly channels: {
    /** Those that are configured: `slack`, `webhook:ops`. */
    names(): readonly string[]
    /** Sends a test alert now. Null: there is no such channel. */
    test(channel: string, by: string): Promise<{ delivered: boolean; answer: string } | null>
  }
  /** Who holds this bearer token, or null. */
  readonly actorOf: (token: string) => Actor | null
  readonly health: () => Health
  /** The ledger counted again, beside what is being served. */
  readonly inspect: () => Promise<Inspection>
  /** Prometheus text. */
  readonly metrics: () => Promise<string>
}

export interface Actor {
  readonly name: string
  readonly role: 'admin'
}

export interface Health {
  readonly ready: boolean
  readonly reason: string | null
}
