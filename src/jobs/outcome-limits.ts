/** Judges what outcomes cost against their budgets: tells, and slows where that was asked for. */
import {
  judge,
  limitAlert,
  type OutcomeLimit,
  type OutcomePace,
  paceOf,
} from '#core/outcome-limit.ts'
import type { ControlRecord, RecordKind } from '#core/record.ts'
import { periodAt } from '#core/time.ts'
import type { AlertStore, ControlStore } from '#ports/store.ts'
import { unitCost, type UnitCostDeps } from './unit-cost.ts'

export interface LimitDeps extends UnitCostDeps {
  readonly store: UnitCostDeps['store'] &
    Pick<AlertStore, 'raise'> &
    Pick<ControlStore, 'putRecord'>
  readonly records: {
    all(kind: RecordKind): ReadonlyMap<string, unknown>
    put(record: ControlRecord): void
  }
}

/** Of its time it may spend so much reading: a ledger of a year is not read without a pause. */
const restTimes = 50

/** Rounds that come too soon after a long one do nothing. */
export function outcomeJudge(deps: LimitDeps): () => Promise<void> {
  let nextAt = 0
  return async () => {
    const start = deps.clock.now()
    if (start < nextAt) return
    await judgeOutcomes(deps)
    const end = deps.clock.now()
    nextAt = end + restTimes * (end - start)
  }
}

/** One round. Raised twice, an alert is one; a pace that stands is left as it was begun. */
export async function judgeOutcomes(deps: LimitDeps): Promise<void> {
  const { outcomeLimits } = deps.snapshot()
  for (const limit of outcomeLimits) await judgeOne(deps, limit)
  const known = new Set(outcomeLimits.map(({ id }) => id))
  const now = deps.clock.now()
  for (const [id, value] of deps.records.all('pace')) {
    if (!known.has(id) || (value as OutcomePace).until <= now) await setPace(deps, id, null)
  }
}

async function judgeOne(deps: LimitDeps, limit: OutcomeLimit): Promise<void> {
  const defined = deps.snapshot().outcomes.find(({ type }) => type === limit.type)
  if (defined === undefined) return
  // All that the budget selects counts, also while nothing has come of it.
  const definition = { ...defined, match: { ...defined.match, ...limit.selector } }
  const now = deps.clock.now()
  const period = periodAt(limit.period, limit.timeZone, now)
  const question = { definition, period, by: null, closedAt: null, now }
  const { total } = await unitCost(deps, question, limit.selector)
  const verdict = judge(limit, total)
  if (verdict.state !== 'within') {
    await deps.store.raise(limitAlert(limit, total, verdict, period, now))
  }
  const { throttlePercent: percent, observes } = limit
  const stands = deps.records.all('pace').get(limit.id) as OutcomePace | undefined
  const slows = percent !== null && !observes && verdict.state === 'surely_over'
  if (slows && (stands?.percent !== percent || stands.until !== period.end)) {
    await setPace(deps, limit.id, paceOf(limit, percent, total, period, now))
  }
  if (!slows && stands !== undefined) await setPace(deps, limit.id, null)
}

async function setPace(deps: LimitDeps, id: string, value: OutcomePace | null): Promise<void> {
  const record: ControlRecord = { kind: 'pace', id, value }
  await deps.store.putRecord(record)
  deps.records.put(record)
}
