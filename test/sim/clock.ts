/** Chance and time of a simulated world: seeded, virtual, the same on every machine. */
import { strict as assert } from 'node:assert'
import { type Instant, instant } from '#core/time.ts'
import type { Clock } from '#ports/clock.ts'

/** mulberry32: ten lines, and the same numbers everywhere. */
export function generator(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** Sleepers wake in the order of time, then of lying down. A day passes in a millisecond. */
export class VirtualClock implements Clock {
  #now: number
  #sequence = 0
  #sleepers: { at: number; no: number; wake: () => void }[] = []
  #offset = 0
  readonly #isBusy: () => boolean

  /** `isBusy`: something takes real time, and no virtual time passes meanwhile. */
  constructor(start: number, isBusy: () => boolean = () => false) {
    this.#now = start
    this.#isBusy = isBusy
  }

  now(): Instant {
    return instant(this.#now + this.#offset)
  }

  /** The wall clock is set; durations are not touched. */
  jump(ms: number): void {
    this.#offset += ms
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return Promise.resolve()
    return new Promise((resolve) => {
      const sleeper = { at: this.#now + Math.max(0, ms), no: this.#sequence++, wake: resolve }
      this.#sleepers.push(sleeper)
      signal?.addEventListener(
        'abort',
        () => {
          this.#sleepers = this.#sleepers.filter((other) => other !== sleeper)
          resolve()
        },
        { once: true },
      )
    })
  }

  /** Sleeps on its own account while nothing else does. */
  async sleepOver(ms: number): Promise<void> {
    let over = false
    void this.sleep(ms).then(() => {
      over = true
    })
    await this.run(() => over)
  }

  /** Wakes one sleeper after another until `until`; `quiet` is called while nothing else moves. */
  async run(until: () => boolean, quiet: () => Promise<void> = async () => {}): Promise<void> {
    for (let step = 0; step < 200_000; step += 1) {
      await this.#settle()
      await quiet()
      if (until()) return
      this.#sleepers.sort((a, b) => a.at - b.at || a.no - b.no)
      const next = this.#sleepers.shift()
      assert.ok(next !== undefined, 'the world stands still with work undone')
      this.#now = Math.max(this.#now, next.at)
      next.wake()
    }
    assert.fail('the world does not come to rest')
  }

  /** Group commit waits for a turn of the event loop: two turns see everything through. */
  async #settle(): Promise<void> {
    let quiet = 0
    while (quiet < 2) {
      await new Promise((resolve) => setImmediate(resolve))
      quiet = this.#isBusy() ? 0 : quiet + 1
    }
  }
}
