/**
 * The ledger counted again from its first entry, and the first thing in it that cannot be. Balances
 * are only ever a sum of entries, so whatever differs was changed by somebody else than Bursar.
 */
import type { Account, AccountKey } from './account.ts'
import type { LimitUnit } from './budget.ts'
import { fold } from './fold.ts'
import type { Hold, LedgerEntry } from './journal.ts'

export interface Finding {
  /** The entry at fault; null: an account or a hold that no entry explains. */
  readonly seq: number | null
  readonly subject: string
  readonly message: string
}

/** A ledger counted again. */
export interface Inspection {
  readonly entries: number
  readonly accounts: number
  readonly holds: number
  readonly openHolds: number
  /** The first bad entry first; empty: the ledger is what its entries say. */
  readonly findings: readonly Finding[]
}

/** As the API and the command print it. */
export function showInspection({ openHolds, findings, ...counts }: Inspection): {
  readonly ok: boolean
  readonly [key: string]: unknown
} {
  return { ok: findings.length === 0, ...counts, open_holds: openHolds, findings }
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
  /** Accounts of budgets that came later: their first sum is an entry of its own. */
  readonly counted: Set<AccountKey>
  /** What each stored account counts. */
  readonly units: Map<AccountKey, LimitUnit>
  /** Whether every number up to the last is an entry's. */
  readonly gapless: boolean
  seq: number
}

type Numbered = LedgerEntry & { readonly seq: number }

export function newRecount({ gapless }: Pick<Recount, 'gapless'>): Recount {
  const entries = { sums: new Map(), open: new Map(), ended: new Set<string>(), seq: 0 }
  return { ...entries, counted: new Set(), units: new Map(), gapless }
}

/** Takes the next entry in the order of writing; what is wrong with it, or null. */
export function addEntry(recount: Recount, { seq, kind, hold, lines }: Numbered): Finding | null {
  const expected = recount.seq + 1
  recount.seq = seq
  if (recount.gapless && seq !== expected) {
    return finding(expected, 'ledger', `entry ${expected} is missing: entry ${seq} follows`)
  }
  const misplaced = hold === null ? null : place(recount, kind, hold, seq)
  for (const { account, posted, pending } of lines) {
    const sum = recount.sums.get(account) ?? { posted: 0n, pending: 0n, seq }
    sum.posted += posted
    sum.pending += pending
    sum.seq = seq
    recount.sums.set(account, sum)
    if (kind === 'open') recount.counted.add(account)
    if (sum.posted < 0n || sum.pending < 0n) {
      return finding(seq, account, `after entry ${seq} (${kind}) the balance is below zero`)
    }
  }
  return misplaced
}

/** A stored balance against its entries, and its name against what it is an account of. */
export function checkAccount(recount: Recount, account: Account): Finding | null {
  const { key, budget, value, unit, period, posted, pending } = account
  recount.units.set(key, unit)
  const name = `${budget}|${period.start}${value === null ? '' : `|${value}`}`
  if (key !== name) return finding(null, key, `it is stored as the account ${name}`)
  const sum = recount.sums.get(key) ?? { posted: 0n, pending: 0n, seq: 0 }
  if (sum.posted === posted && sum.pending === pending) return null
  return finding(
    sum.seq === 0 ? null : sum.seq,
    key,
    `its entries (the last is ${sum.seq}) add up to ${sum.posted} posted and ${sum.pending} ` +
      `pending, but ${posted} and ${pending} are stored`,
  )
}

const statesAfter: Readonly<Record<LedgerEntry['kind'], readonly Hold['state'][]>> = {
  hold: ['pending'],
  settle: ['settled'],
  void: ['voided'],
  expire: ['expired'],
  adjust: ['settled', 'expired'],
  open: [],
}

/** A stored hold against its own entries, in the order of writing. Accounts are checked before. */
export function checkHold(
  { counted, units }: Recount,
  { id, state, lines, amount, cost }: Hold,
  entries: readonly Numbered[],
): Finding | null {
  const last = entries.at(-1)
  if (last === undefined)
    return finding(null, id, `it is stored as ${state}, and no entry names it`)
  const wrong = (message: string): Finding => finding(last.seq, id, message)
  if (!statesAfter[last.kind].includes(state)) {
    return wrong(`its last entry ${last.seq} is of kind ${last.kind}, but it is stored as ${state}`)
  }
  const sums = fold(entries)
  for (const line of lines) {
    const { account, unit, posted } = line
    if (unit !== units.get(account)) return wrong(`it counts ${unit} on ${account}`)
    if (unit === 'usd' && (line.amount !== amount || posted !== cost)) {
      return wrong(
        `it is stored with amount ${amount} and cost ${cost}, but with ${line.amount} and ` +
          `${posted} on ${account}`,
      )
    }
    const sum = sums.get(account) ?? { posted: 0n, pending: 0n }
    sums.delete(account)
    const pending = state === 'pending' ? line.amount : 0n
    // What a later budget counted at its start is in that entry, not in those of the hold.
    if (counted.has(account) || (sum.posted === (posted ?? 0n) && sum.pending === pending)) continue
    return wrong(
      `its entries add up to ${sum.posted} posted and ${sum.pending} pending on ${account}, but ` +
        `${posted ?? 0n} and ${pending} are stored`,
    )
  }
  const [other] = sums.keys()
  return other === undefined
    ? null
    : wrong(`its entries name ${other}, which it is not stored with`)
}

/** The sum of all reports against that of what was charged. */
export function checkSpend(told: bigint, charged: bigint): Finding | null {
  if (told === charged) return null
  return finding(null, 'spend', `reports add up to ${told}, what was charged to ${charged}`)
}

/** Entries of a hold that is not there. */
export function missingHold({ hold, seq }: Numbered): Finding {
  return finding(seq, hold ?? 'ledger', `entry ${seq} names it, but it is not stored`)
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
