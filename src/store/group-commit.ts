/**
 * Many writes, one transaction, one fsync. Work that arrives in one turn of the event loop, or
 * while a commit is under way, shares the next transaction; nothing is acknowledged before it is
 * durable. Where a store allows it, that work is done while the disk is busy with the last batch,
 * on top of it: when the disk is done, the next batch is ready.
 */
import { StoreUnavailable } from '#ports/store.ts'

/** Nothing can be committed now, whatever it is: who waits is told, and not tried one by one. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable'
}

/** `Need`: what a job names of the rows it will read, for a store that must fetch them first. */
export interface Transaction<Need> {
  /** Whether one may begin while the one before it is being committed, and be added to. */
  overlaps(): boolean
  /**
   * Calls back once the jobs may run; `again`: what follows came to nothing once, or nobody knows.
   */
  begin(needs: readonly Need[], again: boolean, ready: (failure: Error | null) => void): void
  /** Calls back once what was done since `begin` is durable, or will never be. */
  commit(done: (failure: Error | null) => void): void
  /**
   * Takes back all that is not durable, of what has begun since too. Never throws: the connection
   * may be what is broken.
   */
  rollback(): void
}

interface Job<Need> {
  readonly need: Need
  readonly alone: boolean
  readonly work: () => unknown
  readonly resolve: (value: unknown) => void
  readonly reject: (reason: Error) => void
}

interface Batch<Need> {
  readonly jobs: Job<Need>[]
  /** What each job came to. */
  readonly values: unknown[]
  isBegun: boolean
  /** It can be committed no more; null: so far it can. */
  failure: unknown
}

/** So that nobody waits long for the event loop, which tells them all that they are durable. */
const jobsPerCommit = 128
const queueMax = 20_000

export class GroupCommit<Need> {
  readonly #transaction: Transaction<Need>
  readonly #onCommit: (jobs: number) => void
  readonly #queue: Job<Need>[] = []
  /** Takes jobs until it is sent. */
  #open: Batch<Need> | null = null
  /** Being committed. */
  #sent: Batch<Need> | null = null
  /** A failed batch is tried again, job by job. */
  #isMending = false
  #isScheduled = false
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
    if (this.#isIdle()) return
    await new Promise<void>((resolve) => this.#idle.add(resolve))
  }

  #isIdle(): boolean {
    const isFree = this.#open === null && this.#sent === null && !this.#isMending
    return isFree && this.#queue.length === 0
  }

  #schedule(): void {
    if (this.#isScheduled || this.#room() === 0) return
    this.#isScheduled = true
    // Not later: who waits for a crowd leaves the disk idle meanwhile.
    setImmediate(() => {
      this.#isScheduled = false
      this.#turn()
    })
  }

  /** How many of those who wait may run now. */
  #room(): number {
    const [first] = this.#queue
    if (first === undefined || this.#isMending) return 0
    const open = this.#open
    if (open === null && this.#sent === null) return first.alone ? 1 : jobsPerCommit
    if (first.alone || !this.#transaction.overlaps()) return 0
    if (open === null) return jobsPerCommit
    const isFit = open.isBegun && open.failure === null
    return isFit ? jobsPerCommit - open.jobs.length : 0
  }

  /** Who waits joins the open batch, or opens one. */
  #turn(): void {
    const jobs = this.#take()
    if (jobs.length === 0) return
    const open = this.#open
    if (open !== null) {
      open.jobs.push(...jobs)
      return this.#run(open, jobs)
    }
    const batch: Batch<Need> = { jobs, values: [], isBegun: false, failure: null }
    this.#open = batch
    const needs = jobs.map(({ need }) => need)
    this.#transaction.begin(needs, false, (failure) => {
      batch.isBegun = true
      batch.failure = failure
      this.#run(batch, [...jobs])
    })
  }

  #take(): Job<Need>[] {
    const room = this.#room()
    const alone = this.#queue.findIndex((job) => job.alone)
    const together = alone === -1 ? room : Math.min(room, Math.max(1, alone))
    return this.#queue.splice(0, together)
  }

  #run(batch: Batch<Need>, jobs: readonly Job<Need>[]): void {
    try {
      if (batch.failure === null) for (const { work } of jobs) batch.values.push(work())
    } catch (error) {
      batch.failure = error
    }
    this.#send()
  }

  #send(): void {
    const batch = this.#open
    if (batch === null || !batch.isBegun || this.#sent !== null) return
    this.#open = null
    this.#sent = batch
    if (batch.failure !== null) return this.#failed(batch)
    this.#transaction.commit((failure) => {
      if (failure === null) this.#landed(batch)
      else this.#failed(batch)
    })
  }

  #landed({ jobs, values }: Batch<Need>): void {
    this.#sent = null
    // First: so the disk has the next before anybody goes on with the last.
    this.#send()
    this.#onCommit(jobs.length)
    for (const [i, { resolve }] of jobs.entries()) resolve(values[i])
    this.#next()
  }

  #failed(batch: Batch<Need>): void {
    const open = this.#open
    this.#open = null
    this.#sent = null
    this.#isMending = true
    this.#transaction.rollback()
    // What was done on top of it was done on nothing.
    if (open !== null) this.#queue.unshift(...open.jobs)
    this.#oneByOne(batch.jobs, 0)
  }

  #next(): void {
    this.#schedule()
    if (!this.#isIdle()) return
    for (const resolve of this.#idle) resolve()
    this.#idle.clear()
  }

  /** Again, each alone: one may be what broke the transaction, and takes no neighbour with it. */
  #oneByOne(jobs: readonly Job<Need>[], at: number): void {
    const job = jobs[at]
    if (job === undefined) {
      this.#isMending = false
      return this.#next()
    }
    this.#again(job, (failure) => {
      const hopeless = failure?.cause instanceof Unreachable
      if (failure !== null) reject(hopeless ? jobs.slice(at) : [job], failure)
      this.#oneByOne(jobs, hopeless ? jobs.length : at + 1)
    })
  }

  /** Commits the job and tells it; `then` hears the failure, if there was one. */
  #again(
    { need, work, resolve }: Job<Need>,
    then: (failure: StoreUnavailable | null) => void,
  ): void {
    const failed = (error: unknown): void => {
      this.#transaction.rollback()
      const reason = error instanceof Error ? error.message : String(error)
      then(new StoreUnavailable(reason, { cause: error }))
    }
    this.#transaction.begin([need], true, (unready) => {
      if (unready !== null) return failed(unready)
      let value: unknown
      try {
        value = work()
      } catch (error) {
        return failed(error)
      }
      this.#transaction.commit((failure) => {
        if (failure !== null) return failed(failure)
        this.#onCommit(1)
        resolve(value)
        then(null)
      })
    })
  }
}

function reject(jobs: readonly Job<unknown>[], failure: StoreUnavailable): void {
  for (const job of jobs) job.reject(failure)
}
