import { z } from 'zod'
import { showInspection } from '#core/recount.ts'
import { toIso } from '#core/time.ts'
import type { ControlDeps } from './deps.ts'
import { declare, notLeads, type Route } from './route.ts'

const configShape = z.object({
  version: z.string(),
  price_book: z.string(),
  organization: z.string(),
  timezone: z.string(),
  environments: z.array(z.string()),
  providers: z.array(
    z.object({
      name: z.string(),
      kind: z.string(),
      base_url: z.string(),
      environments: z.array(z.string()).nullable(),
      free: z.boolean(),
    }),
  ),
  notices: z.array(z.string()),
})

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
  declare({
    method: 'get',
    path: '/config',
    summary: 'The config in force, without its secrets',
    allows: notLeads,
    answer: configShape,
    handle: async ({ deps }) => {
      const snapshot = deps.snapshot()
      return {
        version: snapshot.version,
        price_book: snapshot.priceBook.version,
        organization: snapshot.organization,
        timezone: snapshot.timeZone,
        environments: snapshot.environments,
        notices: snapshot.notices,
        providers: snapshot.providers.map(({ name, kind, baseUrl, environments, free }) => ({
          name,
          kind,
          base_url: baseUrl,
          environments,
          free,
        })),
      }
    },
  }),
]

/** Keys that asked for what another environment may use, newest first: a test run in production. */
async function crossUse({ store }: ControlDeps): Promise<readonly Record<string, string>[]> {
  const alerts = await store.alerts(1000)
  return alerts
    .filter(({ kind }) => kind === 'cross_use')
    .map(({ at, details = {} }) => ({ ...details, at: toIso(at) }))
}
