/**
 * The ledger: how much of each account is spent (posted) and promised (pending).
 *
 * - A call is held before it is forwarded and ends exactly once: settled, voided or expired.
 * - A hold is admitted on every account above it or on none, and never past a hard limit.
 * - Settling never fails for want of money: the provider has already been paid. What exceeds the
 *   hold is posted and marked as overage.
 * - A crash frees nothing: an orphan is posted at its maximum, marked `presumed`, and corrected by
 * an   adjustment when the truth is known.
 * - Entries are immutable. A balance is the fold of its entries and may be rebuilt from them.
 * - A call belongs to the period in which its hold was made, whenever it ends.
 *
 * `apply` is pure. Stores load what `accountsOf` names, call it, and write what it returns.
 */
import { assert, unreachable } from '#lib/assert.ts'
import { type Account, type AccountKey, post } from './account.ts'
import type { Alert } from './alert.ts'
import {
  type AdjustCommand,
  type Applied,
  type Basis,
  type Command,
  type EntryLine,
  type Facts,
  type Hold,
  type HoldLine,
  type LedgerEntry,
  type LedgerState,
  type SettleCommand,
  unchanged,
} from './journal.ts'
import { alertId, atRest, climb } from './ladder.ts'
import { applyHold } from './ledger-hold.ts'
import type { Nanos } from './money.ts'
import type { Instant } from './time.ts'

export function apply(state: LedgerState, command: Command, now: Instant): Applied {
  switch (command.kind) {
    case 'hold':
      return applyHold(state, command, now)
    case 'settle':
      return applySettle(state, command, now)
    case 'void':
      return applyVoid(state, command.facts, now)
    case 'expire':
      return applyExpire(state, now)
    case 'adjust':
      return applyAdjust(state, command, now)
    default:
      return unreachable(command)
  }
}

function applySettle(state: LedgerState, command: SettleCommand, now: Instant): Applied {
  const { hold } = state
  assert(command.cost >= 0n, 'a cost is never negative')
  if (hold === null) return unchanged(state, { status: 'hold_not_found' })
  if (hold.state === 'voided') return unchanged(state, { status: 'hold_already_resolved', hold })
  if (hold.state !== 'pending') {
    const same = hold.cost === command.cost && hold.basis === command.basis
    if (same) return unchanged(state, { status: 'repeated', hold })
    // What was presumed gives way to what is known, and to nothing else.
    if (hold.basis !== 'presumed' || command.basis !== 'actual') {
      return unchanged(state, { status: 'conflicting_repeat', hold })
    }
    const note = { reason: 'late usage', author: 'bursar' }
    return end(
      state,
      { ...hold, facts: { ...hold.facts, ...command.facts } },
      {
        kind: 'adjust',
        ...note,
        state: 'settled',
        cost: command.cost,
        tokens: BigInt(command.tokens),
        basis: 'actual',
      },
      now,
    )
  }
  const facts = { ...hold.facts, ...command.facts }
  return end(
    state,
    { ...hold, facts },
    {
      kind: 'settle',
      reason: null,
      author: null,
      state: 'settled',
      cost: command.cost,
      tokens: BigInt(command.tokens),
      basis: command.basis,
    },
    now,
  )
}

function applyVoid(state: LedgerState, facts: Facts, now: Instant): Applied {
  const { hold } = state
  if (hold === null) return unchanged(state, { status: 'hold_not_found' })
  if (hold.state === 'voided') return unchanged(state, { status: 'repeated', hold })
  if (hold.state !== 'pending') return unchanged(state, { status: 'hold_already_resolved', hold })
  return end(
    state,
    { ...hold, facts: { ...hold.facts, ...facts } },
    {
      kind: 'void',
      reason: null,
      author: null,
      state: 'voided',
      cost: 0n as Nanos,
      tokens: 0n,
      basis: 'nothing',
    },
    now,
  )
}

function applyExpire(state: LedgerState, now: Instant): Applied {
  const { hold } = state
  if (hold === null) return unchanged(state, { status: 'hold_not_found' })
  if (hold.state === 'expired') return unchanged(state, { status: 'repeated', hold })
  if (hold.state !== 'pending') return unchanged(state, { status: 'hold_already_resolved', hold })
  return end(
    state,
    hold,
    {
      kind: 'expire',
      reason: null,
      author: null,
      state: 'expired',
      cost: hold.amount,
      tokens: null,
      basis: 'presumed',
    },
    now,
  )
}

function applyAdjust(state: LedgerState, command: AdjustCommand, now: Instant): Applied {
  const { hold } = state
  assert(command.cost >= 0n, 'a cost is never negative')
  if (hold === null) return unchanged(state, { status: 'hold_not_found' })
  if (hold.state === 'pending') return unchanged(state, { status: 'hold_already_resolved', hold })
  if (hold.cost === command.cost && hold.basis === 'actual') {
    return unchanged(state, { status: 'repeated', hold })
  }
  return end(
    state,
    { ...hold, facts: { ...hold.facts, ...command.facts } },
    {
      kind: 'adjust',
      reason: command.reason,
      author: command.author,
      state: hold.state === 'voided' ? 'settled' : hold.state,
      cost: command.cost,
      tokens: null,
      basis: 'actual',
    },
    now,
  )
}

interface Ending {
  readonly kind: LedgerEntry['kind']
  readonly reason: string | null
  readonly author: string | null
  readonly state: Hold['state']
  readonly cost: Nanos
  /** Null: what the hold promised (or had posted) stands. */
  readonly tokens: bigint | null
  readonly basis: Basis
}

/** Every way a hold ends or is corrected: posts the difference on each of its accounts. */
function end(state: LedgerState, hold: Hold, ending: Ending, now: Instant): Applied {
  const wasPending = hold.state === 'pending'
  const accounts: Account[] = []
  const alerts: Alert[] = []
  const entryLines: EntryLine[] = []
  const lines = hold.lines.map((line, i) => {
    const posted = postedAs(line, ending)
    const change = {
      account: line.account,
      posted: posted - (line.posted ?? 0n),
      pending: wasPending ? -line.amount : 0n,
    }
    const before = state.accounts[i] ?? null
    assert(before !== null, 'not loaded by the store', line.account)
    const rule = state.rules(before.budget)
    const after = post(before, change)
    const climbed = rule === null ? atRest(after) : climb(after, rule, now)
    accounts.push(climbed.account)
    alerts.push(...climbed.alerts)
    entryLines.push(change)
    return { ...line, posted }
  })
  const overage = overageOf(hold, ending)
  if (overage > 0n) alerts.push(overageAlert(state, hold, overage, now))
  const ended: Hold = {
    ...hold,
    lines,
    state: ending.state,
    cost: ending.cost,
    basis: ending.basis,
    endedAt: now,
    tokens: ending.tokens === null ? hold.tokens : Number(ending.tokens),
  }
  return {
    result: { status: 'applied', hold: ended },
    hold: ended,
    accounts,
    alerts,
    marks: [],
    entry: {
      kind: ending.kind,
      hold: hold.id,
      at: now,
      lines: entryLines,
      overage,
      reason: ending.reason,
      author: ending.author,
    },
  }
}

function postedAs(line: HoldLine, { cost, tokens, state }: Ending): bigint {
  switch (line.unit) {
    case 'usd':
      return cost
    case 'tokens':
      return tokens ?? line.posted ?? line.amount
    // A call that was provably never made is not counted; every other one is, once.
    case 'calls':
      return state === 'voided' ? 0n : line.amount
    // A conversation has begun with its first call, whatever becomes of that.
    case 'conversations':
      return line.amount
    case 'concurrent':
      return 0n
    default:
      return unreachable(line.unit)
  }
}

function overageOf(hold: Hold, { cost, kind }: Ending): Nanos {
  const known = kind === 'adjust' && hold.cost !== null ? hold.cost : hold.amount
  const floor = known > hold.amount ? known : hold.amount
  return (cost > floor ? cost - floor : 0n) as Nanos
}

/** Told once a hold, on the account with money nearest to its end, or on the call alone. */
function overageAlert(state: LedgerState, hold: Hold, overage: Nanos, now: Instant): Alert {
  const account = state.accounts[hold.lines.findIndex(({ unit }) => unit === 'usd')]
  return {
    id: alertId(`overage|${hold.id}|${now}`),
    kind: 'overage',
    account: account?.key ?? ('' as AccountKey),
    budget: account?.budget ?? 'bud_none',
    value: account?.value ?? null,
    unit: 'usd',
    threshold: hold.id,
    actions: [{ kind: 'notify', channel: 'owner', name: null }],
    at: now,
    amount: account?.amount ?? 0n,
    posted: account?.posted ?? 0n,
    overage,
    hold: hold.id,
    periodEnd: account?.period.end ?? now,
  }
}
