/** `auth:` of the file: where people sign in, and which of their claims gives which role. */
import { z } from 'zod'
import { roles } from '#core/role.ts'

const text = z.string().min(1)

const roleRule = z.strictObject({
  claim: text,
  value: text,
  role: z.enum(roles),
  subtree: text.optional(),
})

export const auth = z.strictObject({
  oidc: z
    .strictObject({
      issuer: text,
      client_id: text,
      client_secret: z.string().optional(),
      redirect_url: text.optional(),
      roles: z.array(roleRule).min(1),
    })
    .optional(),
})
