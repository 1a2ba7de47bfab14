/** Where a batch is carried out: in a thread beside the event loop, or on the spot. */
import { Worker } from 'node:worker_threads'
import { assert } from '#lib/assert.ts'
import type { SqliteWriter } from './sqlite-writer.ts'
import type { Batch } from './sqlite-writes.ts'

/** Hears that a batch is durable (null), or why it is not: nothing of it is then. */
export type Written = (failure: Error | null) => void

/** One batch at a time: the next is given when the last is `written`. */
export interface BatchWriter {
  write(batch: Batch, written: Written): void
  close(): Promise<void>
}

/** For a ledger in memory, which no fsync makes slow and no other thread can see. */
export function writerOnTheSpot(writer: SqliteWriter): BatchWriter {
  return {
    write: (batch, written) => written(failureOf(() => writer.write(batch))),
    close: async () => writer.close(),
  }
}

/** Null: it went well. */
export function failureOf(work: () => void): Error | null {
  try {
    work()
    return null
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

/** `.ts` in the checkout, `.js` beside the built program. */
export function threadFile(name: 'sqlite-thread' | 'inspect-thread'): URL {
  const [extension] = /\.[jt]s$/.exec(import.meta.url) ?? ['.js']
  return new URL(`./${name}${extension}`, import.meta.url)
}

/**
 * A thread that died is replaced: what it left undone SQLite has rolled back. Nothing that it says
 * afterwards is taken for the word of the one in its place.
 */
export class WriterThread implements BatchWriter {
  readonly #path: string
  #worker: Worker | null = null
  #waiting: Written | null = null

  constructor(path: string) {
    this.#path = path
  }

  write(batch: Batch, written: Written): void {
    assert(this.#waiting === null, 'one batch at a time')
    this.#waiting = written
    // There may be no thread to be had.
    const failure = failureOf(() => {
      this.#worker ??= this.#start()
      this.#worker.ref()
      this.#worker.postMessage(batch)
    })
    if (failure !== null) this.#answer(failure)
  }

  async close(): Promise<void> {
    const worker = this.#worker
    if (worker === null) return
    const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()))
    worker.ref()
    worker.postMessage('close')
    await ended
  }

  #start(): Worker {
    const worker = new Worker(threadFile('sqlite-thread'), { workerData: { path: this.#path } })
    // It holds up no process that has nothing to write.
    worker.unref()
    worker.on('message', (failure: string | null) => {
      worker.unref()
      if (this.#worker === worker) this.#answer(failure === null ? null : new Error(failure))
    })
    // An error is told first, and then the end.
    const died = (reason: string): void => {
      if (this.#worker !== worker) return
      this.#worker = null
      this.#answer(new Error(`the writer thread died: ${reason}`))
    }
    worker.on('error', (error: Error) => died(error.message))
    worker.on('exit', (code) => died(`exit ${code}`))
    return worker
  }

  #answer(failure: Error | null): void {
    const waiting = this.#waiting
    this.#waiting = null
    waiting?.(failure)
  }
}
