/**
 * Rows of the open transaction, with the hot ones kept in memory: there is one writer, this one.
 */
import type { Account, AccountKey } from '#core/account.ts'
import type { Alert } from '#core/alert.ts'
import type { Hold, LedgerEntry } from '#core/journal.ts'
import type { Override } from '#core/override.ts'
import type { Instant } from '#core/time.ts'
import { assert } from '#lib/assert.ts'
import type { BudgetId, HoldId } from '#lib/id.ts'
import {
  accountFromRow,
  type AccountRow,
  fromJson,
  holdFromRow,
  type HoldRow,
  type Numbers,
  textFromEntryLines,
  textFromLines,
  toJson,
} from './codec.ts'
import type { Rows } from './execute.ts'
import type { Statements } from './sqlite-connection.ts'

interface Kept {
  readonly no: bigint
  account: Account
}

interface Columns {
  readonly fired: string
  readonly throttle: string | null
  readonly recent: string
}

function columnsOf({ fired, throttle, recent }: Account): Columns {
  return {
    fired: fired.join(','),
    throttle: throttle === null ? null : JSON.stringify(throttle),
    recent: recent.length === 0 ? '' : JSON.stringify(recent),
  }
}

const accountsKept = 100_000
const holdsKept = 50_000

export class SqliteRows implements Rows, Numbers {
  readonly #statements: Statements
  readonly #accounts = new Map<AccountKey, Kept>()
  readonly #keys = new Map<bigint, AccountKey>()
  /** Changed in the open transaction and not written yet: many calls share one account. */
  readonly #changed = new Set<Kept>()
  /** Pending holds, which their end will ask for. */
  readonly #pending = new Map<HoldId, Hold>()
  #overrides: readonly Override[] | null = null

  constructor(statements: Statements) {
    this.#statements = statements
  }

  /** Nothing kept in memory can be trusted: the transaction that wrote it was rolled back. */
  forget(): void {
    this.#accounts.clear()
    this.#keys.clear()
    this.#changed.clear()
    this.#pending.clear()
    this.#overrides = null
  }

  forgetOverrides(): void {
    this.#overrides = null
  }

  account(key: AccountKey): Account | null {
    return this.#kept(key)?.account ?? null
  }

  accountsAt(at: Instant, budget: BudgetId | null): readonly Account[] {
    this.flush()
    const statement = this.#statements.db.prepare(
      `select * from account where period_start <= ?1 and ?1 < period_end
       and (?2 is null or budget = ?2) order by key`,
    )
    statement.setReadBigInts(true)
    return (statement.all(at, budget) as unknown as AccountRow[]).map(accountFromRow)
  }

  /** Written before the commit: an account that fifty calls change is written once. */
  saveAccount(account: Account): void {
    const { key, budget, value, unit, period, amount, posted, pending } = account
    const kept = this.#kept(key)
    if (kept === null) {
      const { fired, throttle, recent } = columnsOf(account)
      const { lastInsertRowid } = this.#statements.insertAccount.run(
        key,
        budget,
        value,
        unit,
        period.start,
        period.end,
        amount,
        posted,
        pending,
        fired,
        throttle,
        recent,
      )
      this.#keep(BigInt(lastInsertRowid), account)
      return
    }
    kept.account = account
    this.#changed.add(kept)
  }

  /** Everything `saveAccount` was told, into the open transaction. */
  flush(): void {
    for (const { no, account } of this.#changed) {
      const { amount, posted, pending } = account
      const { fired, throttle, recent } = columnsOf(account)
      this.#statements.updateAccount.run(amount, posted, pending, fired, throttle, recent, no)
    }
    this.#changed.clear()
  }

  hold(id: HoldId): Hold | null {
    const kept = this.#pending.get(id)
    if (kept !== undefined) return kept
    const row = this.#statements.hold.get(id)
    return row === undefined ? null : holdFromRow(row as unknown as HoldRow, this)
  }

  holds(clause: string, args: readonly (string | number)[]): readonly Hold[] {
    const statement = this.#statements.db.prepare(`select * from hold ${clause}`)
    statement.setReadBigInts(true)
    return (statement.all(...args) as unknown as HoldRow[]).map((row) => holdFromRow(row, this))
  }

  addHold(hold: Hold): void {
    this.#statements.addHold.run(
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
  }

  updateHold(hold: Hold): void {
    this.#statements.updateHold.run(
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
  }

  addEntry(entry: LedgerEntry): void {
    const { kind, hold, at, lines, overage, reason, author } = entry
    this.#statements.insertEntry.run(
      kind,
      hold,
      at,
      textFromEntryLines(lines, this),
      overage,
      reason,
      author,
    )
  }

  addAlert(alert: Alert): void {
    this.#statements.insertAlert.run(alert.id, alert.at, toJson(alert))
  }

  overridesOf(budgets: ReadonlySet<BudgetId>): readonly Override[] {
    this.#overrides ??= this.#statements.db
      .prepare('select json from override')
      .all()
      .map(({ json }) => fromJson(String(json)) as Override)
      .filter(({ state }) => state === 'approved')
    return this.#overrides.length === 0
      ? []
      : this.#overrides.filter(({ budget }) => budgets.has(budget))
  }

  holdsMadeSince(at: Instant): Iterable<Hold> {
    return this.holds('where made_at >= ? order by rowid', [at])
  }

  knownRules(): ReadonlyMap<string, string> {
    const rows = this.#statements.db.prepare('select * from known_rule').all()
    return new Map(rows.map(({ id, time_zone }) => [String(id), String(time_zone)]))
  }

  setKnownRules(rules: ReadonlyMap<string, string>): void {
    const { db } = this.#statements
    db.exec('delete from known_rule')
    const insert = db.prepare('insert into known_rule values (?, ?)')
    for (const [id, timeZone] of rules) insert.run(id, timeZone)
  }

  numberOf(key: AccountKey): bigint {
    const kept = this.#kept(key)
    assert(kept !== null, `no account ${key}`)
    return kept.no
  }

  keyOf(number: bigint): AccountKey {
    const known = this.#keys.get(number)
    if (known !== undefined) return known
    const row = this.#statements.accountByNo.get(number)
    assert(row !== undefined, `no account number ${number}`)
    return this.#keep(number, accountFromRow(row as unknown as AccountRow)).account.key
  }

  #kept(key: AccountKey): Kept | null {
    const kept = this.#accounts.get(key)
    if (kept !== undefined) return kept
    const row = this.#statements.accountByKey.get(key) as unknown as AccountRow | undefined
    return row === undefined ? null : this.#keep(row.no, accountFromRow(row))
  }

  #keep(no: bigint, account: Account): Kept {
    if (this.#accounts.size >= accountsKept) {
      // All are on disk then: dropping them costs a read each, and keeps memory bounded.
      this.flush()
      this.#accounts.clear()
      this.#keys.clear()
    }
    const kept = { no, account }
    this.#accounts.set(account.key, kept)
    this.#keys.set(no, account.key)
    return kept
  }
}
