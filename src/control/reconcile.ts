/** `POST /reconciliations`: a month metered against its bills, and what is accepted of it. */
import { z } from 'zod'
import { budgetRulesOf } from '#core/rules-by-id.ts'
import { addBillLine, newBilled } from '#core/billed.ts'
import {
  addDecimals,
  approximately,
  type Decimal,
  decimalZero,
  formatDecimal,
} from '#core/decimal.ts'
import type { Hold } from '#core/journal.ts'
import { type BillerOf, meter, type MeteredCells, type ModelName } from '#core/metered.ts'
import { modelNames } from '#core/model-name.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { correctedFact } from '#core/recost.ts'
import { type Cause, type Reconciled, reconcile, type Variance } from '#core/reconcile.ts'
import { instant, toIso } from '#core/time.ts'
import { correctable, corrected, correctionsOf, type Purse, pursesOf } from '#core/true-up.ts'
import { changed, newBody } from './audited.ts'
import { linesOf } from './bills.ts'
import { pages } from './past-calls.ts'
import type { Actor, ControlDeps } from './deps.ts'
import { monthSpan, requireOpen } from './months.ts'
import { conflict, invalid, notFound } from './problem.ts'
import { type Kept, type KeptVariance, reconciliationsOf } from './reconciled.ts'
import { declare, notLeads, type Route, stewards } from './route.ts'
import { usd } from './shapes.ts'

const varianceShape = z.object({
  cause: z.string(),
  provider: z.string(),
  model: z.string().nullable(),
  day: z.string().nullable(),
  kind: z.string().nullable(),
  amount_usd: z.string(),
  detail: z.string(),
})

const reconciliationShape = z.object({
  id: z.string(),
  month: z.string(),
  state: z.enum(['open', 'accepted']),
  metered_usd: z.string(),
  billed_usd: z.string(),
  /** By cause: billed less metered. They add up to the difference, exactly. */
  causes: z.record(z.string(), z.string()),
  unexplained_percent: z.string(),
  own_keys: z.record(z.string(), z.array(z.string())),
  own_keys_inferred: z.boolean(),
  /** Lines in other currencies, which were not compared. */
  foreign_lines: z.number(),
  variances: z.array(varianceShape),
  variances_total: z.number(),
  corrected_calls: z.number(),
  corrected_usd: z.string(),
  at: z.string(),
  by: z.string(),
})

const createBody = z.strictObject({
  month: z.string(),
  /** The providers' names of the keys or projects that the gateway uses; left out: inferred. */
  own_keys: z.array(z.string().min(1).max(500)).min(1).optional(),
})

const acceptBody = z.strictObject({
  /** Of those that are about calls of the ledger. */
  causes: z.array(z.enum(correctable)).min(1).optional(),
  reason: z.string().trim().min(3).max(500),
})

const variancesKept = 500

export const reconcileRoutes: readonly Route[] = [
  declare({
    method: 'get',
    path: '/reconciliations',
    summary: 'Months that were compared with their bills, the newest first',
    allows: notLeads,
    answer: z.array(reconciliationShape),
    handle: async ({ deps }) => (await reconciliationsOf(deps)).map(show),
  }),
  declare({
    method: 'post',
    path: '/reconciliations',
    status: 201,
    summary: 'Compare what was metered in a month with its bills, and say why they differ',
    allows: stewards,
    body: createBody,
    answer: reconciliationShape,
    handle: async ({ deps, actor, body: { month, own_keys: said } }) => {
      monthSpan(month)
      const { reconciled } = await compared(deps, month, said ?? null)
      const keys = new Set([...reconciled.ownKeys.values()].flat())
      const strange = said?.find((name) => !keys.has(name))
      if (strange !== undefined) throw invalid('own_keys', `no bill of ${month} names "${strange}"`)
      const kept = keep(reconciled, {
        id: `rec_${newBody(deps)}`,
        month,
        saidKeys: said ?? null,
        by: actor.name,
        at: deps.clock.now(),
      })
      await save(deps, actor, kept, 'reconciliation.made', null)
      return show(kept)
    },
  }),
  declare({
    method: 'post',
    path: '/reconciliations/{id}/accept',
    summary: 'Correct the calls of the ledger by what their bills say, in entries of their own',
    allows: stewards,
    body: acceptBody,
    answer: reconciliationShape,
    handle: async ({ deps, actor, params: { id = '' }, body }) => {
      const kept = (await reconciliationsOf(deps)).find((one) => one.id === id)
      if (kept === undefined) throw notFound('reconciliation', id)
      if (kept.acceptedAt !== null) throw conflict('accepted', `${id} was accepted already.`)
      requireOpen(deps, kept.month)
      if (deps.clock.now() < monthSpan(kept.month).end) {
        throw conflict(
          'not_over',
          `${kept.month} is not over: its bills do not have all of it yet.`,
        )
      }
      const accepted = new Set<Cause>(body.causes ?? correctable)
      const done = await correct(deps, actor, kept, accepted, body.reason)
      const after: Kept = {
        ...kept,
        acceptedAt: deps.clock.now(),
        acceptedBy: actor.name,
        corrected: done.calls,
        correctedUsd: usd(done.change),
      }
      await save(deps, actor, after, 'reconciliation.accepted', body.reason)
      return show(after)
    },
  }),
]

async function compared(
  deps: ControlDeps,
  month: string,
  said: readonly string[] | null,
): Promise<{ readonly reconciled: Reconciled; readonly cells: MeteredCells }> {
  const { start, end } = monthSpan(month)
  const { biller, modelName } = namesIn(deps.snapshot())
  const cells: MeteredCells = new Map()
  for await (const holds of pages(deps, start, end)) {
    for (const hold of holds) meter(cells, hold, biller, modelName)
  }
  const billed = newBilled()
  const formats = new Map<string, Set<string>>()
  for await (const line of linesOf(deps, month)) {
    addBillLine(billed, line, month)
    if (line.net === null) continue
    formats.set(line.provider, (formats.get(line.provider) ?? new Set()).add(line.format))
  }
  requireOneFormat(month, formats)
  const lastDay = toIso(instant(end - 1)).slice(0, 10)
  const ownKeys = said === null ? null : new Set(said)
  return { reconciled: reconcile(cells, billed, { ownKeys, lastDay, modelName }), cells }
}

/** The same money in two forms would be counted twice. */
function requireOneFormat(month: string, formats: ReadonlyMap<string, ReadonlySet<string>>): void {
  for (const [provider, found] of formats) {
    if (found.size < 2) continue
    throw conflict(
      'billed_twice',
      `The bills of ${month} have ${provider} in ${[...found].join(' and ')}: that is most likely the ` +
        'same money. Import one of them again with --account NAME if both are meant, or leave one out.',
    )
  }
}

const dialects: Readonly<Record<string, string>> = { google: 'gcp' }

function namesIn({ providers, priceBook }: Snapshot): {
  readonly biller: BillerOf
  readonly modelName: ModelName
} {
  const kinds = new Map(providers.map(({ name, kind }) => [name, kind]))
  const biller = (hold: Hold): string => {
    const { provider } = hold.attribution
    const kind = kinds.get(provider ?? '') ?? 'simulator'
    if (kind === 'openai_compatible') return provider ?? kind
    const vendor = kind === 'simulator' ? String(hold.facts.dialect ?? kind) : kind
    return dialects[vendor] ?? vendor
  }
  return { biller, modelName: modelNames(priceBook) }
}

/** Every call of a corrected cell gets its share. What was corrected before counts as it is now. */
async function correct(
  deps: ControlDeps,
  actor: Actor,
  kept: Kept,
  accepted: ReadonlySet<Cause>,
  reason: string,
): Promise<{ readonly calls: number; readonly change: bigint }> {
  const { id, month, saidKeys } = kept
  const { start, end } = monthSpan(month)
  const { biller, modelName } = namesIn(deps.snapshot())
  const { reconciled, cells } = await compared(deps, month, saidKeys)
  requireSame(kept, reconciled)
  const purses = pursesOf(correctionsOf(reconciled.variances, accepted), cells)
  requireBelievable(purses)
  // Told before: should it be cut off, the log knows what was begun.
  const note = { action: 'reconciliation.accepting', subject: id, reason }
  await changed(deps, actor, { kind: 'note' }, { ...note, after: { causes: [...accepted] } })
  const rules = budgetRulesOf(deps.snapshot())
  const done = { calls: 0, change: 0n }
  for await (const holds of pages(deps, start, end)) {
    const changes = holds.flatMap((hold) => {
      const after = corrected(purses, hold, biller, modelName)
      return after === null ? [] : [{ hold, ...after }]
    })
    await Promise.all(
      changes.map(({ hold, cost, billed }) =>
        deps.store.run(
          {
            kind: 'adjust',
            hold: hold.id,
            cost,
            reason: `reconciled: ${id}`,
            author: actor.name,
            // What a bill has said, no price book says otherwise.
            facts: { billed, [correctedFact]: id },
          },
          deps.clock.now(),
          rules,
        ),
      ),
    )
    done.calls += changes.length
    for (const { hold, cost } of changes) done.change += cost - (hold.cost ?? 0n)
  }
  return done
}

/** What is accepted is what was shown, and nothing that came meanwhile. */
function requireSame(kept: Kept, { metered, billed }: Reconciled): void {
  if (formatDecimal(metered) === kept.metered && formatDecimal(billed) === kept.billed) return
  throw conflict(
    'changed_since',
    `Bills or calls of ${kept.month} have changed since ${kept.id}: reconcile again, and look.`,
  )
}

/** So many times what a cell was metered at is a bill that nobody should take for true. */
const timesMax = 1000n

function requireBelievable(purses: ReadonlyMap<string, Purse>): void {
  for (const [name, { left, weight }] of purses) {
    if (left <= weight * timesMax && left >= -weight) continue
    throw conflict(
      'beyond_belief',
      `${name}: the bill differs by ${usd(left < 0n ? -left : left)} USD from ${usd(weight)} metered. ` +
        'Nothing was corrected: look at the bill.',
    )
  }
}

function keep(
  { metered, billed, variances, ownKeys, foreignLines }: Reconciled,
  about: Pick<Kept, 'id' | 'month' | 'saidKeys' | 'by' | 'at'>,
): Kept {
  const sums = new Map<string, Decimal>()
  for (const { cause, amount } of variances) {
    sums.set(cause, addDecimals(sums.get(cause) ?? decimalZero, amount))
  }
  const unexplained = variances
    .filter(({ cause }) => cause === 'unexplained')
    .reduce((sum, { amount }) => sum + Math.abs(approximately(amount)), 0)
  const whole = Math.abs(approximately(billed))
  const largest = variances.toSorted(
    (a, b) => Math.abs(approximately(b.amount)) - Math.abs(approximately(a.amount)),
  )
  return {
    ...about,
    metered: formatDecimal(metered),
    billed: formatDecimal(billed),
    unexplainedPercent: shareOf(unexplained, whole),
    causes: Object.fromEntries([...sums].map(([cause, sum]) => [cause, formatDecimal(sum)])),
    variances: largest.slice(0, variancesKept).map(keptVariance),
    variancesTotal: variances.length,
    ownKeys: Object.fromEntries(ownKeys),
    foreignLines,
    acceptedAt: null,
    acceptedBy: null,
    corrected: 0,
    correctedUsd: usd(0n),
  }
}

/** Of a bill that is not there nothing is explained. */
function shareOf(unexplained: number, billed: number): string {
  if (unexplained === 0) return '0.0000'
  return billed === 0 ? '100.0000' : ((unexplained / billed) * 100).toFixed(4)
}

function keptVariance({ cause, provider, cell, amount, detail }: Variance): KeptVariance {
  const place = { model: cell?.model ?? null, day: cell?.day ?? null, kind: cell?.kind ?? null }
  return { cause, provider, ...place, amount: formatDecimal(amount), detail }
}

async function save(
  deps: ControlDeps,
  actor: Actor,
  kept: Kept,
  action: string,
  reason: string | null,
): Promise<void> {
  const record = { kind: 'reconciliation', id: kept.id, value: kept } as const
  const { month, metered, billed, causes: sums, corrected, correctedUsd } = kept
  const after = { month, metered, billed, causes: sums, corrected, corrected_usd: correctedUsd }
  await changed(
    deps,
    actor,
    { kind: 'put_record', record },
    { action, subject: kept.id, reason, after },
  )
}

function show(kept: Kept): z.infer<typeof reconciliationShape> {
  return {
    id: kept.id,
    month: kept.month,
    state: kept.acceptedAt === null ? 'open' : 'accepted',
    metered_usd: kept.metered,
    billed_usd: kept.billed,
    causes: { ...kept.causes },
    unexplained_percent: kept.unexplainedPercent,
    own_keys: Object.fromEntries(Object.entries(kept.ownKeys).map(([p, keys]) => [p, [...keys]])),
    own_keys_inferred: kept.saidKeys === null,
    foreign_lines: kept.foreignLines,
    variances: kept.variances.map(({ amount, ...rest }) => ({ ...rest, amount_usd: amount })),
    variances_total: kept.variancesTotal,
    corrected_calls: kept.corrected,
    corrected_usd: kept.correctedUsd,
    at: toIso(instant(kept.at)),
    by: kept.by,
  }
}
