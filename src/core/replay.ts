/**
 * Past calls under another policy: each hold of the ledger is asked for again, at its time, from
 * the same rules of the ledger, and ends when it ended. What it cannot know: calls that were
 * refused then are in no ledger, what a caller would have done after a refusal, and what was said
 * in a call (loops are found by that). A call is taken at the amount it was held at.
 */
import { accountsFor, type Account, type AccountKey } from './account.ts'
import type { Alert } from './alert.ts'
import { type BudgetRule, periodOf } from './budget.ts'
import {
  accountsOf,
  type Command,
  type Hold,
  type HoldCommand,
  type Result,
  type Rules,
} from './journal.ts'
import { apply } from './ledger.ts'
import type { Nanos } from './money.ts'
import type { Override } from './override.ts'
import { generationsMax, type RunScope, runAccounts, runId } from './run.ts'
import { after, type Instant, instant } from './time.ts'

export interface ReplayPolicy {
  readonly budgets: readonly BudgetRule[]
  readonly runs: readonly BudgetRule[]
  readonly overrides: readonly Override[]
  /** How long a paced call waits before it is refused. */
  readonly maxWaitMs: number
}

/** Calls that one account would have refused. */
export interface Refused {
  readonly budget: BudgetRule
  readonly value: string | null
  /** `stopped`: there was no room. `throttled`: its slot was too far away. */
  readonly kind: 'stopped' | 'throttled'
  calls: number
  /** What these calls did cost. */
  cost: bigint
  readonly firstAt: Instant
  lastAt: Instant
  readonly agents: Set<string>
}

export interface ReplayTally {
  calls: number
  cost: bigint
  admitted: number
  /** Admitted after a wait, by the pace of a throttle or for room. */
  delayed: number
  readonly refused: Map<string, Refused>
  readonly alerts: Alert[]
}

type Event =
  | { readonly kind: 'ask'; readonly at: Instant; readonly past: Hold }
  | { readonly kind: 'end'; readonly at: Instant; readonly past: Hold }

export interface Replay {
  readonly policy: ReplayPolicy
  readonly rules: Rules
  /** What happens before it only fills the accounts. */
  readonly from: Instant
  readonly accounts: Map<AccountKey, Account>
  readonly marks: Set<string>
  readonly open: Map<string, Hold>
  readonly parents: Map<string, string | null>
  /** By time; those of one time in the order in which they came. */
  readonly waiting: Event[]
  readonly tally: ReplayTally
  prunedAt: number
}

/** Where reading must begin, so that accounts stand at `from` as they would have. */
export function replayStart({ budgets }: Pick<ReplayPolicy, 'budgets'>, from: Instant): Instant {
  const starts = budgets
    .filter(({ unit }) => unit !== 'concurrent')
    .map((rule) => periodOf(rule, from).start)
  return instant(Math.min(from, ...starts))
}

export function newReplay(policy: ReplayPolicy, from: Instant): Replay {
  const byId = new Map([...policy.budgets, ...policy.runs].map((rule) => [rule.id, rule]))
  return {
    policy,
    rules: (id) => byId.get(id) ?? null,
    from,
    accounts: new Map(),
    marks: new Set(),
    open: new Map(),
    parents: new Map(),
    waiting: [],
    tally: { calls: 0, cost: 0n, admitted: 0, delayed: 0, refused: new Map(), alerts: [] },
    prunedAt: 0,
  }
}

/** Holds come in the order of their time. Those that were voided were never paid for. */
export function replayHold(replay: Replay, past: Hold): void {
  runUntil(replay, past.madeAt)
  if (past.madeAt >= replay.from) {
    replay.tally.calls += 1
    replay.tally.cost += past.cost ?? 0n
  }
  learnRun(replay, past)
  ask(replay, past, past.madeAt)
}

/** After the last hold: whatever was open ends. */
export function replayRest(replay: Replay): ReplayTally {
  runUntil(replay, instant(Number.MAX_SAFE_INTEGER))
  return replay.tally
}

function runUntil(replay: Replay, at: Instant): void {
  const { waiting } = replay
  for (let next = waiting[0]; next !== undefined && next.at <= at; next = waiting[0]) {
    waiting.shift()
    if (next.kind === 'ask') ask(replay, next.past, next.at)
    else end(replay, next.past, next.at)
  }
}

function later(replay: Replay, event: Event): void {
  const { waiting } = replay
  let low = 0
  let high = waiting.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((waiting[middle]?.at ?? 0) <= event.at) low = middle + 1
    else high = middle
  }
  waiting.splice(low, 0, event)
}

function ask(replay: Replay, past: Hold, at: Instant): void {
  const { accounts, rules, policy, marks } = replay
  const isMarked = (id: string): boolean => marks.has(id)
  // An override holds from when somebody approved it.
  const overrides = policy.overrides.filter(
    ({ decidedAt }) => decidedAt !== null && decidedAt <= at,
  )
  const command = commandOf(replay, past)
  const found = foundFor(replay, command, null, at)
  const state = { accounts: found, hold: null, overrides, isMarked, rules }
  const applied = apply(state, command, at)
  for (const account of applied.accounts) accounts.set(account.key, account)
  for (const mark of applied.marks) marks.add(mark.id)
  tell(replay, applied.alerts, at)
  const { result } = applied
  if (result.status === 'applied') {
    if (at >= replay.from) replay.tally.admitted += 1
    if (at > past.madeAt && at >= replay.from) replay.tally.delayed += 1
    replay.open.set(past.id, result.hold)
    const tookMs = past.endedAt === null ? null : Math.max(0, past.endedAt - past.madeAt)
    if (tookMs !== null) later(replay, { kind: 'end', at: after(at, tookMs), past })
    return
  }
  const again = tryAgainAt(replay, past, result, at)
  if (again !== null) later(replay, { kind: 'ask', at: again, past })
  else if (past.madeAt >= replay.from) refuse(replay, past, result, at)
}

/** As the gateway waits: for a slot that comes in time, and for room that may come free. */
function tryAgainAt(
  { policy: { maxWaitMs } }: Replay,
  { madeAt }: Hold,
  result: Result,
  at: Instant,
): Instant | null {
  const deadline = after(madeAt, maxWaitMs)
  if (result.status === 'throttled') return result.retryAt <= deadline ? result.retryAt : null
  if (result.status !== 'limit_exceeded' || at >= deadline) return null
  const { rule, held } = result
  const passes = held || rule.unit === 'concurrent' || rule.period === 'minute'
  return passes ? instant(Math.min(after(at, 1000), deadline)) : null
}

function refuse({ tally }: Replay, past: Hold, result: Result, at: Instant): void {
  if (result.status !== 'limit_exceeded' && result.status !== 'throttled') return
  const { rule, account } = result
  const kind = result.status === 'throttled' ? 'throttled' : 'stopped'
  const name = `${rule.id}|${account.value}|${kind}`
  const known = tally.refused.get(name) ?? {
    budget: rule,
    value: account.value,
    kind,
    calls: 0,
    cost: 0n,
    firstAt: at,
    lastAt: at,
    agents: new Set<string>(),
  }
  known.calls += 1
  known.cost += past.cost ?? 0n
  known.lastAt = at
  if (past.attribution.agent !== null) known.agents.add(past.attribution.agent)
  tally.refused.set(name, known)
}

function end(replay: Replay, past: Hold, at: Instant): void {
  const hold = replay.open.get(past.id)
  if (hold === undefined) return
  replay.open.delete(past.id)
  const { accounts, rules, policy } = replay
  const id = { hold: hold.id, facts: {} }
  const basis = past.basis === 'presumed' ? ('presumed' as const) : ('actual' as const)
  const cost = past.cost ?? (0n as Nanos)
  const command: Command =
    past.state === 'voided'
      ? { kind: 'void', ...id }
      : { kind: 'settle', ...id, cost, tokens: past.tokens, basis }
  const { overrides } = policy
  const found = foundFor(replay, command, hold, at)
  const state = { accounts: found, hold, overrides, isMarked: () => false, rules }
  const applied = apply(state, command, at)
  for (const account of applied.accounts) accounts.set(account.key, account)
  // What was billed beyond its hold was told then, under any policy.
  tell(
    replay,
    applied.alerts.filter(({ kind }) => kind !== 'overage'),
    at,
  )
  prune(replay, at)
}

function foundFor(
  { accounts }: Replay,
  command: Command,
  hold: Hold | null,
  at: Instant,
): readonly (Account | null)[] {
  return accountsOf(command, hold, at).map((key) => accounts.get(key) ?? null)
}

function tell({ from, tally }: Replay, alerts: readonly Alert[], at: Instant): void {
  if (at >= from) tally.alerts.push(...alerts)
}

const pruneEvery = 10_000

/** Accounts of periods that are over are asked for no more. */
function prune(replay: Replay, at: Instant): void {
  const { accounts } = replay
  if (accounts.size < replay.prunedAt + pruneEvery) return
  for (const [key, { period, pending }] of accounts) {
    if (period.end <= at && pending === 0n) accounts.delete(key)
  }
  replay.prunedAt = accounts.size
}

function commandOf(replay: Replay, past: Hold): HoldCommand {
  const { budgets, runs } = replay.policy
  const conversation = past.facts.conversation
  return {
    kind: 'hold',
    hold: past.id,
    call: past.call,
    attribution: past.attribution,
    accounts: [
      ...accountsFor(budgets, past.attribution),
      ...runAccounts(runs, scopesOf(replay, past), past.attribution),
    ],
    conversation: typeof conversation === 'string' ? conversation : null,
    marks: [],
    asking: {
      fixedPicos: past.amount * 1000n,
      picosPerOutputToken: 0n,
      outputCap: past.outputCap,
      outputCapFloor: past.outputCap,
      fixedTokens: past.tokens,
      tokensPerCap: 0,
    },
    expiresAt: instant(Number.MAX_SAFE_INTEGER),
    facts: {},
  }
}

const textIn = (value: unknown): string | null => (typeof value === 'string' ? value : null)

/** The first call of a run says where it comes from, as in the gateway. */
function learnRun({ parents }: Replay, { facts, attribution }: Hold): void {
  const own = runId(textIn(facts.run), attribution)
  if (own === null || parents.has(own)) return
  parents.set(own, runId(textIn(facts.parentRun), attribution))
}

function scopesOf({ parents, policy }: Replay, { facts, attribution }: Hold): readonly RunScope[] {
  const scopes: RunScope[] = []
  if (policy.runs.length === 0) return scopes
  const seen = new Set<string>()
  let id = runId(textIn(facts.run), attribution)
  while (id !== null && !seen.has(id) && scopes.length < generationsMax) {
    seen.add(id)
    scopes.push({ id, attribution })
    id = parents.get(id) ?? null
  }
  return scopes
}
