import { z } from 'zod'
import { formatUsdPerMillion } from '#core/money.ts'
import { showInspection } from '#core/recount.ts'
import { toIso } from '#core/time.ts'
import type { ControlDeps } from './deps.ts'
import { declare, everybody, notLeads, type Route } from './route.ts'

const priceShape = z.object({
  model: z.string(),
  vendor: z.string(),
  from: z.string().nullable(),
  until: z.string().nullable(),
  in_force: z.boolean(),
  usd_per_million: z.record(z.string(), z.string()),
  above_prompt_tokens: z.number().nullable(),
  tiers: z.array(z.string()),
  context_window: z.number(),
  max_output_tokens: z.number(),
  source: z.string(),
  checked: z.string(),
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
    path: '/prices',
    summary: 'The price book: a row a model, period and band',
    allows: everybody,
    query: z.object({ model: z.string().optional(), all: z.string().optional() }),
    answer: z.array(priceShape),
    handle: async ({ deps, query }) => {
      const now = deps.clock.now()
      return deps.snapshot().priceBook.rows.flatMap((row) => {
        const inForce =
          (row.from === null || row.from <= now) && (row.until === null || now < row.until)
        if (query.model !== undefined && query.model !== row.model) return []
        if (query.all === undefined && query.model === undefined && !inForce) return []
        return row.bands.map((band) => ({
          model: row.model,
          vendor: row.vendor,
          from: row.from === null ? null : toIso(row.from),
          until: row.until === null ? null : toIso(row.until),
          in_force: inForce,
          usd_per_million: Object.fromEntries(
            Object.entries(band.rates).map(([meter, picos]) => [meter, formatUsdPerMillion(picos)]),
          ),
          above_prompt_tokens: band.abovePromptTokens < 0 ? null : band.abovePromptTokens,
          tiers: Object.keys(row.tiers),
          context_window: row.contextWindow,
          max_output_tokens: row.maxOutputTokens,
          source: row.source,
          checked: row.checked,
        }))
      })
    },
  }),
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
