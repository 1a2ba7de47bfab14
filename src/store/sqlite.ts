/** The embedded store: `node:sqlite`, one writer in a thread of its own, group commit. */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Account, AccountKey } from '#core/account.ts'
import type { Alert, Notification } from '#core/alert.ts'
import type { AuditHead, AuditLink, AuditRow } from '#core/audit.ts'
import type { BudgetRule } from '#core/budget.ts'
import type { Command, Hold, LedgerEntry, Rules } from '#core/journal.ts'
import type { VirtualKey } from '#core/key.ts'
import type { BookedOutcome, OutcomeQuery } from '#core/outcome.ts'
import type { ObservedCall, ObservedRow } from '#core/observed.ts'
import type { Override } from '#core/override.ts'
import type { ControlRecord, RecordKind } from '#core/record.ts'
import type { SpendQuery, SpendRow } from '#core/spend.ts'
import type { Instant } from '#core/time.ts'
import type { WorkQuery, WorkRow } from '#core/work.ts'
import { assert } from '#lib/assert.ts'
import type { AlertId, BudgetId, CallId, HoldId, KeyId, OverrideId } from '#lib/id.ts'
import { fromJson } from '#lib/json.ts'
import {
  type Adopted,
  type Change,
  type HoldsQuery,
  type Outcome,
  type Store,
  StoreUnavailable,
} from '#ports/store.ts'
import { type BatchWriter, writerOnTheSpot, WriterThread } from './batch-writer.ts'
import {
  type AccountRow,
  entryFromRow,
  type EntryRow,
  holdFromRow,
  type HoldRow,
  notificationFromRow,
  notificationValues,
  recordFromRow,
} from './codec.ts'
import { headFromRow, linkFromRow } from './audit-chain.ts'
import { adoptRules, countHolds, execute, startSince } from './execute.ts'
import { GroupCommit } from './group-commit.ts'
import { Leases } from './leases.ts'
import type { AccountLimits } from './sqlite-accounts.ts'
import { type Lock, lock, openConnection, prepared } from './sqlite-connection.ts'
import { outcomeFromRow, outcomesSql, workFromRow, workSql, workValues } from './outcome-sql.ts'
import { observedRows, observedSql } from './observed-sql.ts'
import { observedAtOnce, observeWith, settledWith } from './sqlite-observed.ts'
import { spendRows, spendSql } from './spend-sql.ts'
import { writeChange, writeRecord } from './sqlite-changes.ts'
import { SqliteRows } from './sqlite-rows.ts'
import { sqliteTransaction } from './sqlite-transaction.ts'
import { SqliteWriter } from './sqlite-writer.ts'

export interface SqliteOptions extends AccountLimits {
  /** A file, or `:memory:`. */
  readonly path: string
  readonly onCommit?: (jobs: number) => void
}

type Row = Record<string, unknown>
/** Statements, prepared once: a handful, and those of reports in their variants. */
const readsKept = 100

export class SqliteStore implements Store {
  readonly kind = 'sqlite'
  readonly shared = false
  readonly #lock: Lock | null
  readonly #commits: GroupCommit<null>
  /** Reads what is committed. Writing is the writer's alone. */
  readonly #db: DatabaseSync
  readonly #reads = new Map<string, StatementSync>()
  readonly #rows: SqliteRows
  readonly #writer: BatchWriter
  readonly #ask = (sql: string, ...args: (string | number)[]) => this.#all(sql, ...args)
  readonly #leases = new Leases()

  constructor({ path, onCommit, ...limits }: SqliteOptions) {
    const inMemory = path === ':memory:'
    this.#lock = inMemory ? null : lock(`${path}.lock`)
    let opened: DatabaseSync | null = null
    try {
      opened = openConnection(path)
      this.#db = opened
      this.#rows = new SqliteRows(this.#db, limits)
      // What rows lack is read now, and what makes no sense is refused now.
      this.#rows.begin(false)
    } catch (error) {
      opened?.close()
      this.#lock?.release()
      throw error
    }
    this.#writer = inMemory
      ? writerOnTheSpot(new SqliteWriter(path, this.#db))
      : new WriterThread(path)
    this.#commits = new GroupCommit(sqliteTransaction(this.#rows, this.#writer), onCommit)
  }

  run(command: Command, now: Instant, rules: Rules): Promise<Outcome> {
    return this.#commits.add(null, () => execute(this.#rows, command, now, rules))
  }

  adopt(rules: readonly BudgetRule[], now: Instant): Promise<Adopted> {
    // It reads holds by their time, which the rows in memory cannot answer.
    return this.#commits.add(null, () => adoptRules(this.#rows, rules, now), true)
  }

  catchUp(rules: readonly BudgetRule[], since: Instant, now: Instant): Promise<readonly Alert[]> {
    const starts = rules.map((rule) => startSince(rule, since, now))
    return this.#commits.add(null, () => countHolds(this.#rows, starts, now), true)
  }

  async account(key: AccountKey): Promise<Account | null> {
    return this.#read(() => this.#rows.accounts.durable(key))
  }

  async accountsAt(at: Instant, budget?: BudgetId): Promise<readonly Account[]> {
    const rows = this.#all(
      `select * from account where period_start <= ?1 and ?1 < period_end
       and (budget = ?2 or ?2 is null and (period_start > 0 or unit = 'concurrent'))
       order by key`,
      at,
      budget ?? null,
    ) as unknown as AccountRow[]
    return this.#read(() => this.#rows.accounts.durableFromRows(rows))
  }

  async dearest(budget: BudgetId, start: Instant, limit: number): Promise<readonly Account[]> {
    const sql = `select * from account where budget = ? and period_start = ?
                 order by posted desc, key limit ?`
    const rows = this.#all(sql, budget, start, limit) as unknown as AccountRow[]
    return this.#read(() => this.#rows.accounts.dearest(rows, budget, start, limit))
  }

  async entries(after: number, limit: number): Promise<readonly (LedgerEntry & { seq: number })[]> {
    const rows = this.#all('select * from entry where seq > ? order by seq limit ?', after, limit)
    return rows.map((row) => entryFromRow(row as unknown as EntryRow, this.#rows.accounts))
  }

  async hold(id: HoldId): Promise<Hold | null> {
    return this.#holds('where id = ?', id)[0] ?? null
  }

  async holdsOf(call: CallId): Promise<readonly Hold[]> {
    return this.#holds('where call = ? order by rowid', call)
  }

  async recentHolds(limit: number): Promise<readonly Hold[]> {
    return this.#holds('order by rowid desc limit ?', limit)
  }

  async holdsMade({ from, to, after, limit }: HoldsQuery): Promise<readonly Hold[]> {
    const [at, id] = after === null ? [from, ''] : [after.madeAt, after.id]
    return this.#holds(
      `where made_at >= ? and made_at < ? and (made_at, id) > (?, ?)
       order by made_at, id limit ?`,
      at,
      to,
      at,
      id,
      limit,
    )
  }

  async overdue(now: Instant, limit: number): Promise<readonly Hold[]> {
    return this.#holds(
      `where state = 'pending' and expires_at <= ? order by expires_at, id limit ?`,
      now,
      limit,
    )
  }

  async openHolds(): Promise<number> {
    const [row] = this.#all(`select count(*) as n from hold where state = 'pending'`)
    return Number(row?.n)
  }

  async mark(id: string): Promise<string | null> {
    const [row] = this.#all('select value from mark where id = ?', id)
    return row === undefined ? null : String(row.value)
  }

  async spend(query: SpendQuery): Promise<readonly SpendRow[]> {
    const sql = spendSql('spend', query, ['?', '?'])
    return spendRows(this.#all(sql, query.from, query.to), query)
  }

  async observe(calls: readonly ObservedCall[]): Promise<void> {
    const values = await observeWith(this.#ask, calls)
    for (let i = 0; i < values.length; i += observedAtOnce) {
      await this.#commits.add(null, () => {
        const some = values.slice(i, i + observedAtOnce)
        for (const one of some) this.#rows.write('addObservation', ...one)
      })
    }
  }

  async settleObserved(since: Instant): Promise<number> {
    const ids = await settledWith(this.#ask, since)
    if (ids.length === 0) return 0
    await this.#commits.add(null, () => {
      for (const id of ids) this.#rows.write('observationKnown', id)
    })
    return ids.length
  }

  async observed(query: SpendQuery): Promise<readonly ObservedRow[]> {
    return observedRows(
      this.#all(observedSql('observation', query, ['?', '?']), query.from, query.to),
      query,
    )
  }

  change(change: Change, audit: AuditRow): Promise<void> {
    return this.#commits.add(null, () => writeChange(this.#rows, change, audit))
  }

  async work(query: WorkQuery): Promise<readonly WorkRow[]> {
    const sql = workSql('hold', inSqlite, ['?1', '?2', '?3', '?4', '?5'])
    return this.#all(sql, ...workValues(query)).map(workFromRow)
  }

  async outcomeEvent(id: string): Promise<BookedOutcome | null> {
    const rows = this.#all('select seq, json from outcome_event where id = ?', id)
    return rows.map(outcomeFromRow)[0] ?? null
  }

  async outcomeEvents(query: OutcomeQuery): Promise<readonly BookedOutcome[]> {
    const { type, from, to, after, limit } = query
    const sql = outcomesSql('outcome_event', ['?1', '?2', '?3', '?4', '?5'])
    return this.#all(sql, type ?? '', from, to, after, limit).map(outcomeFromRow)
  }

  async keys(): Promise<readonly VirtualKey[]> {
    return this.#json<VirtualKey>('select json from virtual_key order by rowid')
  }

  async key(id: KeyId): Promise<VirtualKey | null> {
    return this.#json<VirtualKey>('select json from virtual_key where id = ?', id)[0] ?? null
  }

  async keyByHash(hash: string): Promise<VirtualKey | null> {
    return this.#json<VirtualKey>('select json from virtual_key where hash = ?', hash)[0] ?? null
  }

  async override(id: OverrideId): Promise<Override | null> {
    return this.#json<Override>('select json from override where id = ?', id)[0] ?? null
  }

  async overrides(): Promise<readonly Override[]> {
    return this.#json<Override>('select json from override order by rowid')
  }

  async records(kind: RecordKind): Promise<readonly ControlRecord[]> {
    const sql = `select id, json from record where kind = ? and json <> 'null' order by rowid`
    return this.#all(sql, kind).map((row) => recordFromRow(kind, row))
  }

  async record(kind: RecordKind, id: string): Promise<ControlRecord | null> {
    const sql = `select id, json from record where kind = ? and id = ? and json <> 'null'`
    const [row] = this.#all(sql, kind, id)
    return row === undefined ? null : recordFromRow(kind, row)
  }

  putRecord(record: ControlRecord): Promise<void> {
    return this.#commits.add(null, () => writeRecord(this.#rows, record))
  }

  async audit(limit: number): Promise<readonly AuditRow[]> {
    return this.#json<AuditRow>('select json from audit order by seq desc limit ?', limit)
  }

  async auditLinks(after: number, limit: number): Promise<readonly AuditLink[]> {
    const sql = 'select * from audit where seq > ? order by seq limit ?'
    return this.#all(sql, after, limit).map(linkFromRow)
  }

  async auditHead(): Promise<AuditHead | null> {
    return this.#all('select * from audit_head').map(headFromRow)[0] ?? null
  }

  raise(alert: Alert): Promise<void> {
    return this.#commits.add(null, () => this.#rows.addAlert(alert))
  }

  async alerts(limit: number): Promise<readonly Alert[]> {
    return this.#json<Alert>('select json from alert order by seq desc limit ?', limit)
  }

  async unrouted(limit: number): Promise<readonly Alert[]> {
    return this.#json<Alert>('select json from alert where routed = 0 order by seq limit ?', limit)
  }

  route(alert: AlertId, notifications: readonly Notification[]): Promise<void> {
    return this.#commits.add(null, () => {
      this.#rows.write('alertRouted', alert)
      for (const one of notifications)
        this.#rows.write('addNotification', ...notificationValues(one))
    })
  }

  async dueChannels(now: Instant): Promise<readonly string[]> {
    const sql = `select distinct channel from notification
                 where state = 'waiting' and next_at <= ? order by channel`
    return this.#all(sql, now).map(({ channel }) => String(channel))
  }

  async takeDue(
    now: Instant,
    limit: number,
    until: Instant,
    channel: string,
  ): Promise<readonly (Notification & { of: Alert })[]> {
    const due = this.#all(
      `select n.*, a.json from notification n join alert a on a.id = n.alert
       where n.state = 'waiting' and n.next_at <= ? and n.channel = ?
       order by n.next_at, a.seq limit ?`,
      now,
      channel,
      limit,
    ).map((row) => ({
      ...notificationFromRow(row),
      nextAt: until,
      of: fromJson(String(row.json)) as Alert,
    }))
    await Promise.all(due.map((one) => this.saveNotification(one)))
    return due
  }

  saveNotification(notification: Notification): Promise<void> {
    return this.#commits.add(null, () =>
      this.#rows.write('putNotification', ...notificationValues(notification)),
    )
  }

  async notifications(limit: number): Promise<readonly Notification[]> {
    return this.#all('select * from notification order by rowid desc limit ?', limit).map(
      notificationFromRow,
    )
  }

  async lease(name: string, holder: string, now: Instant, until: Instant): Promise<boolean> {
    return this.#leases.take(name, holder, now, until)
  }

  /** The lock keeps every other process out. */
  async watch(): Promise<void> {}

  async announceConfig(): Promise<void> {}

  /** A file beside the ledger, so that a copy of the ledger alone opens nothing. */
  async installationSecret(): Promise<null> {
    return null
  }

  async close(): Promise<void> {
    await this.#commits.drained()
    // Should this fail, the next start reads what is missing from the entries.
    await this.#commits.add(null, () => this.#rows.accounts.carryAll()).catch(() => {})
    await this.#writer.close()
    if (this.#db.isOpen) this.#db.close()
    this.#lock?.release()
  }

  #holds(clause: string, ...args: (string | number)[]): readonly Hold[] {
    return this.#all(`select * from hold ${clause}`, ...args).map((row) =>
      holdFromRow(row as unknown as HoldRow, this.#rows.accounts),
    )
  }

  #json<Value>(sql: string, ...args: (string | number)[]): Value[] {
    return this.#all(sql, ...args).map(({ json }) => {
      assert(typeof json === 'string', 'the json column is text')
      return fromJson(json) as Value
    })
  }

  #all(sql: string, ...args: (string | number | null)[]): Row[] {
    return this.#read(() => {
      let statement = this.#reads.get(sql)
      if (statement === undefined) {
        statement = prepared(this.#db, sql)
        if (this.#reads.size >= readsKept) this.#reads.clear()
        this.#reads.set(sql, statement)
      }
      return statement.all(...args) as Row[]
    })
  }

  #read<Value>(work: () => Value): Value {
    try {
      return work()
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      throw new StoreUnavailable(reason, { cause: error })
    }
  }
}

const inSqlite = { fact: (name: string) => `facts ->> '${name}'`, id: 'id' }
