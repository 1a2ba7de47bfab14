import { z } from 'zod'
import { showInspection } from '#core/recount.ts'
import { toIso } from '#core/time.ts'
import type { ControlDeps } from './deps.ts'
import { declare, notLeads, type Route } from './route.ts'

const doctorShape = z.object({
  ok: z.boolean(),
  entries: z.number(),
  accounts: z.number(),
  holds: z.number(),
  open_holds: z.number(),
  findings: z.array(
    z.object({ seq: z.number().nullable(), subject: z.string(), message: z.string() }),
  ),
  cross_use: z.array(z.record(z.string(), z.string())),
})

export const aboutRoutes: readonly Route[] = [
  declare({
    method: 'get',
    path: '/doctor',
    summary: 'The ledger counted again from its first entry, and what is wrong with it',
    allows: notLeads,
    answer: doctorShape,
    handle: async ({ deps }) => ({
      ...showInspection(await deps.inspect()),
      cross_use: await crossUse(deps),
    }),
  }),
]

/** Keys that asked for what another environment may use, newest first: a test run in production. */
async function crossUse({ store }: ControlDeps): Promise<readonly Record<string, string>[]> {
  const alerts = await store.alerts(1000)
  return alerts
    .filter(({ kind }) => kind === 'cross_use')
    .map(({ at, details = {} }) => ({ ...details, at: toIso(at) }))
}
