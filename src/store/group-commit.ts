/**
 * Many writes, one transaction, one fsync. Work that arrives in one turn of the event loop, or
 * while a commit is under way, shares the next transaction; nothing is acknowledged before it is
 * durable.
 */
import { StoreUnavailable } from '#ports/store.ts'

export interface Transaction {
  begin(): void
  commit(): void
  /** Never throws: the connection may be what is broken. */
  rollback(): void
}

interface Job {
  readonly work: () => unknown
  readonly resolve: (value: unknown) => void
  readonly reject: (reason: Error) => void
}

const jobsPerCommit = 512
const queueMax = 20_000

export class GroupCommit {
  readonly #transaction: Transaction
  readonly #onCommit: (jobs: number) => void
  #queue: Job[] = []
  #scheduled = false

  constructor(transaction: Transaction, onCommit: (jobs: number) => void = () => {}) {
    this.#transaction = transaction
    this.#onCommit = onCommit
  }

  /** Runs `work` inside the next transaction; resolves with its value once that is durable. */
  add<Value>(work: () => Value): Promise<Value> {
    if (this.#queue.length >= queueMax) {
      return Promise.reject(new StoreUnavailable('too many writes are waiting'))
    }
    return new Promise<Value>((resolve, reject) => {
      this.#queue.push({ work, resolve: resolve as (value: unknown) => void, reject })
      this.#schedule()
    })
  }

  /** Commits what waits, now. */
  drain(): void {
    while (this.#queue.length > 0) this.#flush()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#flush()
      if (this.#queue.length > 0) this.#schedule()
    })
  }

  #flush(): void {
    const jobs = this.#queue.splice(0, jobsPerCommit)
    if (jobs.length === 0) return
    const failure = this.#attempt(jobs)
    if (failure === null) return
    if (jobs.length === 1) return reject(jobs, failure)
    // One of them may be what broke the transaction: alone, it takes no neighbour down with it.
    for (const job of jobs) {
      const own = this.#attempt([job])
      if (own !== null) reject([job], own)
    }
  }

  /** Commits all of them or none; the failure, if there was one. */
  #attempt(jobs: readonly Job[]): StoreUnavailable | null {
    const tell: (() => void)[] = []
    try {
      this.#transaction.begin()
      for (const { work, resolve } of jobs) {
        const value = work()
        tell.push(() => resolve(value))
      }
      this.#transaction.commit()
    } catch (error) {
      this.#transaction.rollback()
      const reason = error instanceof Error ? error.message : String(error)
      return new StoreUnavailable(reason, { cause: error })
    }
    this.#onCommit(jobs.length)
    for (const one of tell) one()
    return null
  }
}

function reject(jobs: readonly Job[], failure: StoreUnavailable): void {
  for (const job of jobs) job.reject(failure)
}
