/** Past calls under another policy, by the ledger's own rules. */
import { z } from 'zod'
import type { Alert } from '#core/alert.ts'
import { actionText } from '#core/budget.ts'
import {
  newReplay,
  type Refused,
  replayHold,
  replayRest,
  replayStart,
  type ReplayTally,
} from '#core/replay.ts'
import { valueName } from '#core/run.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { type Instant, parseInstant, toIso } from '#core/time.ts'
import { pages } from './past-calls.ts'
import { configTexts, readTexts } from './config.ts'
import type { ControlDeps } from './deps.ts'
import { invalid } from './problem.ts'
import { declare, type Route, stewards } from './route.ts'
import { usd } from './shapes.ts'

const replayBody = z.strictObject({
  /** Left out: the config in force. */
  files: configTexts.optional(),
  from: z.string(),
  to: z.string(),
})

const refusedShape = z.object({
  budget: z.string(),
  name: z.string(),
  value: z.string().nullable(),
  kind: z.enum(['stopped', 'throttled']),
  calls: z.number(),
  cost_usd: z.string(),
  first_at: z.string(),
  last_at: z.string(),
  agents: z.array(z.string()),
})

const alertShape = z.object({
  at: z.string(),
  budget: z.string(),
  name: z.string(),
  value: z.string().nullable(),
  threshold: z.string(),
  actions: z.array(z.string()),
  used: z.string(),
  amount: z.string(),
})

const replayShape = z.object({
  from: z.string(),
  to: z.string(),
  version: z.string(),
  calls: z.number(),
  cost_usd: z.string(),
  admitted: z.number(),
  /** Of those, the ones that would have waited first. */
  delayed: z.number(),
  stopped_calls: z.number(),
  throttled_calls: z.number(),
  /** What the calls that were stopped did cost. */
  saved_usd: z.string(),
  /** What those did cost that were refused for their pace: most would have come again later. */
  slowed_usd: z.string(),
  refused: z.array(refusedShape),
  alerts: z.array(alertShape),
  alerts_total: z.number(),
})

const alertsShown = 1000

export const replayRoutes: readonly Route[] = [
  declare({
    method: 'post',
    path: '/replay',
    summary: 'What a policy would have alerted, slowed, stopped and saved in the past',
    allows: stewards,
    body: replayBody,
    answer: replayShape,
    handle: async ({ deps, body }) => {
      const from = instantOf('from', body.from)
      const to = instantOf('to', body.to)
      if (to <= from) throw invalid('to', 'write a time after `from`')
      const snapshot = body.files === undefined ? deps.snapshot() : readTexts(deps, body.files)
      return showReplay(snapshot, from, to, await replayed(deps, snapshot, from, to))
    },
  }),
]

function instantOf(name: string, text: string): Instant {
  const at = parseInstant(text)
  if (at !== null) return at
  throw invalid(name, 'write a time such as 2026-11-01T00:00:00Z')
}

async function replayed(
  deps: ControlDeps,
  { budgets, runs, policy }: Snapshot,
  from: Instant,
  to: Instant,
): Promise<ReplayTally> {
  const overrides = await deps.store.overrides()
  const replay = newReplay({ budgets, runs, overrides, maxWaitMs: policy.maxWaitMs }, from)
  for await (const holds of pages(deps, replayStart({ budgets }, from), to)) {
    for (const hold of holds) replayHold(replay, hold)
  }
  return replayRest(replay)
}

function showReplay(
  { budgets, runs, version }: Snapshot,
  from: Instant,
  to: Instant,
  tally: ReplayTally,
): z.infer<typeof replayShape> {
  const refused = [...tally.refused.values()].sort((a, b) => Number(b.cost - a.cost))
  const of = (kind: Refused['kind']): readonly Refused[] =>
    refused.filter((one) => one.kind === kind)
  const names = new Map([...budgets, ...runs].map(({ id, name }) => [id as string, name]))
  return {
    from: toIso(from),
    to: toIso(to),
    version,
    calls: tally.calls,
    cost_usd: usd(tally.cost),
    admitted: tally.admitted,
    delayed: tally.delayed,
    stopped_calls: callsOf(of('stopped')),
    throttled_calls: callsOf(of('throttled')),
    saved_usd: usd(costOf(of('stopped'))),
    slowed_usd: usd(costOf(of('throttled'))),
    refused: refused.map(showRefused),
    alerts: tally.alerts.slice(0, alertsShown).map((alert) => showAlert(alert, names)),
    alerts_total: tally.alerts.length,
  }
}

const callsOf = (refused: readonly Refused[]): number =>
  refused.reduce((sum, { calls }) => sum + calls, 0)
const costOf = (refused: readonly Refused[]): bigint =>
  refused.reduce((sum, { cost }) => sum + cost, 0n)

function showRefused(refused: Refused): z.infer<typeof refusedShape> {
  const { budget, value, kind, calls, cost, firstAt, lastAt, agents } = refused
  return {
    budget: budget.id,
    name: budget.name,
    value: value === null ? null : valueName(budget, value),
    kind,
    calls,
    cost_usd: usd(cost),
    first_at: toIso(firstAt),
    last_at: toIso(lastAt),
    agents: [...agents].sort(),
  }
}

function showAlert(
  { at, budget, value, threshold, actions, posted, amount, unit }: Alert,
  names: ReadonlyMap<string, string>,
): z.infer<typeof alertShape> {
  const shown = (sum: bigint): string => (unit === 'usd' ? usd(sum) : String(sum))
  return {
    at: toIso(at),
    budget,
    name: names.get(budget) ?? budget,
    value,
    threshold,
    actions: actions.map(actionText),
    used: shown(posted),
    amount: shown(amount),
  }
}
