/** Loaded into every thread: a thread beside the first throws, a moment after it has begun. */
import { isMainThread } from 'node:worker_threads'

const afterMs = 150

if (!isMainThread) {
  setTimeout(() => {
    throw new Error('the thread blows up')
  }, afterMs).unref()
}
