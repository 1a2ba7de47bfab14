/**
 * The embedded ledger's accounts: in memory as they stand, on disk as their rows have been written.
 * What only a row tells (stages, a pace, the limit it was touched with) is written with the batch
 * that changed it. A balance is in its entries already: its row follows, once for thousands of
 * calls (see `sqlite-behind.ts`).
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Account, AccountKey } from '#core/account.ts'
import { hasPace } from '#core/fold.ts'
import { assert } from '#lib/assert.ts'
import {
  accountFromRow,
  type AccountRow,
  type Numbers,
  textFromRecent,
  textFromThrottle,
} from './codec.ts'
import { accountOf, accountsBehind, type Behind } from './sqlite-behind.ts'
import { prepared } from './sqlite-connection.ts'
import type { Value, WriteName } from './sqlite-writes.ts'

interface Kept {
  readonly no: bigint
  /** The number as lines have it. */
  readonly digits: string
  account: Account
  /** As it is after the last batch that is durable; null: the open batch made it. */
  durable: Account | null
  /** The first entry that its row lacks; null: none. */
  behindSince: number | null
  /** Which was asked for after it the last time. */
  next: Kept | null
  /** The batch that made it came to nothing. */
  isGone: boolean
}

interface Counters {
  nextNo: bigint
  lastEntry: number
  /** An entry that every row has. */
  carriedUpTo: number
}

/** What becomes true of rows once the batch that `finish` ended is durable. */
interface Plan {
  readonly written: Kept[]
  readonly leftBehind: Kept[]
  carriedUpTo: number
}

type Write = (name: WriteName, ...values: readonly Value[]) => void

const accountsKept = 200_000

/** Entries that a row may lack. A start reads as many: 0.1 to 0.4 seconds. */
const behindMax = 20_000

export class SqliteAccounts implements Numbers {
  readonly #db: DatabaseSync
  readonly #behindMax: number
  readonly #byKey: StatementSync
  readonly #byNo: StatementSync
  readonly #dataVersion: StatementSync
  readonly #accounts = new Map<AccountKey, Kept>()
  readonly #keys = new Map<bigint, AccountKey>()
  /** Asked for last. */
  #last: Kept | null = null
  /** By the batch that is not durable yet. */
  readonly #changed = new Set<Kept>()
  /** The longest behind first. */
  readonly #behind = new Set<Kept>()
  #carryAll = false
  /** Null: what memory holds is not yet what the file says. */
  #counters: Counters | null = null
  /** As the open batch found them. */
  #before: Readonly<Counters> = { nextNo: 1n, lastEntry: 0, carriedUpTo: 0 }
  #fileBefore: unknown = null
  #plan: Plan | null = null

  constructor(db: DatabaseSync, max = behindMax) {
    this.#db = db
    this.#behindMax = max
    this.#byKey = prepared(db, 'select * from account where key = ?')
    this.#byNo = prepared(db, 'select * from account where no = ?')
    this.#dataVersion = db.prepare('pragma data_version')
  }

  /** Everything before this is durable, so what memory has no room for may be dropped. */
  begin(): void {
    this.#before = { ...this.#known() }
    this.#fileBefore = this.#fileVersion()
    this.#carryAll = false
    if (this.#accounts.size <= accountsKept) return
    // What is behind is nowhere else: it is written first, and dropped by the next batch.
    if (this.#behind.size > 0) return this.carryAll()
    this.#drop()
  }

  /** The open batch writes every row that is behind. */
  carryAll(): void {
    this.#carryAll = true
  }

  get(key: AccountKey): Account | null {
    return this.#kept(key)?.account ?? null
  }

  /** Without what is not durable yet. */
  durable(key: AccountKey): Account | null {
    const kept = this.#kept(key)
    if (kept === null) return null
    return this.#hasLanded() ? kept.account : kept.durable
  }

  /** The same, of rows that were read anyway. */
  durableFromRows(rows: readonly AccountRow[]): readonly Account[] {
    this.#known()
    const hasLanded = this.#hasLanded()
    return rows.map((row) => {
      const kept = this.#accounts.get(row.key as AccountKey)
      return (hasLanded ? kept?.account : kept?.durable) ?? accountFromRow(row)
    })
  }

  /**
   * The batch under way is durable, though nobody has been told yet: who has read its entries must
   * not be shown balances without them.
   */
  #hasLanded(): boolean {
    return this.#plan !== null && this.#fileVersion() !== this.#fileBefore
  }

  save(account: Account): void {
    const kept = this.#kept(account.key) ?? this.#keep(this.#takeNo(), account, null)
    kept.account = account
    this.#changed.add(kept)
  }

  /** The number of the entry that is written next: no other may come between. */
  takeEntryNo(): number {
    const counters = this.#known()
    counters.lastEntry += 1
    return counters.lastEntry
  }

  /** Ends the open batch: an account that fifty calls change is written once, if at all. */
  finish(write: Write): void {
    const { lastEntry } = this.#known()
    const plan: Plan = { written: [], leftBehind: [], carriedUpTo: lastEntry }
    for (const kept of this.#changed) {
      if (tellsMoreThanEntries(kept)) {
        writeRow(kept, lastEntry, write)
        plan.written.push(kept)
      } else if (kept.behindSince === null) plan.leftBehind.push(kept)
    }
    this.#carry(plan, lastEntry, write)
    this.#plan = plan
  }

  /** What `finish` wrote is durable. */
  committed(): void {
    for (const kept of this.#changed) kept.durable = kept.account
    this.#changed.clear()
    const plan = this.#plan
    assert(plan !== null, 'a batch is finished before it is durable')
    for (const kept of plan.leftBehind) {
      kept.behindSince = this.#before.lastEntry + 1
      this.#behind.add(kept)
    }
    for (const kept of plan.written) {
      kept.behindSince = null
      this.#behind.delete(kept)
    }
    this.#known().carriedUpTo = plan.carriedUpTo
    this.#plan = null
  }

  /**
   * The open batch came to nothing, and memory is as it was before it; or nobody knows, because
   * something has reached the file: then nothing kept in memory can be trusted.
   */
  rollback(): void {
    if (this.#counters !== null && this.#isFileAsBefore()) {
      this.#counters = { ...this.#before }
      for (const kept of this.#changed) {
        if (kept.durable === null) this.#remove(kept)
        else kept.account = kept.durable
      }
    } else {
      this.#drop()
      this.#behind.clear()
      this.#counters = null
    }
    this.#changed.clear()
    this.#plan = null
  }

  #remove(kept: Kept): void {
    this.#accounts.delete(kept.account.key)
    this.#keys.delete(kept.no)
    kept.isGone = true
    this.#last = null
  }

  #drop(): void {
    this.#accounts.clear()
    this.#keys.clear()
    this.#last = null
  }

  numberOf(key: AccountKey): string {
    const kept = this.#kept(key)
    assert(kept !== null, 'no account', key)
    return kept.digits
  }

  keyOf(no: bigint): AccountKey {
    this.#known()
    const known = this.#keys.get(no)
    if (known !== undefined) return known
    const row = this.#byNo.get(no)
    assert(row !== undefined, 'no account has this number', no)
    return this.#keepRow(row as unknown as AccountRow).account.key
  }

  /** A few rows a batch, so that nobody waits for many. */
  #carry(plan: Plan, lastEntry: number, write: Write): void {
    const latest = this.#carryAll ? lastEntry : lastEntry - this.#behindMax
    const written = new Set(plan.written)
    for (const [kept, since] of this.#lacking(plan)) {
      if (written.has(kept)) continue
      if (since > latest) {
        plan.carriedUpTo = since - 1
        break
      }
      const { posted, pending, recent } = kept.account
      write('carryBalance', posted, pending, textFromRecent(recent), lastEntry, kept.no)
      plan.written.push(kept)
    }
    if (plan.carriedUpTo !== this.#before.carriedUpTo) write('carriedUpTo', plan.carriedUpTo)
  }

  /** What is behind and what the open batch leaves so, each with the first entry it lacks. */
  *#lacking({ leftBehind }: Plan): Iterable<readonly [Kept, number]> {
    const first = this.#before.lastEntry + 1
    for (const kept of this.#behind) yield [kept, kept.behindSince ?? first]
    for (const kept of leftBehind) yield [kept, first]
  }

  /** A call names its accounts in one order, eight times: the next is mostly where it was. */
  #kept(key: AccountKey): Kept | null {
    const last = this.#last
    const next = last?.next ?? null
    if (next !== null && next.account.key === key && !next.isGone) {
      this.#last = next
      return next
    }
    const kept = this.#found(key)
    if (last !== null) last.next = kept
    this.#last = kept
    return kept
  }

  #found(key: AccountKey): Kept | null {
    this.#known()
    const kept = this.#accounts.get(key)
    if (kept !== undefined) return kept
    const row = this.#byKey.get(key) as unknown as AccountRow | undefined
    return row === undefined ? null : this.#keepRow(row)
  }

  #keepRow(row: AccountRow): Kept {
    const account = accountFromRow(row)
    return this.#keep(row.no, account, account)
  }

  #keep(no: bigint, account: Account, durable: Account | null): Kept {
    const kept: Kept = {
      no,
      digits: String(no),
      account,
      durable,
      behindSince: null,
      next: null,
      isGone: false,
    }
    this.#accounts.set(account.key, kept)
    this.#keys.set(no, account.key)
    return kept
  }

  #takeNo(): bigint {
    const counters = this.#known()
    counters.nextNo += 1n
    return counters.nextNo - 1n
  }

  /** Reads from the file what memory must know before it answers for any account. */
  #known(): Counters {
    if (this.#counters !== null) return this.#counters
    const counters = countersOf(this.#db)
    const behind = accountsBehind(this.#db)
    refuseNonsense(counters, behind.values())
    for (const [no, own] of behind) {
      const account = accountOf(own)
      const kept = this.#keep(no, account, account)
      kept.behindSince = own.since
      this.#behind.add(kept)
    }
    this.#counters = counters
    return counters
  }

  /** Another after every commit of the writer's. */
  #fileVersion(): unknown {
    return this.#dataVersion.get()?.data_version
  }

  #isFileAsBefore(): boolean {
    try {
      return this.#fileVersion() === this.#fileBefore
    } catch {
      return false
    }
  }
}

/** A balance that is less than its entries would let calls past their limit. */
function refuseNonsense({ carriedUpTo, lastEntry }: Counters, behind: Iterable<Behind>): void {
  const isKnown = carriedUpTo <= lastEntry
  const isBelowZero = ({ standing: { posted, pending } }: Behind): boolean =>
    posted < 0n || pending < 0n
  if (isKnown && ![...behind].some(isBelowZero)) return
  throw new Error(
    'the balances in the ledger do not follow from its entries: `bursar doctor` says which; ' +
      'restore a backup with `bursar restore`',
  )
}

function countersOf(db: DatabaseSync): Counters {
  const row = db
    .prepare(
      `select (select coalesce(max(no), 0) from account) as account,
         (select coalesce(max(seq), 0) from entry) as entry,
         (select up_to from carried) as carried`,
    )
    .get()
  return {
    nextNo: BigInt(Number(row?.account)) + 1n,
    lastEntry: Number(row?.entry),
    carriedUpTo: Number(row?.carried ?? Number.NaN),
  }
}

function writeRow({ no, account, durable }: Kept, asOf: number, write: Write): void {
  const { key, budget, value, unit, period, amount, posted, pending, fired } = account
  const stages = [fired.join(','), textFromThrottle(account.throttle)] as const
  const recent = textFromRecent(account.recent)
  if (durable !== null) {
    write('updateAccount', amount, posted, pending, ...stages, recent, asOf, no)
    return
  }
  const of = [no, key, budget, value, unit, period.start, period.end] as const
  write('addAccount', ...of, amount, posted, pending, ...stages, recent, asOf)
}

/** Else its entries say all that has changed. */
function tellsMoreThanEntries({ account, durable }: Kept): boolean {
  if (durable === null || hasPace(account) !== hasPace(durable)) return true
  const { amount, fired, throttle } = account
  return amount !== durable.amount || fired !== durable.fired || throttle !== durable.throttle
}
