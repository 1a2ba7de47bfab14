/** `outcomes:` of the file, and limits on what one may cost. */
import { z } from 'zod'
import { attesters, creditRules, subjects } from '#core/outcome.ts'
import { dimensions } from '#core/scope.ts'

const amount = z.string().regex(/^\d{1,9}(\.\d{1,9})?$/, 'an amount such as 0.99')
const name = z.string().regex(/^[^\s|,][^|,]{0,127}$/, 'a name without commas or bars')

const definition = z.strictObject({
  quiet_period: z
    .string()
    .regex(/^\d{1,6}[smhd]$/, 'a length of time: 30m, 72h or 3d')
    .optional(),
  one_per: z.enum(subjects, `one of: ${subjects.join(', ')}`).optional(),
  attested_by: z
    .array(z.enum(attesters, `one of: ${attesters.join(', ')}`))
    .min(1, 'name whose word counts, or leave it out: then anybody’s does')
    .optional(),
  credit: z.enum(creditRules, `one of: ${creditRules.join(', ')}`).optional(),
  match: z.partialRecord(z.enum(dimensions), name).optional(),
  value_usd: amount.optional(),
  compare_usd: amount.optional(),
  human_minute_usd: amount.optional(),
})

export const outcomeTypes = z.record(
  z.string().regex(/^[a-z][a-z0-9_]{0,63}$/, 'a type such as resolved_case: a-z, 0-9 and _'),
  z.union([z.literal(''), z.null(), definition]),
)
export type OutcomeEntry = z.output<typeof definition>

/** In a budget: at most so much for each outcome, judged from so many on. */
export const outcomeLimit = z.strictObject({
  type: z.string().min(1),
  usd: amount,
  at_least: z.string().regex(/^[1-9]\d{0,8}$/, 'a whole number such as 200'),
  throttle_to: z
    .string()
    .regex(/^([1-9]\d?|100)$/, 'percent of the pace before, from 1 to 100')
    .optional(),
})
