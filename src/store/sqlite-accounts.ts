/**
 * The embedded ledger's accounts: in memory as they stand, on disk as their rows have been written.
 * What only a row tells (stages, a pace, the limit it was touched with) is written with the batch
 * that changed it. A balance is in its entries already: its row follows, once for thousands of
 * calls (see `sqlite-behind.ts`).
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { type Account, type AccountKey, dearestOf } from '#core/account.ts'
import { hasPace } from '#core/fold.ts'
import type { Instant } from '#core/time.ts'
import { assert } from '#lib/assert.ts'
import type { BudgetId } from '#lib/id.ts'
import {
  accountFromRow,
  type AccountRow,
  type Numbers,
  textFromRecent,
  textFromThrottle,
} from './codec.ts'
import { accountOf, type Counters, countersAndBehind } from './sqlite-behind.ts'
import { prepared } from './sqlite-connection.ts'
import type { Value, WriteName } from './sqlite-writes.ts'

interface Kept {
  readonly no: bigint
  /** The number as lines have it. */
  readonly digits: string
  account: Account
  /** As it is after the last batch that is durable; null: made since. */
  durable: Account | null
  /** As the batch has it that is under way to the disk; null: that has not changed it. */
  sent: Account | null
  /** The first entry that its row lacks; null: none. */
  behindSince: number | null
  /** Which was asked for after it the last time. */
  next: Kept | null
  /** The batch that made it came to nothing. */
  isGone: boolean
}

/** The numbers that a batch gives away. */
interface Given {
  readonly nextNo: bigint
  readonly lastEntry: number
}

/** The batch under way to the disk, and what becomes true of rows once it is durable. */
interface Plan {
  readonly changed: ReadonlySet<Kept>
  readonly before: Given
  readonly lastEntry: number
  /** The file's version, where the batch has no entry to be known by. */
  readonly fileBefore: unknown
  readonly written: Kept[]
  readonly leftBehind: Kept[]
  carriedUpTo: number
}

type Write = (name: WriteName, ...values: readonly Value[]) => void

export interface AccountLimits {
  /** Entries that a row may lack. A start reads as many: of 20,000 in 0.1 to 0.4 seconds. */
  readonly behindMax?: number
  /** Beyond as many accounts memory drops them all, between two batches. */
  readonly accountsMax?: number
}

export class SqliteAccounts implements Numbers {
  readonly #db: DatabaseSync
  readonly #limits: Required<AccountLimits>
  readonly #byKey: StatementSync
  readonly #byNo: StatementSync
  readonly #dataVersion: StatementSync
  readonly #latest: StatementSync
  readonly #accounts = new Map<AccountKey, Kept>()
  readonly #keys = new Map<bigint, AccountKey>()
  /** Asked for last. */
  #last: Kept | null = null
  /** By the open batch. */
  #changed = new Set<Kept>()
  /** The longest behind first. */
  readonly #behind = new Set<Kept>()
  #carryAll = false
  /** Null: what memory holds is not yet what the file says. */
  #counters: Counters | null = null
  /** As the open batch found them. */
  #before: Given = { nextNo: 1n, lastEntry: 0 }
  #plan: Plan | null = null

  constructor(db: DatabaseSync, { behindMax = 20_000, accountsMax = 200_000 }: AccountLimits = {}) {
    this.#db = db
    this.#limits = { behindMax, accountsMax }
    this.#byKey = prepared(db, 'select * from account where key = ?')
    this.#byNo = prepared(db, 'select * from account where no = ?')
    this.#dataVersion = db.prepare('pragma data_version')
    this.#latest = db.prepare('select coalesce(max(seq), 0) as seq from entry')
  }

  /** Whether a batch may begin while another is under way: what that has changed must be kept. */
  hasRoom(): boolean {
    return this.#accounts.size <= this.#limits.accountsMax
  }

  /** Without room, everything before this is durable, so what is kept may be dropped. */
  begin(): void {
    const { nextNo, lastEntry } = this.#known()
    this.#before = { nextNo, lastEntry }
    this.#carryAll = false
    if (this.hasRoom()) return
    assert(this.#plan === null, 'a batch without room waits for the one before it')
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
    return shown(kept, this.#hasLanded())
  }

  /** The same, of rows that were read anyway. */
  durableFromRows(rows: readonly AccountRow[]): readonly Account[] {
    this.#known()
    const hasLanded = this.#hasLanded()
    return rows.map((row) => {
      const kept = this.#accounts.get(row.key as AccountKey)
      return (kept === undefined ? null : shown(kept, hasLanded)) ?? accountFromRow(row)
    })
  }

  /** The dearest, of rows that were read as such and of those that may be, and whose are behind. */
  dearest(
    rows: readonly AccountRow[],
    budget: BudgetId,
    start: Instant,
    limit: number,
  ): readonly Account[] {
    const hasLanded = this.#hasLanded()
    const behind = [...this.#behind].flatMap((kept) => shown(kept, hasLanded) ?? [])
    const own = behind.filter((one) => one.budget === budget && one.period.start === start)
    return dearestOf([...this.durableFromRows(rows), ...own], limit)
  }

  /**
   * The batch under way is durable, though nobody has been told yet: who has read its entries must
   * not be shown balances without them.
   */
  #hasLanded(): boolean {
    return this.#plan !== null && this.#isInFile(this.#plan)
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
    assert(this.#plan === null, 'one batch at a time is under way')
    const { lastEntry } = this.#known()
    const [changed, before] = [this.#changed, this.#before]
    const fileBefore = lastEntry === before.lastEntry ? this.#fileVersion() : null
    const end = { written: [], leftBehind: [], carriedUpTo: lastEntry }
    const plan: Plan = { changed, before, lastEntry, fileBefore, ...end }
    for (const kept of changed) {
      kept.sent = kept.account
      if (tellsMoreThanEntries(kept)) {
        writeRow(kept, lastEntry, write)
        plan.written.push(kept)
      } else if (kept.behindSince === null) plan.leftBehind.push(kept)
    }
    this.#carry(plan, write)
    this.#changed = new Set()
    this.#plan = plan
  }

  /** What `finish` wrote is durable. */
  committed(): void {
    const plan = this.#plan
    assert(plan !== null, 'a batch is finished before it is durable')
    for (const kept of plan.changed) {
      kept.durable = kept.sent
      kept.sent = null
    }
    for (const kept of plan.leftBehind) {
      kept.behindSince = plan.before.lastEntry + 1
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
   * What is not durable came to nothing, and memory is as it was before it; or nobody knows,
   * because something has reached the file: then nothing kept in memory can be trusted.
   */
  rollback(): void {
    const plan = this.#plan
    if (this.#counters !== null && (plan === null || this.#isLost(plan))) {
      Object.assign(this.#counters, plan?.before ?? this.#before)
      for (const kept of plan?.changed ?? []) this.#takeBack(kept)
      for (const kept of this.#changed) this.#takeBack(kept)
    } else {
      this.#drop()
      this.#behind.clear()
      this.#counters = null
    }
    this.#changed.clear()
    this.#plan = null
  }

  #takeBack(kept: Kept): void {
    kept.sent = null
    if (kept.durable === null) this.#remove(kept)
    else kept.account = kept.durable
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
  #carry(plan: Plan, write: Write): void {
    const { lastEntry } = plan
    const latest = this.#carryAll ? lastEntry : lastEntry - this.#limits.behindMax
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
    if (plan.carriedUpTo !== this.#known().carriedUpTo) write('carriedUpTo', plan.carriedUpTo)
  }

  /** What is behind and what the open batch leaves so, each with the first entry it lacks. */
  *#lacking({ leftBehind, before }: Plan): Iterable<readonly [Kept, number]> {
    const first = before.lastEntry + 1
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
      sent: null,
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
    const { counters, behind } = countersAndBehind(this.#db)
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

  #isInFile({ before, lastEntry, fileBefore }: Plan): boolean {
    if (lastEntry === before.lastEntry) return this.#fileVersion() !== fileBefore
    return Number(this.#latest.get()?.seq) >= lastEntry
  }

  #isLost(plan: Plan): boolean {
    try {
      return !this.#isInFile(plan)
    } catch {
      return false
    }
  }
}

function shown({ durable, sent }: Kept, hasLanded: boolean): Account | null {
  return hasLanded ? (sent ?? durable) : durable
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
