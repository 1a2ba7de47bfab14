/**
 * The gateway's hand on the ledger: fails closed when it cannot commit, and never forgets an
 * ending. What could not be settled is kept on this machine's disk and tried again until the ledger
 * has it; the hold stays meanwhile, so money in doubt is money held.
 */
import type { Ending, HoldCommand, Rules } from '#core/journal.ts'
import type { Snapshot } from '#core/snapshot.ts'
import type { Instant } from '#core/time.ts'
import type { HoldId } from '#lib/id.ts'
import { type Outcome, StoreUnavailable } from '#ports/store.ts'
import type { GatewayDeps } from './deps.ts'

const retryMsMax = 5000
/** While the ledger is failing, one call in this many milliseconds is let through to find out. */
const probeMs = 500

const late = Symbol('late')

interface Commit {
  readonly deadline: number
  readonly late: () => void
}

export class Books {
  readonly #deps: GatewayDeps
  #failing = false
  #probeAt = 0
  #unsettled = 0
  #listeners = new Set<() => void>()
  readonly #commits = new Set<Commit>()
  #watching = false

  constructor(deps: GatewayDeps) {
    this.#deps = deps
  }

  /** Endings that the ledger does not have yet. Zero before a clean stop. */
  get unsettled(): number {
    return this.#unsettled
  }

  /** Commands that the ledger is at, and has time for. */
  get backlog(): number {
    return this.#commits.size
  }

  /** Null: the ledger cannot commit now, and the call must not go out. */
  async hold(command: HoldCommand): Promise<Outcome | null> {
    const now = this.#deps.clock.now()
    if (this.#failing && now < this.#probeAt) return null
    this.#probeAt = now + probeMs
    const run = this.#deps.store.run(command, now, this.#rules())
    try {
      const first = await this.#inTime(run)
      if (first === late) {
        this.#fail('a commit took too long')
        this.#abandon(run, command.hold)
        return null
      }
      this.#recover()
      return first
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error
      this.#fail(error.message)
      // The outcome of a failed commit may be unknown: whatever it was, nothing is held after this.
      this.#abandon(run, command.hold)
      return null
    }
  }

  /** What `run` resolves with, or `late` once a commit may take no longer. */
  #inTime(run: Promise<Outcome>): Promise<Outcome | typeof late> {
    return new Promise((resolve, reject) => {
      const commit: Commit = {
        deadline: this.#deps.clock.now() + this.#deps.limits.commitMs,
        late: () => resolve(late),
      }
      this.#commits.add(commit)
      run.then(
        (outcome) => {
          this.#commits.delete(commit)
          resolve(outcome)
        },
        (error: unknown) => {
          this.#commits.delete(commit)
          reject(error)
        },
      )
      if (!this.#watching) void this.#watch()
    })
  }

  /** One timer for all commits under way: they have the same time, so the oldest is due first. */
  async #watch(): Promise<void> {
    this.#watching = true
    const { clock, limits } = this.#deps
    while (this.#commits.size > 0) {
      await clock.sleep(limits.commitMs / 8)
      for (const commit of this.#commits) {
        if (commit.deadline > clock.now()) break
        this.#commits.delete(commit)
        commit.late()
      }
    }
    this.#watching = false
  }

  /**
   * Resolves when the ending is durable: with the accounts after it, or null where the ledger is
   * away and this machine's disk has it meanwhile. It is told to the ledger until that takes it.
   */
  end(command: Ending): Promise<Outcome | null> {
    return new Promise((resolve, reject) => {
      let kept = false
      const isKept = (): void => {
        kept = true
        resolve(null)
      }
      this.#settle(command, isKept).then(resolve, (error: unknown) => {
        if (!kept) return reject(error)
        this.#deps.observe({ kind: 'unexpected', where: 'a kept ending', reason: String(error) })
      })
    })
  }

  async #settle(command: Ending, isKept: () => void): Promise<Outcome> {
    this.#unsettled += 1
    let keeping: Promise<boolean> | null = null
    const keep = (reason: string): void => {
      this.#fail(reason)
      keeping ??= this.#keep(command, isKept)
    }
    try {
      for (let waitMs = 50; ; waitMs = Math.min(waitMs * 2, retryMsMax)) {
        const run = this.#deps.store.run(command, this.#deps.clock.now(), this.#rules())
        try {
          const first = await this.#inTime(run)
          if (first === late) keep('a commit took too long')
          const outcome = first === late ? await run : first
          this.#recover()
          if (keeping !== null && (await keeping)) this.#deps.endings.forget(command.hold)
          for (const listener of [...this.#listeners]) listener()
          return outcome
        } catch (error) {
          if (!(error instanceof StoreUnavailable)) throw error
          keep(error.message)
          await this.#deps.clock.sleep(waitMs)
        }
      }
    } finally {
      this.#unsettled -= 1
    }
  }

  /** Resolves at the next ending, or after `ms`: room may have come free. */
  async roomOr(ms: number): Promise<void> {
    const timer = new AbortController()
    let wake = (): void => {}
    const woken = new Promise<void>((resolve) => {
      wake = resolve
    })
    this.#listeners.add(wake)
    await Promise.race([woken, this.#deps.clock.sleep(ms, timer.signal)])
    timer.abort()
    this.#listeners.delete(wake)
  }

  /** The hold may still commit after we gave up on it: nothing was sent, so it is voided. */
  #abandon(run: Promise<Outcome>, hold: HoldId): void {
    const undo = (): Promise<unknown> =>
      this.end({ kind: 'void', hold, facts: { reason: 'the ledger was too slow' } })
    run.then(undo, undo).catch((error: unknown) => {
      this.#deps.observe({ kind: 'unexpected', where: 'abandoned hold', reason: String(error) })
    })
  }

  /** Should this process end before the ledger is back, the next one knows. */
  async #keep(ending: Ending, isKept: () => void): Promise<boolean> {
    try {
      await this.#deps.endings.keep(ending)
      isKept()
      return true
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      this.#deps.observe({ kind: 'unexpected', where: 'the journal of endings', reason })
      return false
    }
  }

  /** Those in force, whichever the call began with: it may end where a budget is new. */
  #rules(): Rules {
    return rulesOf(this.#deps.snapshot())
  }

  #fail(reason: string): void {
    if (!this.#failing) this.#deps.observe({ kind: 'ledger_failed', reason })
    this.#failing = true
  }

  #recover(): void {
    if (this.#failing) this.#deps.observe({ kind: 'ledger_recovered' })
    this.#failing = false
  }
}

const rulesCache = new WeakMap<Snapshot, Rules>()

/** The rule of a budget id, in this snapshot. */
export function rulesOf(snapshot: Snapshot): Rules {
  const known = rulesCache.get(snapshot)
  if (known !== undefined) return known
  const byId = new Map([...snapshot.budgets, ...snapshot.runs].map((rule) => [rule.id, rule]))
  const rules: Rules = (id) => byId.get(id) ?? null
  rulesCache.set(snapshot, rules)
  return rules
}

export const laterOf = (a: Instant, b: Instant): Instant => (a > b ? a : b)
