/** What is known of a call once it may be served: read by every step, changed by none. */
import type { Target } from '#core/decide.ts'
import type { Hold } from '#core/journal.ts'
import type { Quote } from '#core/quote.ts'
import type { Principal } from '#core/scope.ts'
import type { Snapshot } from '#core/snapshot.ts'
import type { Instant } from '#core/time.ts'
import type { CallId } from '#lib/id.ts'
import type { Client, ClientRequest } from '#ports/client.ts'
import type { Dialect, ParsedCall } from '#wire/dialect.ts'
import type { RunChain } from './runs.ts'

export interface Serving {
  readonly id: CallId
  readonly at: Instant
  readonly snapshot: Snapshot
  readonly request: ClientRequest
  readonly client: Client
  readonly dialect: Dialect
  readonly parsed: ParsedCall
  readonly principal: Principal
  /** The runs that it is part of, its own first. */
  readonly runs: RunChain
  readonly codex: boolean
}

/** One admitted try: the only thing that can open an upstream connection. */
export interface Attempt {
  readonly target: Target
  readonly quote: Quote
  readonly hold: Hold
  /** The cap to write into the body, or null to leave what the caller wrote. */
  readonly outputCap: number | null
  /** Set where the cap was lowered for want of money. */
  readonly clampedTo: number | null
}
