/** Memory that is in use, garbage not counted. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Bytes in use on the heap and beside it, after a full collection. */
export function liveBytes(): number {
  // The first goes on letting go of buffers when it is over; the second waits until it has.
  collect()
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** The most memory in use while `work` runs, above what it began with. */
export async function growthOf(work: () => Promise<void>): Promise<number> {
  const before = liveBytes()
  let most = before
  const watch = setInterval(() => {
    most = Math.max(most, liveBytes())
  }, 100)
  await work().finally(() => clearInterval(watch))
  return Math.max(most, liveBytes()) - before
}
