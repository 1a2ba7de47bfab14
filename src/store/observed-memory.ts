/** Observed calls of the store that forgets. */
import type { Hold } from '#core/journal.ts'
import {
  groupObserved,
  type ObservedCall,
  type ObservedRow,
  type ObservedState,
  statesOf,
  windowsOf,
} from '#core/observed.ts'
import type { SpendQuery } from '#core/spend.ts'
import type { Instant } from '#core/time.ts'

export class ObservedInMemory {
  readonly #kept = new Map<string, { readonly call: ObservedCall; state: ObservedState }>()
  readonly #responses = new Set<string>()
  readonly #holds: () => Iterable<Hold>

  constructor(holds: () => Iterable<Hold>) {
    this.#holds = holds
  }

  observe(calls: readonly ObservedCall[]): void {
    const fresh = calls.filter(({ id }) => !this.#kept.has(id))
    for (const { call, state } of statesOf(fresh, this.#gatewayIds(fresh))) {
      if (this.#kept.has(call.id)) continue
      const { response } = call
      const isDouble = response !== null && this.#responses.has(response)
      if (response !== null) this.#responses.add(response)
      this.#kept.set(call.id, { call, state: isDouble ? 'double' : state })
    }
  }

  settle(since: Instant): number {
    const open = [...this.#kept.values()].filter(
      ({ call, state }) => state === 'counted' && call.seenAt >= since,
    )
    const gateway = this.#gatewayIds(open.map(({ call }) => call))
    const known = open.filter(({ call }) => call.response !== null && gateway.has(call.response))
    for (const one of known) one.state = 'gateway'
    return known.length
  }

  observed(query: SpendQuery): readonly ObservedRow[] {
    return groupObserved(this.#kept.values(), query)
  }

  #gatewayIds(calls: readonly ObservedCall[]): ReadonlySet<string> {
    const windows = windowsOf(calls)
    const ids = new Set<string>()
    for (const { state, madeAt, facts, call } of this.#holds()) {
      if (state !== 'settled' && state !== 'expired') continue
      if (!windows.some(({ from, to }) => from <= madeAt && madeAt <= to)) continue
      for (const id of [facts.responseId, facts.requestId, call]) {
        if (typeof id === 'string') ids.add(id)
      }
    }
    return ids
  }
}
