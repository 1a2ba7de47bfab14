/** `outcome_hooks:` of the file: who tells of outcomes by webhook, and how that is read. */
import { z } from 'zod'
import { attesters } from '#core/outcome.ts'
import { hookKinds } from '#lib/hook-signatures.ts'

const path = z.string().regex(/^[\w$-]{1,64}(\.[\w$-]{1,64}){0,9}$/, 'a path such as detail.id')
const when = z
  .record(path, z.union([z.string(), z.array(z.string()).min(1)]))
  .refine((paths) => Object.keys(paths).length > 0, 'name at least one path and its values')

export const outcomeHooks = z.record(
  z.string().regex(/^[\w-]{1,64}$/, 'a name such as zendesk'),
  z.strictObject({
    kind: z.enum(hookKinds, `one of: ${hookKinds.join(', ')}`),
    secret: z.string(),
    type: z.string().min(1),
    url: z.string().optional(),
    attested_by: z.enum(attesters).optional(),
    when: when.optional(),
    reversed_when: z.union([z.literal('never'), when]).optional(),
    id: path.optional(),
    at: path.optional(),
    conversation: path.optional(),
    run: path.optional(),
    call: path.optional(),
    agent: path.optional(),
    tenant: path.optional(),
    value_usd: path.optional(),
  }),
)
