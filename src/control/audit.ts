/** The audit log: who changed what and why, and whether it is all still there. */
import { z } from 'zod'
import { verifyAudit } from './audit-check.ts'
import { declare, notLeads, type Route } from './route.ts'
import { auditShape, showAudit } from './shapes.ts'

const verifyShape = z.object({
  ok: z.boolean(),
  rows: z.number(),
  /** Where the chain ends: keep it elsewhere, and give it next time. */
  head: z.string(),
  findings: z.array(
    z.object({ seq: z.number().nullable(), id: z.string().nullable(), message: z.string() }),
  ),
})

export const auditRoutes: readonly Route[] = [
  declare({
    method: 'get',
    path: '/audit',
    summary: 'Who changed what and why, newest first',
    allows: notLeads,
    query: z.object({ limit: z.coerce.number().int().min(1).max(1000).default(100) }),
    answer: z.array(auditShape),
    handle: async ({ deps, query }) => (await deps.store.audit(query.limit)).map(showAudit),
  }),
  declare({
    method: 'get',
    path: '/audit/verify',
    summary: 'The hash chain of the audit log followed from its first row; names the first bad row',
    allows: notLeads,
    query: z.object({
      head: z
        .string()
        .regex(/^[0-9a-f]{64}$/, 'write the head that an earlier check gave: 64 hex digits')
        .optional(),
    }),
    answer: verifyShape,
    handle: async ({ deps, query }) => {
      const { head, finding } = await verifyAudit(deps.store, query.head ?? null)
      const findings = finding === null ? [] : [finding]
      return { ok: finding === null, rows: head.rows, head: head.hash, findings }
    },
  }),
]
