import type { Instant } from '#core/time.ts'

/** Time as the shell sees it. Simulations bring their own. */
export interface Clock {
  now(): Instant
  /** Resolves after `ms`, or at once when `signal` aborts; never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}
