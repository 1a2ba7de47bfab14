/** What calls cost, by what they were part of: the rows that outcomes are put beside. */
import type { Hold } from './journal.ts'
import type { Nanos } from './money.ts'
import type { Attribution } from './scope.ts'
import { spendOf } from './spend.ts'
import type { Instant } from './time.ts'

/** One ended attempt. */
export interface WorkRow {
  readonly hold: string
  readonly call: string
  readonly madeAt: Instant
  readonly attribution: Attribution
  readonly conversation: string | null
  readonly run: string | null
  readonly cost: Nanos
  /** The part that was for tools of the provider: searches, code sessions. */
  readonly tools: Nanos
  readonly presumed: boolean
  /** What it was for, where that is not the agent's own work: `classifier`. */
  readonly purpose: string | null
}

export interface WorkQuery {
  readonly from: Instant
  readonly to: Instant
  /** The last row of the page before; null: from the start. */
  readonly after: Pick<WorkRow, 'madeAt' | 'hold'> | null
  readonly limit: number
}

export function workOf(hold: Hold): WorkRow {
  const { conversation, run, purpose, charge } = hold.facts
  const { cost, presumed } = spendOf(hold)
  return {
    hold: hold.id,
    call: hold.call,
    madeAt: hold.madeAt,
    attribution: hold.attribution,
    conversation: textOr(conversation),
    run: textOr(run),
    cost,
    tools: toolsOf(charge, cost),
    presumed: presumed > 0n,
    purpose: textOr(purpose),
  }
}

const textOr = (value: unknown): string | null => (typeof value === 'string' ? value : null)

const toolMeters: ReadonlySet<unknown> = new Set([
  'web_search',
  'file_search',
  'code_session',
  'grounded_prompt',
  'grounding_query',
])

/** Fees have no multiplier. Never more than the whole, which another model may have set. */
export function toolsOf(charge: unknown, cost: Nanos): Nanos {
  if (!Array.isArray(charge)) return 0n as Nanos
  let picos = 0n
  for (const line of charge as readonly Record<string, unknown>[]) {
    const { meter, quantity, usd_per_million: price } = line
    if (!toolMeters.has(meter) || typeof price !== 'string') continue
    // Nine places of dollars a million are thousandths of a pico-dollar a unit.
    picos += (BigInt(Number(quantity)) * BigInt(price.replace('.', ''))) / 1000n
  }
  const tools = picos / 1000n
  return (tools > cost ? cost : tools) as Nanos
}
