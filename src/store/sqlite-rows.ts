/**
 * The ledger's rows as the rule sees them: what is committed, and over it what the open batch has
 * changed. Hot rows stay in memory, because there is one writer, this one.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Account, AccountKey } from '#core/account.ts'
import type { Alert } from '#core/alert.ts'
import type { AuditHead, AuditRow } from '#core/audit.ts'
import type { Hold, LedgerEntry, Mark } from '#core/journal.ts'
import type { Override } from '#core/override.ts'
import {
  inOrder,
  noteSpend,
  type SpendChange,
  type SpendChanges,
  spendDimensions,
} from '#core/spend.ts'
import type { Instant } from '#core/time.ts'
import { assert } from '#lib/assert.ts'
import type { BudgetId, HoldId } from '#lib/id.ts'
import { fromJson, toJson } from '#lib/json.ts'
import {
  accountFromRow,
  type AccountRow,
  holdFromRow,
  type HoldRow,
  type Numbers,
  textFromEntryLines,
  textFromLines,
  textFromRecent,
} from './codec.ts'
import { headFromRow, headOf, linkAfter } from './audit-chain.ts'
import type { KnownRules, Rows } from './execute.ts'
import { addWrite, type Batch, type Value, type WriteName } from './sqlite-writes.ts'

interface Kept {
  readonly no: bigint
  /** The number as lines have it. */
  readonly digits: string
  account: Account
  /** As it stands on disk, or will once the open batch does. */
  written: Account
}

const accountsKept = 200_000
const holdsKept = 50_000
const marksKept = 200_000

export class SqliteRows implements Rows, KnownRules, Numbers {
  readonly #db: DatabaseSync
  readonly #accountByKey: StatementSync
  readonly #accountByNo: StatementSync
  readonly #hold: StatementSync
  readonly #mark: StatementSync
  readonly #accounts = new Map<AccountKey, Kept>()
  readonly #keys = new Map<bigint, AccountKey>()
  /** Pending holds, which their end will ask for. */
  readonly #pending = new Map<HoldId, Hold>()
  #overrides: Override[] | null = null
  #known: ReadonlyMap<string, string> | null = null
  #nextNo: bigint | null = null
  #auditHead: AuditHead | null = null
  #again = false
  // Of the open batch: written accounts (many calls share one) and changed holds.
  #batch: Batch = []
  readonly #spend: SpendChanges = new Map()
  readonly #changed = new Set<Kept>()
  readonly #touched = new Map<HoldId, Hold>()
  readonly #marks = new Set<string>()
  /** Found on disk once: a mark is never taken away. */
  readonly #everMarked = new Set<string>()

  constructor(db: DatabaseSync) {
    const prepare = (sql: string): StatementSync => {
      const statement = db.prepare(sql)
      statement.setReadBigInts(true)
      return statement
    }
    this.#db = db
    this.#accountByKey = prepare('select * from account where key = ?')
    this.#accountByNo = prepare('select * from account where no = ?')
    this.#hold = prepare('select * from hold where id = ?')
    this.#mark = prepare('select 1 from mark where id = ?')
  }

  /**
   * Everything before this is committed, so what memory has no room for may be dropped. `again`:
   * the batch came to nothing once.
   */
  begin(again: boolean): void {
    this.#again = again
    if (this.#accounts.size > accountsKept) {
      this.#accounts.clear()
      this.#keys.clear()
    }
    this.#touched.clear()
    this.#marks.clear()
    this.#spend.clear()
    this.#batch = []
  }

  /** Adds to the open batch what no rule reads back. */
  write(name: WriteName, ...values: readonly Value[]): void {
    addWrite(this.#batch, name, ...values)
  }

  /** Accounts last: one that fifty calls change is written once. */
  finish(): Batch {
    for (const kept of this.#changed) {
      const { no, account, written } = kept
      kept.written = account
      if (differsByBalance(account, written)) {
        this.write('updateBalance', account.posted, account.pending, no)
        continue
      }
      const { amount, posted, pending, fired, throttle, recent } = account
      this.write(
        'updateAccount',
        amount,
        posted,
        pending,
        fired.join(','),
        throttle === null ? null : JSON.stringify(throttle),
        textFromRecent(recent),
        no,
      )
    }
    this.#changed.clear()
    for (const { hour, scope, calls, tokens, cost, presumed } of inOrder(this.#spend)) {
      const values = spendDimensions.map((dimension) => scope[dimension] ?? '')
      this.write('addSpend', hour, ...values, calls, tokens, cost, presumed)
    }
    this.#spend.clear()
    return this.#batch
  }

  /** Nothing kept in memory can be trusted: the batch that wrote it came to nothing. */
  forget(): void {
    this.#accounts.clear()
    this.#keys.clear()
    this.#changed.clear()
    this.#pending.clear()
    this.#touched.clear()
    this.#marks.clear()
    this.#overrides = null
    this.#known = null
    this.#nextNo = null
    this.#auditHead = null
  }

  account(key: AccountKey): Account | null {
    return this.#kept(key)?.account ?? null
  }

  saveAccount(account: Account): void {
    const kept = this.#kept(account.key)
    if (kept !== null) {
      kept.account = account
      this.#changed.add(kept)
      return
    }
    const { key, budget, value, unit, period, amount, posted, pending, fired, throttle } = account
    const no = this.#takeNo()
    this.write(
      'addAccount',
      no,
      key,
      budget,
      value,
      unit,
      period.start,
      period.end,
      amount,
      posted,
      pending,
      fired.join(','),
      throttle === null ? null : JSON.stringify(throttle),
      textFromRecent(account.recent),
    )
    this.#keep(no, account)
  }

  hold(id: HoldId): Hold | null {
    const kept = this.#touched.get(id) ?? this.#pending.get(id)
    if (kept !== undefined) return kept
    const row = this.#hold.get(id)
    return row === undefined ? null : holdFromRow(row as unknown as HoldRow, this)
  }

  /**
   * Ids of new holds are new: looking each up on disk would cost as much as writing it. One that is
   * there all the same breaks its batch, and is looked up when that is tried again.
   */
  holdBefore(id: HoldId): Hold | null {
    return this.#again ? this.hold(id) : (this.#touched.get(id) ?? this.#pending.get(id) ?? null)
  }

  addHold(hold: Hold): void {
    this.write(
      'addHold',
      hold.id,
      hold.call,
      hold.state,
      hold.madeAt,
      hold.expiresAt,
      hold.endedAt,
      hold.amount,
      hold.outputCap,
      hold.tokens,
      hold.cost,
      hold.basis,
      textFromLines(hold.lines, this),
      JSON.stringify(hold.attribution),
      JSON.stringify(hold.facts),
    )
    if (this.#pending.size < holdsKept) this.#pending.set(hold.id, hold)
    this.#touched.set(hold.id, hold)
  }

  updateHold(hold: Hold): void {
    this.write(
      'updateHold',
      hold.state,
      hold.endedAt,
      hold.tokens,
      hold.cost,
      hold.basis,
      textFromLines(hold.lines, this),
      JSON.stringify(hold.facts),
      hold.id,
    )
    if (hold.state !== 'pending') this.#pending.delete(hold.id)
    else if (this.#pending.has(hold.id)) this.#pending.set(hold.id, hold)
    this.#touched.set(hold.id, hold)
  }

  addEntry({ kind, hold, at, lines, overage, reason, author }: LedgerEntry): void {
    const text = textFromEntryLines(lines, this)
    this.write('addEntry', kind, hold, at, text, overage, reason, author)
  }

  addSpend(change: SpendChange): void {
    noteSpend(this.#spend, change)
  }

  addAlert(alert: Alert): void {
    this.write('addAlert', alert.id, alert.at, toJson(alert))
  }

  overridesOf(budgets: ReadonlySet<BudgetId>): readonly Override[] {
    const approved = this.#approved()
    return approved.length === 0 ? approved : approved.filter(({ budget }) => budgets.has(budget))
  }

  isMarked(id: string): boolean {
    if (this.#marks.has(id) || this.#everMarked.has(id)) return true
    if (this.#mark.get(id) === undefined) return false
    if (this.#everMarked.size >= marksKept) this.#everMarked.clear()
    this.#everMarked.add(id)
    return true
  }

  addMark({ id, value }: Mark): void {
    this.#marks.add(id)
    this.write('addMark', id, value)
  }

  putOverride(override: Override): void {
    const { id, budget } = override
    const others = this.#approved().filter((other) => other.id !== id)
    this.#overrides = override.state === 'approved' ? [...others, override] : others
    this.write('putOverride', id, budget, toJson(override))
  }

  addAudit(audit: AuditRow): void {
    const before = this.#auditHead ?? this.#keptAuditHead()
    const { json, head } = linkAfter(before, audit)
    this.write('addAudit', audit.id, audit.at, json, before.hash, head.hash)
    this.write('putAuditHead', head.rows, head.hash)
    this.#auditHead = head
  }

  #keptAuditHead(): AuditHead {
    const row = this.#db.prepare('select * from audit_head').get()
    if (row !== undefined) return headFromRow(row)
    const earlier = this.#db.prepare('select json from audit order by seq')
    return headOf(earlier.all().map(({ json }) => String(json)))
  }

  /** Asked for only in a batch of its own: what is open is not in it. */
  *holdsMadeSince(at: Instant): Iterable<Hold> {
    const statement = this.#db.prepare('select * from hold where made_at >= ? order by rowid')
    statement.setReadBigInts(true)
    for (const row of statement.iterate(at)) yield holdFromRow(row as unknown as HoldRow, this)
  }

  knownRules(): ReadonlyMap<string, string> {
    this.#known ??= new Map(
      this.#db
        .prepare('select id, time_zone from known_rule')
        .all()
        .map(({ id, time_zone }) => [String(id), String(time_zone)]),
    )
    return this.#known
  }

  setKnownRules(rules: ReadonlyMap<string, string>): void {
    this.#known = rules
    this.write('forgetRules')
    for (const [id, timeZone] of rules) this.write('knowRule', id, timeZone)
  }

  numberOf(key: AccountKey): string {
    const kept = this.#kept(key)
    assert(kept !== null, `no account ${key}`)
    return kept.digits
  }

  keyOf(number: bigint): AccountKey {
    const known = this.#keys.get(number)
    if (known !== undefined) return known
    const row = this.#accountByNo.get(number)
    assert(row !== undefined, `no account number ${number}`)
    return this.#keep(number, accountFromRow(row as unknown as AccountRow)).account.key
  }

  #approved(): readonly Override[] {
    this.#overrides ??= this.#db
      .prepare('select json from override')
      .all()
      .map(({ json }) => fromJson(String(json)) as Override)
      .filter(({ state }) => state === 'approved')
    return this.#overrides
  }

  #kept(key: AccountKey): Kept | null {
    const kept = this.#accounts.get(key)
    if (kept !== undefined) return kept
    const row = this.#accountByKey.get(key) as unknown as AccountRow | undefined
    return row === undefined ? null : this.#keep(row.no, accountFromRow(row))
  }

  #keep(no: bigint, account: Account): Kept {
    const kept = { no, digits: String(no), account, written: account }
    this.#accounts.set(account.key, kept)
    this.#keys.set(no, account.key)
    return kept
  }

  #takeNo(): bigint {
    this.#nextNo ??= BigInt(
      String(this.#db.prepare('select coalesce(max(no), 0) + 1 as n from account').get()?.n),
    )
    const no = this.#nextNo
    this.#nextNo += 1n
    return no
  }
}

/** Most of the time: stages and paces change seldom, and quotas have no pace. */
function differsByBalance(a: Account, b: Account): boolean {
  const { amount, fired, throttle, recent } = a
  return amount === b.amount && fired === b.fired && throttle === b.throttle && recent === b.recent
}
