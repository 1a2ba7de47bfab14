/** The thread in which the embedded ledger is written: its fsync stops nobody else. */
import { parentPort, workerData } from 'node:worker_threads'
import { assert } from '#lib/assert.ts'
import { SqliteWriter } from './sqlite-writer.ts'
import type { Batch } from './sqlite-writes.ts'

assert(parentPort !== null, 'this file runs in a thread of its own')
const port = parentPort
const { path } = workerData as { path: string }
let writer: SqliteWriter | null = null

function open(): SqliteWriter {
  writer ??= new SqliteWriter(path)
  return writer
}

/** Null: durable. Else why not. */
function written(batch: Batch): string | null {
  try {
    open().write(batch)
    return null
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

try {
  open()
} catch {
  // The first batch tries again, and tells.
}

port.on('message', (batch: Batch | 'close') => {
  if (batch === 'close') {
    writer?.close()
    port.close()
    return
  }
  port.postMessage(written(batch))
  // After the answer: whoever waited for the commit does not wait for this.
  try {
    writer?.checkpoint()
  } catch {
    // The next commit meets what is wrong, and tells it.
  }
})
