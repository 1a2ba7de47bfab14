/** A ledger's no, or a router's, as a sentence a person can act on. */
import type { Result } from '#core/journal.ts'
import type { BudgetRule } from '#core/budget.ts'
import { hardLimit } from '#core/budget.ts'
import { formatPercent, formatUsdShort, type Nanos } from '#core/money.ts'
import type { Refusal, RefusalCode, RefusedBudget } from '#core/refusal.ts'
import { stateOf } from '#core/account.ts'
import { noRelief } from '#core/override.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { type Instant, isForever, toIso } from '#core/time.ts'

type Denied = Extract<Result, { status: 'limit_exceeded' | 'throttled' }>

export interface RefusalFrame {
  readonly callId: string
  readonly codex: boolean
}

export function plainRefusal(
  frame: RefusalFrame,
  code: RefusalCode,
  message: string,
  more: { param?: string | null; retryAfterMs?: number | null } = {},
): Refusal {
  const { param = null, retryAfterMs = null } = more
  return {
    ...frame,
    code,
    message: `${message} (${frame.callId})`,
    param,
    retryAfterMs,
    budget: null,
  }
}

/** `jitter` in [0, 1) spreads the callers that were refused together. */
export function ledgerRefusal(
  frame: RefusalFrame,
  denied: Denied,
  snapshot: Snapshot,
  now: Instant,
  jitter: number,
): Refusal {
  const budget = refusedBudget(denied, snapshot)
  if (denied.status === 'throttled') {
    const waitMs = bounded(denied.retryAt - now + jitter * 1000)
    const message =
      `Budget "${denied.rule.name}" is over its limit and slowed down: ` +
      `${usage(denied, snapshot)}. Please try again in ${Math.ceil(waitMs / 1000)}s.`
    return { ...plainRefusal(frame, 'budget_throttled', message, { retryAfterMs: waitMs }), budget }
  }
  const code = codeOf(denied)
  if (code === 'budget_held' || code === 'rate_limited') {
    const untilMs =
      code === 'rate_limited' && denied.rule.unit !== 'concurrent'
        ? denied.account.period.end - now
        : 1000
    const waitMs = bounded(untilMs + jitter * 1000)
    const why = code === 'budget_held' ? 'has no room while other calls are in flight' : 'is full'
    const message =
      `${noun(denied.rule)} "${denied.rule.name}" ${why}: ` +
      `${usage(denied, snapshot)}. Please try again in ${Math.ceil(waitMs / 1000)}s.`
    return { ...plainRefusal(frame, code, message, { retryAfterMs: waitMs }), budget }
  }
  return { ...plainRefusal(frame, code, stopMessage(denied, snapshot)), budget }
}

type Exceeded = Extract<Denied, { status: 'limit_exceeded' }>

function codeOf({ rule, held }: Exceeded): RefusalCode {
  if (rule.per === 'run') return held ? 'budget_held' : 'run_limit_exceeded'
  if (rule.unit === 'usd') return held ? 'budget_held' : 'budget_exceeded'
  const short = rule.unit === 'concurrent' || rule.period === 'minute' || rule.period === 'hour'
  return short || held ? 'rate_limited' : 'quota_exceeded'
}

function stopMessage(denied: Exceeded, snapshot: Snapshot): string {
  const { rule, account } = denied
  if (rule.per === 'run') {
    return (
      `The cap of "${rule.name}" is reached: ${usage(denied, snapshot)}. This run is stopped; ` +
      'start a new one once you know why it took so much.'
    )
  }
  const usedUp = account.posted + account.pending >= rule.amount
  const state = usedUp ? 'is used up' : 'has too little left for this call'
  const remedy =
    rule.unit === 'usd'
      ? ` unless an override is approved: bursar override request --budget ${rule.id}`
      : ', or until the quota is raised.'
  const { end } = account.period
  const until = isForever(end) ? 'those in flight have ended' : toIso(end)
  return (
    `${noun(rule)} "${rule.name}" ${state}: ${usage(denied, snapshot)}. ` +
    `New calls stop until ${until}${remedy}`
  )
}

function noun({ unit }: BudgetRule): string {
  return unit === 'usd' ? 'Budget' : 'Quota'
}

/** "$1,203.11 of $1,000.00 (120.3 %)", or less where policy hides amounts. */
function usage({ account, rule }: Denied, snapshot: Snapshot): string {
  const used = account.posted + account.pending
  const percent = `${formatPercent(used, rule.amount)} %`
  if (rule.unit !== 'usd') return `${used} of ${rule.amount} ${rule.unit} (${percent})`
  switch (snapshot.policy.exposeAmounts) {
    case 'full':
      return (
        `${formatUsdShort(used as Nanos)} of ${formatUsdShort(rule.amount as Nanos)} ` +
        `(${percent}, stops at ${formatUsdShort((hardLimit(rule) ?? rule.amount) as Nanos)})`
      )
    case 'percent':
      return `${percent} used`
    case 'none':
      return 'its limit is reached'
  }
}

function refusedBudget({ account, rule, ...denied }: Denied, snapshot: Snapshot): RefusedBudget {
  const show = snapshot.policy.exposeAmounts
  const final = denied.status === 'limit_exceeded' && !denied.held
  return {
    id: rule.id,
    name: rule.name,
    state: final ? 'stopped' : stateOf(account, rule, noRelief),
    used: show === 'full' && rule.unit === 'usd' ? (account.posted as Nanos) : null,
    limit: show === 'full' && rule.unit === 'usd' ? (rule.amount as Nanos) : null,
    usedPercent: show === 'none' ? null : formatPercent(account.posted, rule.amount),
    resetsAt: account.period.end,
  }
}

/** SDKs read 1 to 59 seconds as "wait"; beyond that some hang and some ignore it. */
function bounded(ms: number): number {
  return Math.min(30_000, Math.max(1000, Math.ceil(ms)))
}
