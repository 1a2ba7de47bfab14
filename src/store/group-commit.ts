/**
 * Many writes, one transaction, one fsync. Work that arrives in one turn of the event loop, or
 * while a commit is under way, shares the next transaction; nothing is acknowledged before it is
 * durable.
 */
import { StoreUnavailable } from '#ports/store.ts'

/** Nothing can be committed now, whatever it is: who waits is told, and not tried one by one. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable'
}

/** `Need`: what a job names of the rows it will read, for a store that must fetch them first. */
export interface Transaction<Need> {
  /**
   * Calls back once the jobs may run; `again`: what follows came to nothing once, or nobody knows.
   */
  begin(needs: readonly Need[], again: boolean, ready: (failure: Error | null) => void): void
  /** Calls back once what was done since `begin` is durable, or will never be. */
  commit(done: (failure: Error | null) => void): void
  /** Never throws: the connection may be what is broken. */
  rollback(): void
}

interface Job<Need> {
  readonly need: Need
  readonly alone: boolean
  readonly work: () => unknown
  readonly resolve: (value: unknown) => void
  readonly reject: (reason: Error) => void
}

/** So that nobody waits long for the event loop, which tells them all that they are durable. */
const jobsPerCommit = 128
const queueMax = 20_000

export class GroupCommit<Need> {
  readonly #transaction: Transaction<Need>
  readonly #onCommit: (jobs: number) => void
  #queue: Job<Need>[] = []
  #scheduled = false
  #committing = false
  readonly #idle = new Set<() => void>()

  constructor(transaction: Transaction<Need>, onCommit: (jobs: number) => void = () => {}) {
    this.#transaction = transaction
    this.#onCommit = onCommit
  }

  /**
   * Runs `work` inside the next transaction, or `alone` in one of its own; resolves with its value
   * once that is durable.
   */
  add<Value>(need: Need, work: () => Value, alone = false): Promise<Value> {
    if (this.#queue.length >= queueMax) {
      return Promise.reject(new StoreUnavailable('too many writes are waiting'))
    }
    return new Promise<Value>((resolve, reject) => {
      this.#queue.push({ need, alone, work, resolve: resolve as (value: unknown) => void, reject })
      this.#schedule()
    })
  }

  /** Resolves when nothing waits and nothing is being committed. */
  async drained(): Promise<void> {
    if (this.#queue.length === 0 && !this.#committing) return
    await new Promise<void>((resolve) => this.#idle.add(resolve))
  }

  #schedule(): void {
    if (this.#scheduled || this.#committing) return
    this.#scheduled = true
    // Not later: who waits for a crowd leaves the disk idle meanwhile.
    setImmediate(() => {
      this.#scheduled = false
      this.#commitNext()
    })
  }

  #commitNext(): void {
    const jobs = this.#take()
    this.#committing = true
    this.#attempt(jobs, false, (failure) => {
      if (failure === null) this.#done()
      else this.#oneByOne(jobs, 0)
    })
  }

  #take(): readonly Job<Need>[] {
    const first = this.#queue.findIndex(({ alone }) => alone)
    const together = first === -1 ? jobsPerCommit : Math.min(jobsPerCommit, Math.max(1, first))
    return this.#queue.splice(0, together)
  }

  /** Again, each alone: one may be what broke the transaction, and takes no neighbour with it. */
  #oneByOne(jobs: readonly Job<Need>[], at: number): void {
    const job = jobs[at]
    if (job === undefined) return this.#done()
    this.#attempt([job], true, (failure) => {
      const hopeless = failure?.cause instanceof Unreachable
      if (failure !== null) reject(hopeless ? jobs.slice(at) : [job], failure)
      this.#oneByOne(jobs, hopeless ? jobs.length : at + 1)
    })
  }

  #done(): void {
    this.#committing = false
    if (this.#queue.length > 0) return this.#schedule()
    for (const resolve of this.#idle) resolve()
    this.#idle.clear()
  }

  /** Commits all of them or none, then tells them; `then` hears the failure, if there was one. */
  #attempt(
    jobs: readonly Job<Need>[],
    again: boolean,
    then: (failure: StoreUnavailable | null) => void,
  ): void {
    const values: unknown[] = []
    const failed = (error: unknown): void => {
      this.#transaction.rollback()
      const reason = error instanceof Error ? error.message : String(error)
      then(new StoreUnavailable(reason, { cause: error }))
    }
    const run = (): void => {
      try {
        for (const { work } of jobs) values.push(work())
      } catch (error) {
        return failed(error)
      }
      this.#transaction.commit((failure) => {
        if (failure !== null) return failed(failure)
        this.#onCommit(jobs.length)
        for (const [i, { resolve }] of jobs.entries()) resolve(values[i])
        then(null)
      })
    }
    const needs = jobs.map(({ need }) => need)
    this.#transaction.begin(needs, again, (failure) => {
      if (failure === null) run()
      else failed(failure)
    })
  }
}

function reject(jobs: readonly Job<unknown>[], failure: StoreUnavailable): void {
  for (const job of jobs) job.reject(failure)
}
