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
}

interface Counters {
  nextNo: bigint
  lastEntry: number
  /** An entry that every row has. */
  carriedUpTo: number
}

/** What a start reads. Where commit after commit fails, it is not read for each of them. */
interface AsRead {
  readonly version: string
  readonly counters: Readonly<Counters>
  readonly behind: ReadonlyMap<bigint, Behind>
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
  readonly #accounts = new Map<AccountKey, Kept>()
  readonly #keys = new Map<bigint, AccountKey>()
  /** Asked for last. */
  #last: Kept | null = null
  /** By the batch that is not durable yet. */
  readonly #changed = new Set<Kept>()
  /** The longest behind first. */
  readonly #behind = new Set<Kept>()
  /** The first entry of the open batch. */
  #firstEntry = 1
  #carryAll = false
  /** Null: what memory holds is not yet what the file says. */
  #counters: Counters | null = null
  #asRead: AsRead | null = null

  constructor(db: DatabaseSync, max = behindMax) {
    const prepare = (sql: string): StatementSync => {
      const statement = db.prepare(sql)
      statement.setReadBigInts(true)
      return statement
    }
    this.#db = db
    this.#behindMax = max
    this.#byKey = prepare('select * from account where key = ?')
    this.#byNo = prepare('select * from account where no = ?')
  }

  /** Everything before this is durable, so what memory has no room for may be dropped. */
  begin(): void {
    this.#firstEntry = this.#known().lastEntry + 1
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

  /** Without what the open batch changes. */
  durable(key: AccountKey): Account | null {
    return this.#kept(key)?.durable ?? null
  }

  /** The same, of a row that was read anyway. */
  durableFromRow(row: AccountRow): Account {
    this.#known()
    return this.#accounts.get(row.key as AccountKey)?.durable ?? accountFromRow(row)
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
    const counters = this.#known()
    for (const kept of this.#changed) {
      if (tellsMoreThanEntries(kept)) this.#writeRow(kept, counters.lastEntry, write)
      else if (kept.behindSince === null) this.#leaveBehind(kept)
    }
    this.#carry(counters, write)
  }

  /** What `finish` wrote is durable. */
  committed(): void {
    for (const kept of this.#changed) kept.durable = kept.account
    this.#changed.clear()
  }

  /** Nothing kept in memory can be trusted: the batch that wrote it came to nothing. */
  forget(): void {
    this.#drop()
    this.#changed.clear()
    this.#behind.clear()
    this.#carryAll = false
    this.#counters = null
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

  #writeRow(kept: Kept, asOf: number, write: Write): void {
    const { no, account, durable } = kept
    kept.behindSince = null
    this.#behind.delete(kept)
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

  #leaveBehind(kept: Kept): void {
    kept.behindSince = this.#firstEntry
    this.#behind.add(kept)
  }

  /** A few rows a batch, so that nobody waits for many. */
  #carry(counters: Counters, write: Write): void {
    const { lastEntry, carriedUpTo } = counters
    const latest = this.#carryAll ? lastEntry : lastEntry - this.#behindMax
    this.#carryAll = false
    counters.carriedUpTo = lastEntry
    for (const kept of this.#behind) {
      const { no, account, behindSince } = kept
      assert(behindSince !== null, 'it is behind since some entry', account.key)
      if (behindSince > latest) {
        counters.carriedUpTo = behindSince - 1
        break
      }
      const { posted, pending, recent } = account
      write('carryBalance', posted, pending, textFromRecent(recent), lastEntry, no)
      kept.behindSince = null
      this.#behind.delete(kept)
    }
    if (counters.carriedUpTo !== carriedUpTo) write('carriedUpTo', counters.carriedUpTo)
  }

  /** A call names its accounts in one order, eight times: the next is mostly where it was. */
  #kept(key: AccountKey): Kept | null {
    const last = this.#last
    const next = last?.next ?? null
    if (next !== null && next.account.key === key) {
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
    const kept: Kept = { no, digits: String(no), account, durable, behindSince: null, next: null }
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
    const version = this.#fileVersion()
    if (this.#asRead?.version !== version) {
      this.#asRead = { version, ...readFrom(this.#db) }
    }
    const { counters, behind } = this.#asRead
    for (const [no, own] of behind) {
      const account = accountOf(own)
      const kept = this.#keep(no, account, account)
      kept.behindSince = own.since
      this.#behind.add(kept)
    }
    this.#counters = { ...counters }
    return this.#counters
  }

  /** Another after every commit, whoever made it. */
  #fileVersion(): string {
    const theirs = this.#db.prepare('pragma data_version').get()?.data_version
    return `${theirs} ${this.#db.prepare('select total_changes() as n').get()?.n}`
  }
}

function readFrom(db: DatabaseSync): Pick<AsRead, 'counters' | 'behind'> {
  const row = db
    .prepare(
      `select (select coalesce(max(no), 0) from account) as account,
         (select coalesce(max(seq), 0) from entry) as entry,
         (select up_to from carried) as carried`,
    )
    .get()
  const counters = {
    nextNo: BigInt(Number(row?.account)) + 1n,
    lastEntry: Number(row?.entry),
    carriedUpTo: Number(row?.carried),
  }
  return { counters, behind: accountsBehind(db) }
}

/** Else its entries say all that has changed. */
function tellsMoreThanEntries({ account, durable }: Kept): boolean {
  if (durable === null || hasPace(account) !== hasPace(durable)) return true
  const { amount, fired, throttle } = account
  return amount !== durable.amount || fired !== durable.fired || throttle !== durable.throttle
}
