/** What the control plane is given. */
import type { VirtualKey } from '#core/key.ts'
import type { Inspection } from '#core/recount.ts'
import type { Outlook } from '#core/outlook.ts'
import type { Rights } from '#core/role.ts'
import type { Oidc } from '#core/sign-in.ts'
import type { Snapshot } from '#core/snapshot.ts'
import type { Instant } from '#core/time.ts'
import type { Chance } from '#ports/chance.ts'
import type { ControlRecord, RecordKind } from '#core/record.ts'
import type { ConfigHome } from '#ports/config-home.ts'
import type { Clock } from '#ports/clock.ts'
import type { Observe } from '#ports/observer.ts'
import type { SignIn } from '#ports/sign-in.ts'
import type { Store } from '#ports/store.ts'

export interface ControlDeps {
  readonly clock: Clock
  readonly chance: Chance
  readonly observe: Observe
  readonly store: Store
  readonly snapshot: () => Snapshot
  readonly config: {
    /** Null: the demo that is built in. */
    readonly home: ConfigHome | null
    /** Why what is on disk is not in force; null: it is. */
    problem(): string | null
    /** Here and on all replicas; null: what is on disk is in force. */
    reload(): Promise<string | null>
  }
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
  readonly door: Door
  readonly channels: {
    /** Those that are configured: `slack`, `webhook:ops`. */
    names(): readonly string[]
    /** Sends a test alert now. Null: there is no such channel. */
    test(channel: string, by: string): Promise<{ delivered: boolean; answer: string } | null>
  }
  readonly health: () => Health
  /** The ledger counted again, beside what is being served. */
  readonly inspect: () => Promise<Inspection>
  /** Where budgets will stand at the end of their periods. */
  readonly outlooks: () => Promise<readonly Outlook[]>
  /** Prometheus text. */
  readonly metrics: () => Promise<string>
}

/** What people are known by. */
export interface Door {
  /** The token of the installation itself, which is in no record. */
  isBootstrap(token: string): boolean
  /** A new admin token; shown once and kept nowhere. */
  makeToken(): string
  /** What a secret is known by in records: never the secret itself. Hex. */
  hash(secret: string): string
  /** A text that only this installation can read, until the time is over. */
  seal(value: Readonly<Record<string, string>>, forMs: number): Promise<string>
  /** Null: it is none of ours, or its time is over. */
  unseal(text: string): Promise<Readonly<Record<string, unknown>> | null>
  signIn(oidc: Oidc): SignIn
}

/** Who asks. */
export interface Actor extends Rights {
  /** `admin`, `tok_...`, or `oidc:` and the provider's name for a person. Never another's. */
  readonly id: string
  /** As people know it. */
  readonly name: string
  /**
   * The id of who answers for it: a token that was made with a token is no other person than that.
   */
  readonly person: string
  readonly via: 'bootstrap' | 'token' | 'session' | 'slack'
  readonly expiresAt: Instant | null
}

export interface Health {
  readonly ready: boolean
  readonly reason: string | null
}
