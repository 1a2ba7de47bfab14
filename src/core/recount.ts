/**
 * The ledger counted again from its first entry, and the first thing in it that cannot be. Balances
 * are only ever a sum of entries, so whatever differs was changed by somebody else than Bursar.
 */
import type { Account, AccountKey } from './account.ts'
import type { Hold, LedgerEntry } from './journal.ts'

export interface Finding {
  /** The entry at fault; null: an account or a hold that no entry explains. */
  readonly seq: number | null
  readonly subject: string
  readonly message: string
}

interface Sum {
  posted: bigint
  pending: bigint
  /** The last entry that touched it. */
  seq: number
}

/** What the entries read so far say. */
export interface Recount {
  readonly sums: Map<AccountKey, Sum>
  readonly open: Map<string, number>
  readonly ended: Set<string>
  seq: number
}

export function newRecount(): Recount {
  return { sums: new Map(), open: new Map(), ended: new Set(), seq: 0 }
}

/** Takes the next entry in the order of writing; what is wrong with it, or null. */
export function addEntry(
  recount: Recount,
  { seq, kind, hold, lines }: LedgerEntry & { seq: number },
): Finding | null {
  const expected = recount.seq + 1
  recount.seq = seq
  if (seq !== expected) {
    return finding(expected, 'ledger', `entry ${expected} is missing: entry ${seq} follows`)
  }
  const misplaced = hold === null ? null : place(recount, kind, hold, seq)
  for (const { account, posted, pending } of lines) {
    const sum = recount.sums.get(account) ?? { posted: 0n, pending: 0n, seq }
    sum.posted += posted
    sum.pending += pending
    sum.seq = seq
    recount.sums.set(account, sum)
    if (sum.posted < 0n || sum.pending < 0n) {
      return finding(seq, account, `after entry ${seq} (${kind}) the balance is below zero`)
    }
  }
  return misplaced
}

/** A stored balance against its entries. */
export function checkAccount(recount: Recount, { key, posted, pending }: Account): Finding | null {
  const sum = recount.sums.get(key) ?? { posted: 0n, pending: 0n, seq: 0 }
  if (sum.posted === posted && sum.pending === pending) return null
  return finding(
    sum.seq === 0 ? null : sum.seq,
    key,
    `its entries (the last is ${sum.seq}) add up to ${sum.posted} posted and ${sum.pending} ` +
      `pending, but ${posted} and ${pending} are stored`,
  )
}

/** A stored hold against its entries. */
export function checkHold(recount: Recount, { id, state }: Hold): Finding | null {
  const opened = recount.open.get(id)
  const isOpen = opened !== undefined
  if (isOpen === (state === 'pending') && (isOpen || recount.ended.has(id))) return null
  const told = isOpen ? `opened by entry ${opened} and never ended` : 'ended or unknown'
  return finding(opened ?? null, id, `by its entries it is ${told}, but it is stored as ${state}`)
}

function place(
  { open, ended }: Recount,
  kind: LedgerEntry['kind'],
  hold: string,
  seq: number,
): Finding | null {
  if (kind === 'hold') {
    const again = open.has(hold) || ended.has(hold)
    open.set(hold, seq)
    return again ? finding(seq, hold, `entry ${seq} holds it a second time`) : null
  }
  if (kind === 'adjust' || kind === 'open') {
    const known = ended.has(hold)
    return known || kind === 'open' ? null : finding(seq, hold, `entry ${seq} corrects no ending`)
  }
  const wasOpen = open.delete(hold)
  ended.add(hold)
  return wasOpen ? null : finding(seq, hold, `entry ${seq} (${kind}) ends what was not open`)
}

function finding(seq: number | null, subject: string, message: string): Finding {
  return { seq, subject, message }
}
