/** Domain values as the API shows them: decimal strings for money, ISO 8601 for time. */
import { z } from 'zod'
import type { AuditRow } from '#core/audit.ts'
import type { BudgetRule } from '#core/budget.ts'
import { hardLimit } from '#core/budget.ts'
import type { Hold, LedgerEntry } from '#core/journal.ts'
import type { VirtualKey } from '#core/key.ts'
import { formatUsd, type Nanos } from '#core/money.ts'
import type { Override } from '#core/override.ts'
import { type Instant, toIso } from '#core/time.ts'
import { type AccountView, remaining, usedPercent } from '#core/view.ts'

export const usd = (amount: bigint): string => formatUsd(amount as Nanos)
const isoOr = (at: Instant | null): string | null => (at === null ? null : toIso(at))

export const keyShape = z.object({
  id: z.string(),
  name: z.string(),
  prefix: z.string(),
  team: z.string().nullable(),
  agent: z.string().nullable(),
  environment: z.string().nullable(),
  tenant: z.string().nullable(),
  user: z.string().nullable(),
  created_at: z.string(),
  created_by: z.string(),
  expires_at: z.string().nullable(),
  revoked_at: z.string().nullable(),
})

export function showKey(key: VirtualKey): z.infer<typeof keyShape> {
  const { id, name, prefix, team, agent, environment, tenant, user } = key
  return {
    id,
    name,
    prefix,
    team,
    agent,
    environment,
    tenant,
    user,
    created_at: toIso(key.createdAt),
    created_by: key.createdBy,
    expires_at: isoOr(key.expiresAt),
    revoked_at: isoOr(key.revokedAt),
  }
}

const accountShape = z.object({
  id: z.string(),
  name: z.string(),
  selector: z.record(z.string(), z.string()),
  per: z.string().nullable(),
  value: z.string().nullable(),
  unit: z.string(),
  period: z.string(),
  period_start: z.string(),
  period_end: z.string(),
  state: z.string(),
  used_percent: z.string(),
  mode: z.string(),
  owner: z.string().nullable(),
  throttled_to_per_minute: z.string().nullable(),
})

export const budgetShape = accountShape.extend({
  limit_usd: z.string(),
  stops_at_usd: z.string().nullable(),
  posted_usd: z.string(),
  pending_usd: z.string(),
  remaining_usd: z.string(),
  override_usd: z.string(),
})

export const quotaShape = accountShape.extend({
  limit: z.string(),
  used: z.string(),
  pending: z.string(),
})

export function showBudget(view: AccountView): z.infer<typeof budgetShape> {
  const { account, rule, relief } = view
  const stop = hardLimit(rule)
  return {
    ...showAccount(view),
    limit_usd: usd(rule.amount),
    stops_at_usd: stop === null || relief.lifted ? null : usd(stop + relief.extra),
    posted_usd: usd(account.posted),
    pending_usd: usd(account.pending),
    remaining_usd: usd(remaining(view)),
    override_usd: usd(relief.extra),
  }
}

export function showQuota(view: AccountView): z.infer<typeof quotaShape> {
  const { account, rule } = view
  return {
    ...showAccount(view),
    limit: String(rule.amount),
    used: String(account.posted),
    pending: String(account.pending),
  }
}

function showAccount(view: AccountView): z.infer<typeof accountShape> {
  const { account, rule, state } = view
  const { throttle } = account
  return {
    id: rule.id,
    name: rule.name,
    selector: selectorOf(rule),
    per: rule.per,
    value: account.value,
    unit: rule.unit,
    period: rule.unit === 'concurrent' ? 'always' : rule.period,
    period_start: toIso(account.period.start),
    period_end: toIso(account.period.end),
    state,
    used_percent: usedPercent(view),
    mode: rule.mode,
    owner: rule.owner,
    throttled_to_per_minute:
      throttle === null || state !== 'throttled'
        ? null
        : ((throttle.baselinePerHour * throttle.percent) / 6000).toFixed(2),
  }
}

function selectorOf(rule: BudgetRule): Record<string, string> {
  return Object.fromEntries(
    Object.entries(rule.selector).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value]],
    ),
  )
}

export const overrideShape = z.object({
  id: z.string(),
  budget: z.string(),
  value: z.string().nullable(),
  extra_usd: z.string().nullable(),
  until: z.string(),
  reason: z.string(),
  state: z.string(),
  in_force: z.boolean(),
  requested_by: z.string(),
  requested_at: z.string(),
  /** An admin who wrote that name in the other's stead. */
  requested_through: z.string().nullable(),
  approved_by: z.string().nullable(),
  decided_by: z.string().nullable(),
  decided_through: z.string().nullable(),
  decided_at: z.string().nullable(),
  self: z.boolean(),
})

export function showOverride(o: Override, now: Instant): z.infer<typeof overrideShape> {
  return {
    id: o.id,
    budget: o.budget,
    value: o.value,
    extra_usd: o.extra === null ? null : usd(o.extra),
    until: toIso(o.until),
    reason: o.reason,
    state: o.state === 'approved' && now >= o.until ? 'ended' : o.state,
    in_force: o.state === 'approved' && now < o.until,
    requested_by: o.requestedBy,
    requested_at: toIso(o.requestedAt),
    requested_through: o.requestedThrough ?? null,
    approved_by: o.state === 'approved' ? o.decidedBy : null,
    decided_by: o.decidedBy,
    decided_through: o.decidedThrough ?? null,
    decided_at: isoOr(o.decidedAt),
    self: o.self,
  }
}

const attemptShape = z.object({
  id: z.string(),
  provider: z.string().nullable(),
  model: z.string().nullable(),
  state: z.string(),
  basis: z.string().nullable(),
  held_usd: z.string(),
  cost_usd: z.string().nullable(),
  /** Where a contract applied: by which terms, and what the list would have asked. */
  contract: z.string().nullable(),
  list_usd: z.string().nullable(),
  output_cap: z.number(),
  made_at: z.string(),
  ended_at: z.string().nullable(),
  status: z.number().nullable(),
  reason: z.string().nullable(),
  usage: z.record(z.string(), z.number()),
  charge: z.unknown(),
  price_version: z.string().nullable(),
  response_id: z.string().nullable(),
})

export const callShape = z.object({
  id: z.string(),
  at: z.string(),
  agent: z.string().nullable(),
  team: z.string().nullable(),
  environment: z.string().nullable(),
  tenant: z.string().nullable(),
  user: z.string().nullable(),
  key: z.string().nullable(),
  conversation: z.string().nullable(),
  run: z.string().nullable(),
  model: z.string().nullable(),
  asked: z.string().nullable(),
  provider: z.string().nullable(),
  operation: z.string().nullable(),
  stream: z.boolean(),
  state: z.string(),
  usage: z.record(z.string(), z.number()),
  cost_usd: z.string(),
  held_usd: z.string(),
  attempts: z.array(attemptShape),
})

const textOf = (value: unknown): string | null => (typeof value === 'string' ? value : null)
const numberOf = (value: unknown): number | null => (typeof value === 'number' ? value : null)

function usageOf({ facts: { usage } }: Hold): Record<string, number> {
  return typeof usage === 'object' && usage !== null ? (usage as Record<string, number>) : {}
}

/** A call is its holds: one an attempt. Its state is the last one's. */
export function showCall(holds: readonly [Hold, ...Hold[]]): z.infer<typeof callShape> {
  const last = holds.at(-1) ?? holds[0]
  const { attribution: who, facts } = last
  const cost = holds.reduce((sum, { cost }) => sum + (cost ?? 0n), 0n)
  const held = holds.reduce(
    (sum, { state, amount }) => (state === 'pending' ? sum + amount : sum),
    0n,
  )
  return {
    id: last.call,
    at: toIso(holds[0].madeAt),
    agent: who.agent,
    team: who.team,
    environment: who.environment,
    tenant: who.tenant,
    user: who.user,
    key: who.key,
    conversation: textOf(facts.conversation),
    run: textOf(facts.run),
    model: who.model,
    asked: textOf(facts.asked),
    provider: who.provider,
    operation: textOf(facts.operation),
    stream: facts.stream === true,
    state: last.state,
    usage: usageOf(last),
    cost_usd: usd(cost),
    held_usd: usd(held),
    attempts: holds.map(showAttempt),
  }
}

function showAttempt(hold: Hold): z.infer<typeof attemptShape> {
  const { facts } = hold
  return {
    id: hold.id,
    provider: hold.attribution.provider,
    model: hold.attribution.model,
    state: hold.state,
    basis: hold.basis,
    held_usd: usd(hold.amount),
    cost_usd: hold.cost === null ? null : usd(hold.cost),
    contract: textOf(facts.contract),
    list_usd: textOf(facts.listUsd),
    output_cap: hold.outputCap,
    made_at: toIso(hold.madeAt),
    ended_at: isoOr(hold.endedAt),
    status: numberOf(facts.status),
    reason: textOf(facts.reason),
    usage: usageOf(hold),
    charge: facts.charge ?? null,
    price_version: textOf(facts.priceVersion),
    response_id: textOf(facts.responseId),
  }
}

export const entryShape = z.object({
  seq: z.number(),
  kind: z.string(),
  at: z.string(),
  hold: z.string().nullable(),
  overage_usd: z.string(),
  reason: z.string().nullable(),
  author: z.string().nullable(),
  lines: z.array(z.object({ account: z.string(), posted: z.string(), pending: z.string() })),
})

/** Line amounts stay whole numbers in the account's unit: nano-USD for money. */
export function showEntry(entry: LedgerEntry & { seq: number }): z.infer<typeof entryShape> {
  const { seq, kind, hold, reason, author } = entry
  return {
    seq,
    kind,
    at: toIso(entry.at),
    hold,
    overage_usd: usd(entry.overage),
    reason,
    author,
    lines: entry.lines.map(({ account, posted, pending }) => ({
      account,
      posted: String(posted),
      pending: String(pending),
    })),
  }
}

export const auditShape = z.object({
  id: z.string(),
  at: z.string(),
  actor: z.string(),
  identity: z.string().optional(),
  action: z.string(),
  subject: z.string(),
  reason: z.string().nullable(),
  before: z.unknown(),
  after: z.unknown(),
})

export function showAudit(row: AuditRow): z.infer<typeof auditShape> {
  return { ...row, at: toIso(row.at) }
}
