/** A bar for what takes long, on a terminal only: a script's log stays clean. */
import type { Output } from './output.ts'

/** What ends within this shows nothing. */
const patienceMs = 2000
const everyMs = 100
const width = 30

export interface ProgressBar {
  readonly show: (done: number, of: number) => void
  /** Clears the line. */
  readonly end: () => void
}

export function progressBar(
  { err }: Output,
  what: string,
  isTerminal = process.stderr.isTTY === true,
  now: () => number = () => performance.now(),
): ProgressBar {
  const start = now()
  let last = start + patienceMs - everyMs
  let isShown = false
  return {
    show(done, of) {
      const at = now()
      if (!isTerminal || at - last < everyMs || of <= 0) return
      last = at
      isShown = true
      const part = Math.min(1, done / of)
      const bar = '#'.repeat(Math.round(part * width)).padEnd(width, '.')
      const megabytes = `${(done / 1e6).toFixed(0)} of ${(of / 1e6).toFixed(0)} MB`
      err(`\r  ${what}  ${bar} ${(100 * part).toFixed(0).padStart(3)} %  ${megabytes} `)
    },
    end() {
      if (isShown) err(`\r${' '.repeat(width + what.length + 40)}\r`)
    },
  }
}
