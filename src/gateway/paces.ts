/**
 * Calls slowed because their outcomes cost too much: evenly, as a budget's throttle does it. Each
 * replica keeps the pace by itself, so that two let through twice as much.
 */
import type { OutcomePace } from '#core/outcome-limit.ts'
import { stepMs } from '#core/pace.ts'
import { type Attribution, matches } from '#core/scope.ts'
import type { Refusal } from '#core/refusal.ts'
import { after, type Instant } from '#core/time.ts'
import type { Serving } from './call.ts'
import type { GatewayDeps } from './deps.ts'
import { plainRefusal } from './refusals.ts'

export class Paces {
  readonly #nextAt = new Map<string, Instant>()

  /** Takes a slot of every pace the call is under, or of none: then the pace that it waits for. */
  take(
    paces: Iterable<OutcomePace>,
    attribution: Attribution,
    now: Instant,
  ): { readonly pace: OutcomePace; readonly retryAt: Instant } | null {
    const own: OutcomePace[] = []
    for (const pace of paces) {
      if (pace.until <= now || !matches(pace.selector, attribution)) continue
      // The first paced call waits a full step too: the pace holds from the moment it begins.
      const retryAt = this.#nextAt.get(pace.limit) ?? after(now, stepMs(pace))
      this.#nextAt.set(pace.limit, retryAt)
      if (retryAt > now) return { pace, retryAt }
      own.push(pace)
    }
    for (const pace of own) this.#nextAt.set(pace.limit, after(now, stepMs(pace)))
    return null
  }
}

export type Slowed = NonNullable<ReturnType<Paces['take']>>

/** Milliseconds worth waiting; null: refuse now. */
export function pacedWait(
  { codex }: Serving,
  retryAt: Instant,
  now: Instant,
  deadline: Instant,
): number | null {
  return codex || retryAt > deadline ? null : retryAt - now
}

export function pacedRefusal(
  deps: GatewayDeps,
  serving: Serving,
  { pace, retryAt }: Slowed,
): Refusal {
  const { id, codex } = serving
  const waitMs = Math.min(30_000, Math.max(1000, retryAt - deps.clock.now()))
  const message =
    `Calls of "${pace.name}" are slowed down: what they achieve costs more than its budget ` +
    `allows. Please try again in ${Math.ceil(waitMs / 1000)}s.`
  const frame = { callId: id, codex }
  return plainRefusal(frame, 'budget_throttled', message, { retryAfterMs: waitMs })
}
