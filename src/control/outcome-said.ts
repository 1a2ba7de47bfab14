/** What may be said of an outcome over HTTP, its texts read. */
import { z } from 'zod'
import { type Nanos, parseUsd } from '#core/money.ts'
import type { OutcomeSaid } from '#core/outcome-claim.ts'
import { attesters } from '#core/outcome.ts'
import { type Instant, parseInstant } from '#core/time.ts'
import { invalid } from './problem.ts'

const name = z.string().min(1).max(128)
const usdOf = z.union([z.string(), z.number()])

export const outcomeBody = z.strictObject({
  id: name.optional(),
  type: z.string().max(64).optional(),
  at: z.string().optional(),
  conversation: name.optional(),
  run: name.optional(),
  call: name.optional(),
  agent: name.optional(),
  tenant: name.optional(),
  /** In dollars. `value_usd` is another name for it. */
  value: usdOf.optional(),
  value_usd: usdOf.optional(),
  attested_by: z.enum(attesters).optional(),
  human_minutes: z.union([z.string(), z.number()]).optional(),
  reverses: name.optional(),
  confirms: name.optional(),
  cause: name.optional(),
})

/** What a body or a row says, its texts read. Throws where one cannot be. */
export function saidOf(body: z.output<typeof outcomeBody>): OutcomeSaid {
  const {
    value_usd: valueUsd,
    value = valueUsd,
    at,
    human_minutes: minutes,
    attested_by: attestedBy,
    ...rest
  } = body
  if (valueUsd !== undefined && value !== valueUsd) {
    throw invalid('value', 'value and value_usd are one and the same: say one of them')
  }
  return {
    ...rest,
    at: at === undefined ? undefined : timeOf(at),
    attestedBy,
    value: value === undefined ? undefined : moneyOf(String(value)),
    humanMillis: minutes === undefined ? undefined : millisOf(String(minutes)),
  }
}

function timeOf(text: string): Instant {
  const at = parseInstant(/^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}T00:00:00Z` : text)
  if (at === null) throw invalid('at', `"${text}" is no time: write 2026-11-01T12:00:00Z`)
  return at
}

function moneyOf(text: string): Nanos {
  const value = parseUsd(text)
  if (value === null || value < 0n) throw invalid('value_usd', 'write an amount such as 12.50')
  return value
}

function millisOf(text: string): number {
  const found = /^(\d{1,6})(?:\.(\d{1,3}))?$/.exec(text)
  if (found === null) throw invalid('human_minutes', 'write minutes such as 4 or 2.5')
  return Number(found[1]) * 1000 + Number((found[2] ?? '').padEnd(3, '0'))
}
