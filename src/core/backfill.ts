/**
 * A budget that is added, moved or narrowed in mid-period starts from what was spent, not from
 * zero: its accounts are folded from the holds of the period. Pure; the store writes what it
 * returns.
 */
import {
  type Account,
  type AccountKey,
  type AccountRef,
  accountKey,
  openAccount,
  post,
  valueFor,
} from './account.ts'
import type { Alert } from './alert.ts'
import type { BudgetRule } from './budget.ts'
import {
  type EntryLine,
  type Hold,
  type HoldLine,
  type LedgerEntry,
  type Mark,
  seatOf,
} from './journal.ts'
import { climb } from './ladder.ts'
import { matches } from './scope.ts'
import type { Instant } from './time.ts'

export interface Backfilled {
  readonly accounts: readonly Account[]
  /** Holds in flight gain a line, so that their end reaches the new account too. */
  readonly holds: readonly Hold[]
  readonly entry: LedgerEntry | null
  readonly alerts: readonly Alert[]
  readonly marks: readonly Mark[]
}

/** What is there already. */
export interface Existing {
  account(key: AccountKey): Account | null
  isMarked(id: string): boolean
}

/**
 * Counts `holds` (those made in the rule's period around `now`) into the accounts of `rule`. Holds
 * that already count there are passed over, so a rule that was gone for a while may come back.
 */
export function backfill(
  rule: BudgetRule,
  holds: readonly Hold[],
  now: Instant,
  existing: Existing,
): Backfilled {
  const accounts = new Map<AccountKey, Account>()
  const changes = new Map<AccountKey, EntryLine>()
  const changed: Hold[] = []
  const marks = new Map<string, Mark>()
  for (const hold of holds) {
    if (hold.state === 'voided' || !matches(rule.selector, hold.attribution)) continue
    const ref = refOf(rule, hold)
    const account = accountKey(ref, now)
    if (hold.lines.some((line) => line.account === account)) continue
    const seat = rule.unit === 'conversations' ? seatIn(account, hold) : null
    const isSeated = seat === null || marks.has(seat) || existing.isMarked(seat)
    if (!isSeated) marks.set(seat, { id: seat, value: hold.id })
    const amount = rule.unit === 'conversations' && isSeated ? 0n : amountOf(rule, hold)
    const line = lineOf(rule, account, hold, amount)
    const posted = line.posted ?? 0n
    const pending = hold.state === 'pending' ? line.amount : 0n
    const before = accounts.get(account) ?? existing.account(account) ?? openAccount(ref, now)
    const change = changes.get(account) ?? { account, posted: 0n, pending: 0n }
    accounts.set(account, post(before, { posted, pending }))
    changes.set(account, {
      account,
      posted: change.posted + posted,
      pending: change.pending + pending,
    })
    changed.push({ ...hold, lines: [...hold.lines, line] })
  }
  if (accounts.size === 0) return { accounts: [], holds: [], entry: null, alerts: [], marks: [] }
  const climbed = [...accounts.values()].map((account) => climb(account, rule, now))
  return {
    accounts: climbed.map(({ account }) => account),
    alerts: climbed.flatMap(({ alerts }) => alerts),
    holds: changed,
    marks: [...marks.values()],
    entry: {
      kind: 'open',
      hold: null,
      at: now,
      overage: 0n as LedgerEntry['overage'],
      reason: `budget ${rule.id} counted from the ledger`,
      author: 'bursar',
      lines: [...changes.values()],
    },
  }
}

/** The accounts that `backfill` may count into, each once. */
export function countedIn(rule: BudgetRule, holds: readonly Hold[]): readonly AccountRef[] {
  const refs = holds
    .filter((hold) => hold.state !== 'voided' && matches(rule.selector, hold.attribution))
    .map((hold) => refOf(rule, hold))
  return [...new Map(refs.map((ref) => [ref.value, ref])).values()]
}

/** The marks that `backfill` may ask for. */
export function seatsIn(rule: BudgetRule, holds: readonly Hold[], now: Instant): readonly string[] {
  if (rule.unit !== 'conversations') return []
  return holds.flatMap((hold) => seatIn(accountKey(refOf(rule, hold), now), hold) ?? [])
}

/** Null: the call was part of no conversation. */
function seatIn(account: AccountKey, { facts }: Hold): string | null {
  const { conversation } = facts
  return typeof conversation === 'string' ? seatOf(account, conversation) : null
}

function refOf(rule: BudgetRule, hold: Hold): AccountRef {
  return { rule, value: valueFor(rule, hold.attribution) }
}

function lineOf(rule: BudgetRule, account: AccountKey, hold: Hold, amount: bigint): HoldLine {
  const posted = hold.state === 'pending' ? null : postedOf(rule, hold, amount)
  return { account, unit: rule.unit, amount, posted }
}

function amountOf({ unit }: BudgetRule, hold: Hold): bigint {
  if (unit === 'usd') return hold.amount
  return unit === 'tokens' ? BigInt(hold.tokens) : 1n
}

function postedOf(rule: BudgetRule, hold: Hold, amount: bigint): bigint {
  if (rule.unit === 'usd') return hold.cost ?? 0n
  return rule.unit === 'concurrent' ? 0n : amount
}
