/** `prices:` as written: price files of one's own, and what was agreed with providers. */
import { z } from 'zod'
import { meters } from '#core/usage.ts'

const text = z.string().min(1)
const day = z.string().regex(/^\d{4}-\d{2}-\d{2}$/, 'a day, YYYY-MM-DD')
const decimal = z.string().regex(/^\d{1,6}(\.\d{1,6})?$/, 'a decimal of at most 6 places')
const contract = z
  .strictObject({
    provider: text,
    model: text.optional(),
    discount_percent: z
      .string()
      .regex(/^(100|\d{1,2}(\.\d{1,4})?)$/, 'a percentage from 0 to 100, such as 12.5')
      .optional(),
    usd_per_million: z.partialRecord(z.enum(meters), decimal).optional(),
    provisioned_monthly_usd: z
      .string()
      .regex(/^\d{1,9}(\.\d{1,9})?$/, 'an amount such as 12000')
      .optional(),
    from: day.optional(),
    until: day.optional(),
  })
  .refine(
    ({ discount_percent, usd_per_million, provisioned_monthly_usd }) =>
      [discount_percent, usd_per_million, provisioned_monthly_usd].filter(
        (terms) => terms !== undefined,
      ).length === 1,
    'say one of discount_percent, usd_per_million, provisioned_monthly_usd',
  )

export const prices = z.strictObject({
  files: z.array(text).optional(),
  accept: text.optional(),
  contracts: z.array(contract).optional(),
})

export type ContractEntry = z.output<typeof contract>
