/** Leases of a store that only one process can reach: kept as long as that process. */
import type { Instant } from '#core/time.ts'

export class Leases {
  readonly #held = new Map<string, { readonly holder: string; readonly until: Instant }>()

  /** As `AlertStore.lease`. */
  take(name: string, holder: string, now: Instant, until: Instant): boolean {
    const held = this.#held.get(name)
    if (held !== undefined && held.holder !== holder && held.until > now) return false
    this.#held.set(name, { holder, until })
    return true
  }
}
