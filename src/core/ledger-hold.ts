/**
 * How a hold is made: all accounts or none, never past a hard limit, the cap fitted to the room.
 */
import { assert } from '#lib/assert.ts'
import {
  type Account,
  type AccountKey,
  type AccountRef,
  availableIn,
  isThrottled,
  openAccount,
  post,
} from './account.ts'
import type { Alert } from './alert.ts'
import type { BudgetRule, LimitUnit } from './budget.ts'
import {
  type Applied,
  type Asking,
  type EntryLine,
  type Hold,
  type HoldCommand,
  type HoldLine,
  type LedgerState,
  type Mark,
  type Result,
  seatOf,
  unchanged,
} from './journal.ts'
import { rearm, stopped } from './ladder.ts'
import { type Nanos, roundPicosUp } from './money.ts'
import { type Relief, reliefOf } from './override.ts'
import { noteAdmitted, takeSlot } from './pace.ts'
import type { Instant } from './time.ts'

interface Line extends AccountRef {
  readonly account: Account
  readonly relief: Relief
  /** The conversation of the call counts here already. */
  readonly isSeated: boolean
}

export function applyHold(state: LedgerState, command: HoldCommand, now: Instant): Applied {
  if (state.hold !== null) return repeatOf(state, state.hold, command)
  assert(command.expiresAt > now, 'a hold expires in the future')

  const alerts: Alert[] = []
  const lines = command.accounts.map((ref, i): Line => {
    const { rule, value } = ref
    const found = state.accounts[i] ?? openAccount(ref, now)
    const { account, alerts: rearmed } = rearm(found, rule, now)
    alerts.push(...rearmed)
    const relief = reliefOf(state.overrides, account, now)
    return { rule, value, account, relief, isSeated: isSeated(state, ref, account, command) }
  })
  assert(areApart(lines.map(({ account }) => account.key)), 'an account is held once')

  const cap = fittingCap(lines, command.asking)
  const short = cap === null ? tightest(lines, command.asking) : null
  // Waiting for a slot helps nobody for whom there is no room when it comes.
  const isFinal = short?.status === 'limit_exceeded' && !short.held
  const paced = isFinal ? null : slowest(lines, now)
  const asked = { state, lines, alerts, marks: command.marks }
  if (paced !== null) return denied(asked, paced)
  if (short !== null) return denied(asked, short, now)
  assert(cap !== null, 'a cap fits unless an account is short')
  return admitted(lines, alerts, command, cap, now)
}

/** A call has few accounts: to look along them is less than to build a set. */
const areApart = (keys: readonly AccountKey[]): boolean =>
  keys.every((key, i) => keys.indexOf(key) === i)

function repeatOf(state: LedgerState, hold: Hold, command: HoldCommand): Applied {
  const same =
    hold.call === command.call &&
    hold.outputCap <= command.asking.outputCap &&
    hold.lines.length === command.accounts.length
  return unchanged(state, { status: same ? 'repeated' : 'conflicting_repeat', hold })
}

/** The account whose next slot is farthest away, where one is paced and its slot has not come. */
function slowest(lines: readonly Line[], now: Instant): Result | null {
  let worst: Extract<Result, { status: 'throttled' }> | null = null
  for (const { account, rule, relief } of lines) {
    if (account.throttle === null || !isThrottled(account, rule, relief)) continue
    const retryAt = account.throttle.nextAt
    if (retryAt <= now || (worst !== null && worst.retryAt >= retryAt)) continue
    worst = { status: 'throttled', account, rule, retryAt }
  }
  return worst
}

function isSeated(
  { isMarked }: LedgerState,
  { rule }: AccountRef,
  { key }: Account,
  { conversation }: HoldCommand,
): boolean {
  // A call of no conversation has nothing to count.
  return (
    rule.unit === 'conversations' && (conversation === null || isMarked(seatOf(key, conversation)))
  )
}

/** What a call with some output cap takes: the same from each account of a unit. */
interface Amounts {
  readonly usd: Nanos
  readonly tokens: bigint
}

function amountsAt(cap: number, asking: Asking): Amounts {
  return {
    usd: roundPicosUp(asking.fixedPicos + asking.picosPerOutputToken * BigInt(cap)),
    tokens: BigInt(asking.fixedTokens + asking.tokensPerCap * cap),
  }
}

function amountOf(unit: LimitUnit, { usd, tokens }: Amounts): bigint {
  return unit === 'usd' ? usd : unit === 'tokens' ? tokens : 1n
}

function lineAmount({ rule, isSeated }: Line, amounts: Amounts): bigint {
  return isSeated ? 0n : amountOf(rule.unit, amounts)
}

/** The largest cap that every account can pay, at most what was asked; null below the floor. */
function fittingCap(lines: readonly Line[], asking: Asking): number | null {
  let cap = asking.outputCap
  let amounts = amountsAt(cap, asking)
  for (const line of lines) {
    const { account, rule, relief } = line
    const available = availableIn(account, rule, relief)
    if (available === null || line.isSeated) continue
    if (amountOf(rule.unit, amounts) <= available) continue
    const fits = capWithin(available, rule.unit, asking)
    if (fits === null || fits < Math.min(asking.outputCapFloor, asking.outputCap)) return null
    cap = Math.min(cap, fits)
    amounts = amountsAt(cap, asking)
  }
  return cap
}

function capWithin(available: bigint, unit: LimitUnit, asking: Asking): number | null {
  const money = unit === 'usd'
  const [room, step] = money
    ? [available * 1000n - asking.fixedPicos, asking.picosPerOutputToken]
    : [available - BigInt(asking.fixedTokens), BigInt(asking.tokensPerCap)]
  if ((!money && unit !== 'tokens') || room < 0n || step <= 0n) return null
  const fits = room / step
  return fits > BigInt(asking.outputCap) ? asking.outputCap : Number(fits)
}

/** The account that is short, the one farthest from room first: money last among equals. */
function tightest(lines: readonly Line[], asking: Asking): Result {
  const amounts = amountsAt(Math.min(asking.outputCapFloor, asking.outputCap), asking)
  const short = lines.flatMap((line) => {
    const { account, rule, relief, isSeated: seated } = line
    const available = availableIn(account, rule, relief)
    const needed = lineAmount(line, amounts)
    if (available === null || seated || needed <= available) return []
    // Room that only calls in flight hold may come back; what is posted does not, nor does a
    // conversation that has begun.
    const held = rule.unit !== 'conversations' && needed <= available + account.pending
    return [{ status: 'limit_exceeded' as const, account, rule, available, needed, held }]
  })
  const final = short.find(({ held }) => !held) ?? short[0]
  assert(final !== undefined, 'no cap fits, yet no account is short')
  return final
}

interface Asked {
  readonly state: LedgerState
  readonly lines: readonly Line[]
  readonly alerts: readonly Alert[]
  readonly marks: readonly Mark[]
}

/** A refusal changes no balance; it may still re-arm a stage or fire the hard stop. */
function denied({ state, lines, alerts, marks }: Asked, result: Result, now?: Instant): Applied {
  const fired = [...alerts]
  const touched = new Map(
    lines
      .filter(({ account }, i) => state.accounts[i] !== null && state.accounts[i] !== account)
      .map(({ account }) => [account.key, account]),
  )
  if (now !== undefined && result.status === 'limit_exceeded' && !result.held) {
    const { account, rule } = result
    // Small room left under a used-up amount is a stop; a call too big for a fresh budget is not.
    if (account.posted + account.pending >= rule.amount || rule.per === 'run') {
      const stop = stopped(account, rule, now)
      if (stop.alerts.length > 0) touched.set(account.key, stop.account)
      fired.push(...stop.alerts)
    }
  }
  const accounts = [...touched.values()]
  // Where a run comes from is what it said with its first call, refused or not.
  return { result, hold: null, accounts, entry: null, alerts: fired, marks }
}

/** Only budgets have a pace to take: the steps of quotas and of caps on runs warn or stop. */
const canThrottle = ({ unit, per }: BudgetRule): boolean => unit === 'usd' && per !== 'run'

function paceAfter(
  { account, rule, relief }: Line,
  now: Instant,
): Pick<Account, 'recent' | 'throttle'> {
  const { throttle } = account
  const recent = canThrottle(rule) ? noteAdmitted(account.recent, now) : account.recent
  if (throttle === null || !isThrottled(account, rule, relief)) return { recent, throttle }
  return { recent, throttle: takeSlot(throttle, now) }
}

function admitted(
  lines: readonly Line[],
  alerts: readonly Alert[],
  command: HoldCommand,
  cap: number,
  now: Instant,
): Applied {
  const { conversation } = command
  const amounts = amountsAt(cap, command.asking)
  const holdLines: HoldLine[] = []
  const entryLines: EntryLine[] = []
  const marks = [...command.marks]
  const accounts = lines.map((line) => {
    const { account, rule } = line
    const amount = lineAmount(line, amounts)
    if (rule.unit === 'conversations' && !line.isSeated && conversation !== null) {
      marks.push({ id: seatOf(account.key, conversation), value: command.hold })
    }
    holdLines.push({ account: account.key, unit: rule.unit, amount, posted: null })
    const change = { account: account.key, posted: 0n, pending: amount }
    entryLines.push(change)
    return post(account, change, paceAfter(line, now))
  })
  const hold: Hold = {
    id: command.hold,
    call: command.call,
    state: 'pending',
    lines: holdLines,
    attribution: command.attribution,
    amount: amounts.usd,
    tokens: Number(amounts.tokens),
    outputCap: cap,
    cost: null,
    basis: null,
    madeAt: now,
    expiresAt: command.expiresAt,
    endedAt: null,
    facts: command.facts,
  }
  return {
    result: { status: 'applied', hold },
    hold,
    accounts,
    alerts,
    marks,
    entry: {
      kind: 'hold',
      hold: hold.id,
      at: now,
      overage: 0n as Nanos,
      reason: null,
      author: null,
      lines: entryLines,
    },
  }
}
