/** Which runs a call is part of: its own, and those that it comes from. */
import type { Mark } from '#core/journal.ts'
import { generationsMax, type RunLink, type RunScope, runId, runMark } from '#core/run.ts'
import type { Principal } from '#core/scope.ts'
import { fromJson, toJson } from '#lib/json.ts'
import type { LedgerStore } from '#ports/store.ts'

export interface RunChain {
  /** The call's own run first; empty where the call is part of none. */
  readonly scopes: readonly RunScope[]
  /** To be written with the call's hold: where its run comes from, the first time it is named. */
  readonly marks: readonly Mark[]
  /** It goes on beyond `generationsMax`: caps of the first runs would not be seen. */
  readonly isTooDeep: boolean
}

const linksKept = 100_000

export const noRuns: RunChain = { scopes: [], marks: [], isTooDeep: false }

/** Links never change once they are made, so they may be remembered. */
export class Runs {
  readonly #store: Pick<LedgerStore, 'mark'>
  readonly #links = new Map<string, RunLink>()

  constructor(store: Pick<LedgerStore, 'mark'>) {
    this.#store = store
  }

  /** Without asking the ledger, which is how it is for nearly every call; null: ask `chainOf`. */
  remembered({ run, attribution }: Principal): RunChain | null {
    const own = runId(run, attribution)
    if (own === null) return noRuns
    const isFirst = this.#links.get(own)?.parent === null
    return isFirst ? { ...noRuns, scopes: [{ id: own, attribution }] } : null
  }

  /** Rejects with `StoreUnavailable`. */
  async chainOf({ run, parentRun, attribution }: Principal): Promise<RunChain> {
    const own = runId(run, attribution)
    if (own === null) return noRuns
    const known = this.#links.get(own) ?? (await this.#load(own))
    const link: RunLink = known ?? { parent: runId(parentRun, attribution), attribution }
    const scopes: RunScope[] = [{ id: own, attribution }]
    const isSeen = (one: string): boolean => scopes.some(({ id }) => id === one)
    let at = link.parent
    while (at !== null && !isSeen(at) && scopes.length < generationsMax) {
      const started = this.#links.get(at) ?? (await this.#load(at))
      // A parent that has made no call yet has the caps that its children would have.
      const parent: RunLink = started ?? { parent: null, attribution }
      scopes.push({ id: at, attribution: parent.attribution })
      at = parent.parent
    }
    const marks = known === null ? [{ id: runMark(own), value: toJson(link) }] : []
    return { scopes, marks, isTooDeep: at !== null && !isSeen(at) }
  }

  async #load(id: string): Promise<RunLink | null> {
    const text = await this.#store.mark(runMark(id))
    if (text === null) return null
    const link = fromJson(text) as RunLink
    if (this.#links.size >= linksKept) this.#links.clear()
    this.#links.set(id, link)
    return link
  }
}
