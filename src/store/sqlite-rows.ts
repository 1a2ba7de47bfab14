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
import type { HoldId } from '#lib/id.ts'
import { canonicalJson, fromJson, toJson } from '#lib/json.ts'
import { holdFromRow, type HoldRow, textFromEntryLines, textFromLines } from './codec.ts'
import { headFromRow, headOf, linkAfter } from './audit-chain.ts'
import type { KnownRules, Rows } from './execute.ts'
import { type AccountLimits, SqliteAccounts } from './sqlite-accounts.ts'
import { prepared } from './sqlite-connection.ts'
import { addWrite, type Batch, type Value, type WriteName } from './sqlite-writes.ts'

const holdsKept = 50_000
const marksKept = 200_000

export class SqliteRows implements Rows, KnownRules {
  readonly #db: DatabaseSync
  readonly accounts: SqliteAccounts
  readonly #hold: StatementSync
  readonly #mark: StatementSync
  /** Pending holds, which their end will ask for. */
  readonly #pending = new Map<HoldId, Hold>()
  #overrides: Override[] | null = null
  #known: ReadonlyMap<string, string> | null = null
  #auditHead: AuditHead | null = null
  #again = false
  #batch: Batch = []
  readonly #spend: SpendChanges = new Map()
  /** By the open batch, and by the one before it, which may be under way to the disk. */
  #touched = new Map<HoldId, Hold>()
  #touchedBefore = new Map<HoldId, Hold>()
  #marks = new Set<string>()
  #marksBefore = new Set<string>()
  /** Found on disk once: a mark is never taken away. */
  readonly #everMarked = new Set<string>()

  constructor(db: DatabaseSync, limits?: AccountLimits) {
    this.#db = db
    this.accounts = new SqliteAccounts(db, limits)
    this.#hold = prepared(db, 'select * from hold where id = ?')
    this.#mark = prepared(db, 'select 1 from mark where id = ?')
  }

  /**
   * Everything before the last batch is durable, so what memory has no room for may be dropped.
   * `again`: the batch came to nothing once.
   */
  begin(again: boolean): void {
    this.#again = again
    this.accounts.begin()
    const [touched, marks] = [this.#touchedBefore, this.#marksBefore]
    this.#touchedBefore = this.#touched
    this.#marksBefore = this.#marks
    touched.clear()
    marks.clear()
    this.#touched = touched
    this.#marks = marks
    this.#spend.clear()
    this.#batch = []
  }

  /** Adds to the open batch what no rule reads back. */
  write(name: WriteName, ...values: readonly Value[]): void {
    addWrite(this.#batch, name, values)
  }

  finish(): Batch {
    this.accounts.finish((name, ...values) => this.write(name, ...values))
    for (const { hour, scope, calls, tokens, cost, presumed } of inOrder(this.#spend)) {
      const values = spendDimensions.map((dimension) => scope[dimension] ?? '')
      this.write('addSpend', hour, ...values, calls, tokens, cost, presumed)
    }
    this.#spend.clear()
    return this.#batch
  }

  /** What `finish` wrote is durable. */
  committed(): void {
    this.accounts.committed()
  }

  /** What is not durable came to nothing: what it has changed is read again. */
  forget(): void {
    this.accounts.rollback()
    for (const touched of [this.#touched, this.#touchedBefore]) {
      for (const id of touched.keys()) this.#pending.delete(id)
      touched.clear()
    }
    this.#marks.clear()
    this.#marksBefore.clear()
    this.#overrides = null
    this.#known = null
    this.#auditHead = null
  }

  account(key: AccountKey): Account | null {
    return this.accounts.get(key)
  }

  saveAccount(account: Account): void {
    this.accounts.save(account)
  }

  hold(id: HoldId): Hold | null {
    const kept = this.#kept(id)
    if (kept !== null) return kept
    const row = this.#hold.get(id)
    return row === undefined ? null : holdFromRow(row as unknown as HoldRow, this.accounts)
  }

  /**
   * Ids of new holds are new: looking each up on disk would cost as much as writing it. One that is
   * there all the same breaks its batch, and is looked up when that is tried again.
   */
  holdBefore(id: HoldId): Hold | null {
    return this.#again ? this.hold(id) : this.#kept(id)
  }

  #kept(id: HoldId): Hold | null {
    const touched = this.#touched.get(id) ?? this.#touchedBefore.get(id)
    return touched ?? this.#pending.get(id) ?? null
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
      textFromLines(hold.lines, this.accounts),
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
      textFromLines(hold.lines, this.accounts),
      JSON.stringify(hold.facts),
      hold.id,
    )
    if (hold.state !== 'pending') this.#pending.delete(hold.id)
    else if (this.#pending.has(hold.id)) this.#pending.set(hold.id, hold)
    this.#touched.set(hold.id, hold)
  }

  addEntry({ kind, hold, at, lines, overage, reason, author }: LedgerEntry): void {
    const text = textFromEntryLines(lines, this.accounts)
    const seq = this.accounts.takeEntryNo()
    this.write('addEntry', seq, kind, hold, at, text, overage, reason, author)
  }

  addSpend(change: SpendChange): void {
    noteSpend(this.#spend, change)
  }

  addAlert(alert: Alert): void {
    this.write('addAlert', alert.id, alert.at, toJson(alert))
  }

  overrides(): readonly Override[] {
    this.#overrides ??= this.#db
      .prepare('select json from override')
      .all()
      .map(({ json }) => fromJson(String(json)) as Override)
      .filter(({ state }) => state === 'approved')
    return this.#overrides
  }

  isMarked(id: string): boolean {
    if (this.#marks.has(id) || this.#marksBefore.has(id) || this.#everMarked.has(id)) return true
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
    const others = this.overrides().filter((other) => other.id !== id)
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

  /** A batch that is said to have failed, and has reached the file, has made its changes. */
  hasAudit(audit: AuditRow): boolean {
    if (!this.#again) return false
    const row = this.#db.prepare('select json from audit where id = ?').get(audit.id)
    return row?.json === canonicalJson(audit)
  }

  #keptAuditHead(): AuditHead {
    const row = this.#db.prepare('select * from audit_head').get()
    if (row !== undefined) return headFromRow(row)
    const earlier = this.#db.prepare('select json from audit order by seq')
    return headOf(earlier.all().map(({ json }) => String(json)))
  }

  /** Asked for only in a batch of its own: what is open is not in it. */
  *holdsMadeSince(at: Instant): Iterable<Hold> {
    const sql = 'select * from hold where made_at >= ? order by rowid'
    const statement = prepared(this.#db, sql)
    for (const row of statement.iterate(at))
      yield holdFromRow(row as unknown as HoldRow, this.accounts)
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
}
