/** Counts the ledger again without holding up whoever asks. */
import { Worker } from 'node:worker_threads'
import type { Inspection } from '#core/recount.ts'
import { StoreUnavailable } from '#ports/store.ts'
import { threadFile } from './batch-writer.ts'

/** One count at a time: who asks while one is under way gets its result. */
export function inspector(path: string): () => Promise<Inspection> {
  let running: Promise<Inspection> | null = null
  return () => {
    running ??= inspected(path).finally(() => {
      running = null
    })
    return running
  }
}

function inspected(path: string): Promise<Inspection> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(threadFile('inspect-thread'), { workerData: { path } })
    const failed = (reason: string): void => reject(new StoreUnavailable(reason))
    worker.on('message', resolve)
    worker.on('error', (error) => failed(error instanceof Error ? error.message : String(error)))
    worker.on('exit', (code) => failed(`the count ended with ${code}`))
  })
}
