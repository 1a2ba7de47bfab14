/** Why a call was not served, before any dialect has its say. The table is `CONTRACT.md` 4. */
import type { Nanos } from './money.ts'
import type { Instant } from './time.ts'

export const refusalCodes = {
  invalid_key: { status: 401, retry: false },
  invalid_request: { status: 400, retry: false },
  not_found: { status: 404, retry: false },
  not_allowed: { status: 403, retry: false },
  frozen: { status: 403, retry: false },
  model_unpriced: { status: 403, retry: false },
  unbounded_cost: { status: 403, retry: false },
  budget_exceeded: { status: 402, retry: false },
  quota_exceeded: { status: 402, retry: false },
  run_limit_exceeded: { status: 402, retry: false },
  loop_detected: { status: 402, retry: false },
  budget_throttled: { status: 429, retry: true },
  budget_held: { status: 429, retry: true },
  rate_limited: { status: 429, retry: true },
  idempotency_in_flight: { status: 409, retry: true },
  idempotency_not_replayable: { status: 409, retry: false },
  idempotency_mismatch: { status: 422, retry: false },
  too_large: { status: 413, retry: false },
  unsupported_encoding: { status: 415, retry: false },
  upgrade_required: { status: 426, retry: false },
  overloaded: { status: 503, retry: true },
  ledger_unavailable: { status: 503, retry: true },
  upstream_unreachable: { status: 502, retry: true },
  upstream_timeout: { status: 504, retry: true },
} as const satisfies Record<string, { status: number; retry: boolean }>

export type RefusalCode = keyof typeof refusalCodes

export interface Refusal {
  readonly code: RefusalCode
  /** One line, at most 300 characters: which budget, used and limit, until when, what to do. */
  readonly message: string
  /** The call's id, so that a person can ask about it. */
  readonly callId: string
  /** The field at fault, where the request is. */
  readonly param: string | null
  /** When trying again makes sense, in milliseconds from now; null for "not by waiting". */
  readonly retryAfterMs: number | null
  /** Set where a budget or quota is the reason. */
  readonly budget: RefusedBudget | null
  /** User-agent class: Codex reads only 429 `usage_limit_reached` as a stop. */
  readonly codex: boolean
}

export interface RefusedBudget {
  readonly id: string
  readonly name: string
  readonly state: 'ok' | 'warn' | 'over' | 'throttled' | 'stopped'
  /** Null where policy hides amounts from callers. */
  readonly used: Nanos | null
  readonly limit: Nanos | null
  readonly usedPercent: string | null
  readonly resetsAt: Instant
}
