/** The shared store: any number of replicas before one PostgreSQL, and the same promise. */
import type { Pool } from 'pg'
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
import { dayMs, type SpendQuery, type SpendRow } from '#core/spend.ts'
import { type Instant, instant } from '#core/time.ts'
import type { WorkQuery, WorkRow } from '#core/work.ts'
import type { AlertId, BudgetId, CallId, HoldId, KeyId, OverrideId } from '#lib/id.ts'
import { fromJson, toJson } from '#lib/json.ts'
import type { Adopted, Change, HoldsQuery, News, Outcome, Store } from '#ports/store.ts'
import { headFromRow, linkFromRow } from '#store/audit-chain.ts'
import {
  entryFromRow,
  type EntryRow,
  holdFromRow,
  type HoldRow,
  notificationFromRow,
  recordFromRow,
} from '#store/codec.ts'
import { execute, startSince } from '#store/execute.ts'
import { outcomeFromRow, outcomesSql } from '#store/outcome-sql.ts'
import { observedRows, observedSql } from '#store/observed-sql.ts'
import { spendRows, spendSql } from '#store/spend-sql.ts'
import { accountsAt, asAccount, dearest } from './account-rows.ts'
import { adoptIn, catchUpIn } from './adopt.ts'
import {
  changeWrites,
  lockAudit,
  putNotification,
  recordWrites,
  takeDue,
  takeLease,
} from './control-rows.ts'
import { patiently, readPool, unavailable } from './connection.ts'
import { Ledger } from './ledger.ts'
import { learnNumbers, needOf, nothing } from './load.ts'
import { refuseHalfMoved } from './move-in.ts'
import { observeIn, settleIn } from './observed.ts'
import { makePartitions } from './partitions.ts'
import { AccountNumbers } from './rows.ts'
import { migrate } from './schema.ts'
import { Watch } from './watch.ts'
import { workPage } from './work.ts'

export interface PostgresOptions {
  /** `postgres://user:password@host:port/database`. */
  readonly url: string
  readonly onCommit?: (jobs: number) => void
}

type Row = Record<string, unknown>

export class PostgresStore implements Store {
  readonly kind = 'postgres'
  readonly shared = true
  readonly #url: string
  readonly #reads: Pool
  readonly #numbers = new AccountNumbers()
  readonly #ledger: Ledger
  readonly #watch: Watch
  /** Of the rules that it has adopted last; null before the first. */
  #epoch: number | null = null
  readonly #daily: NodeJS.Timeout
  #observing: Promise<unknown> = Promise.resolve()

  private constructor({ url, onCommit }: PostgresOptions) {
    this.#url = url
    this.#reads = readPool(url)
    this.#ledger = new Ledger(url, this.#numbers, onCommit)
    this.#watch = new Watch(url)
    this.#daily = setInterval(() => void this.#makePartitions(), dayMs)
    this.#daily.unref()
  }

  /** Migrates what is older. Rejects where the database cannot be reached or is newer. */
  static async open(options: PostgresOptions): Promise<PostgresStore> {
    await patiently(options.url, async (client) => {
      await migrate(client)
      await refuseHalfMoved(client)
      await makePartitions(client, instant(Date.now()))
    })
    return new PostgresStore(options)
  }

  run(command: Command, now: Instant, rules: Rules): Promise<Outcome> {
    return this.#ledger.add(needOf(command, now), (rows) => execute(rows, command, now, rules))
  }

  adopt(rules: readonly BudgetRule[], now: Instant): Promise<Adopted> {
    return patiently(this.#url, async (client) => {
      const { epoch, ...adopted } = await adoptIn(client, this.#numbers, rules, now, this.#epoch)
      this.#epoch = epoch
      return adopted
    })
  }

  async catchUp(
    rules: readonly BudgetRule[],
    since: Instant,
    now: Instant,
  ): Promise<readonly Alert[]> {
    // Behind what was asked for before, or another connection would not see it.
    await this.#ledger.add(nothing, () => {})
    const starts = rules.map((rule) => startSince(rule, since, now))
    return patiently(this.#url, (client) => catchUpIn(client, this.#numbers, starts, now))
  }

  async account(key: AccountKey): Promise<Account | null> {
    const rows = await this.#all('select * from bursar.account where key = $1', key)
    return rows.map(asAccount)[0] ?? null
  }

  async accountsAt(at: Instant, budget?: BudgetId): Promise<readonly Account[]> {
    return (await this.#all(accountsAt, at, budget ?? null)).map(asAccount)
  }

  async dearest(budget: BudgetId, start: Instant, limit: number): Promise<readonly Account[]> {
    return (await this.#all(dearest, budget, start, limit)).map(asAccount)
  }

  async entries(after: number, limit: number): Promise<readonly (LedgerEntry & { seq: number })[]> {
    const sql = 'select * from bursar.entry where seq > $1 order by seq limit $2'
    const rows = (await this.#all(sql, after, limit)) as unknown as readonly EntryRow[]
    await this.#learn(rows)
    return rows.map((row) => entryFromRow(row, this.#numbers))
  }

  async hold(id: HoldId): Promise<Hold | null> {
    return (await this.#holds('where id = $1', id))[0] ?? null
  }

  holdsOf(call: CallId): Promise<readonly Hold[]> {
    return this.#holds('where call = $1 order by made_at, id', call)
  }

  recentHolds(limit: number): Promise<readonly Hold[]> {
    return this.#holds('order by made_at desc, id desc limit $1', limit)
  }

  holdsMade({ from, to, after, limit }: HoldsQuery): Promise<readonly Hold[]> {
    const [at, id] = after === null ? [from, ''] : [after.madeAt, after.id]
    const clause = `where made_at >= $1 and made_at < $2
      and (made_at > $1 or id collate "C" > $3) order by made_at, id collate "C" limit $4`
    return this.#holds(clause, at, to, id, limit)
  }

  overdue(now: Instant, limit: number): Promise<readonly Hold[]> {
    const clause = `where state = 'pending' and expires_at <= $1 order by expires_at, id limit $2`
    return this.#holds(clause, now, limit)
  }

  async openHolds(): Promise<number> {
    const sql = `select count(*) as n from bursar.hold where state = 'pending'`
    const [row] = await this.#all(sql)
    return Number(row?.n)
  }

  async mark(id: string): Promise<string | null> {
    const [row] = await this.#all('select value from bursar.mark where id = $1', id)
    return row === undefined ? null : String(row.value)
  }

  async spend(query: SpendQuery): Promise<readonly SpendRow[]> {
    const sql = spendSql('bursar.spend', query, ['$1', '$2'])
    return spendRows(await this.#all(sql, query.from, query.to), query)
  }

  async work(query: WorkQuery): Promise<readonly WorkRow[]> {
    try {
      return await workPage(this.#reads, query)
    } catch (error) {
      throw unavailable(error)
    }
  }

  async outcomeEvent(id: string): Promise<BookedOutcome | null> {
    const sql = 'select seq, json from bursar.outcome_event where id = $1'
    return (await this.#all(sql, id)).map(outcomeFromRow)[0] ?? null
  }

  async outcomeEvents(query: OutcomeQuery): Promise<readonly BookedOutcome[]> {
    const { type, from, to, after, limit } = query
    const sql = outcomesSql('bursar.outcome_event', ['$1::text', '$2', '$3', '$4', '$5'])
    return (await this.#all(sql, type ?? '', from, to, after, limit)).map(outcomeFromRow)
  }

  observe(calls: readonly ObservedCall[]): Promise<void> {
    // One after the other: telemetry takes no more than one connection from the ledger.
    const done = this.#observing.then(() =>
      patiently(this.#url, (client) => observeIn(client, calls)),
    )
    this.#observing = done.catch(() => {})
    return done
  }

  settleObserved(since: Instant): Promise<number> {
    return patiently(this.#url, (client) => settleIn(client, since))
  }

  async observed(query: SpendQuery): Promise<readonly ObservedRow[]> {
    const sql = observedSql('bursar.observation', query, ['$1', '$2'])
    return observedRows(await this.#all(sql, query.from, query.to), query)
  }

  change(change: Change, audit: AuditRow): Promise<void> {
    return this.#ledger.add(nothing, (rows) => {
      if (change.kind === 'put_override') rows.putOverride(change.override)
      // First of all: whoever has the end of the chain waits for no row that another has.
      if (rows.writes[0] !== lockAudit) rows.writes.unshift(lockAudit)
      rows.writes.push(...changeWrites(change, audit))
    })
  }

  keys(): Promise<readonly VirtualKey[]> {
    return this.#json<VirtualKey>('select json from bursar.virtual_key order by no')
  }

  async key(id: KeyId): Promise<VirtualKey | null> {
    const sql = 'select json from bursar.virtual_key where id = $1'
    return (await this.#json<VirtualKey>(sql, id))[0] ?? null
  }

  async keyByHash(hash: string): Promise<VirtualKey | null> {
    const sql = 'select json from bursar.virtual_key where hash = $1'
    return (await this.#json<VirtualKey>(sql, hash))[0] ?? null
  }

  async override(id: OverrideId): Promise<Override | null> {
    const sql = 'select json from bursar.override where id = $1'
    return (await this.#json<Override>(sql, id))[0] ?? null
  }

  overrides(): Promise<readonly Override[]> {
    return this.#json<Override>('select json from bursar.override order by no')
  }

  async records(kind: RecordKind): Promise<readonly ControlRecord[]> {
    const sql = `select id, json from bursar.record where kind = $1 and json <> 'null' order by no`
    return (await this.#all(sql, kind)).map((row) => recordFromRow(kind, row))
  }

  async record(kind: RecordKind, id: string): Promise<ControlRecord | null> {
    const sql = `select id, json from bursar.record
                 where kind = $1 and id = $2 and json <> 'null'`
    const [row] = await this.#all(sql, kind, id)
    return row === undefined ? null : recordFromRow(kind, row)
  }

  putRecord(record: ControlRecord): Promise<void> {
    return this.#ledger.add(nothing, (rows) => {
      rows.writes.push(...recordWrites(record))
    })
  }

  audit(limit: number): Promise<readonly AuditRow[]> {
    return this.#json<AuditRow>('select json from bursar.audit order by seq desc limit $1', limit)
  }

  async auditLinks(after: number, limit: number): Promise<readonly AuditLink[]> {
    const sql = 'select * from bursar.audit where seq > $1 order by seq limit $2'
    return (await this.#all(sql, after, limit)).map(linkFromRow)
  }

  async auditHead(): Promise<AuditHead | null> {
    return (await this.#all('select * from bursar.audit_head')).map(headFromRow)[0] ?? null
  }

  raise(alert: Alert): Promise<void> {
    return this.#ledger.add(nothing, (rows) => rows.addAlert(alert))
  }

  alerts(limit: number): Promise<readonly Alert[]> {
    return this.#json<Alert>('select json from bursar.alert order by seq desc limit $1', limit)
  }

  unrouted(limit: number): Promise<readonly Alert[]> {
    const sql = 'select json from bursar.alert where not routed order by seq limit $1'
    return this.#json<Alert>(sql, limit)
  }

  route(alert: AlertId, notifications: readonly Notification[]): Promise<void> {
    return this.#ledger.add(nothing, (rows) => {
      rows.writes.push({
        text: 'update bursar.alert set routed = true where id = $1',
        values: [alert],
      })
      // Another replica may have routed it too, and delivered it meanwhile.
      for (const one of notifications) rows.writes.push(putNotification(one, 'once'))
    })
  }

  async dueChannels(now: Instant): Promise<readonly string[]> {
    const sql = `select distinct channel from bursar.notification
                 where state = 'waiting' and next_at <= $1 order by channel`
    return (await this.#all(sql, now)).map(({ channel }) => String(channel))
  }

  async takeDue(
    now: Instant,
    limit: number,
    until: Instant,
    channel: string,
  ): Promise<readonly (Notification & { of: Alert })[]> {
    const rows = await this.#all(takeDue, now, limit, until, channel)
    return rows.map((row) => ({
      ...notificationFromRow(row),
      of: fromJson(String(row.json)) as Alert,
    }))
  }

  saveNotification(notification: Notification): Promise<void> {
    return this.#ledger.add(nothing, (rows) => {
      rows.writes.push(putNotification(notification, 'again'))
    })
  }

  async notifications(limit: number): Promise<readonly Notification[]> {
    const sql = 'select * from bursar.notification order by no desc limit $1'
    return (await this.#all(sql, limit)).map(notificationFromRow)
  }

  async lease(name: string, holder: string, now: Instant, until: Instant): Promise<boolean> {
    const json = toJson({ holder, until })
    return (await this.#all(takeLease, name, json, now, holder)).length > 0
  }

  watch(tell: (news: News) => void): Promise<void> {
    return this.#watch.start(tell)
  }

  announceConfig(): Promise<void> {
    return this.#ledger.add(nothing, (rows) => {
      rows.writes.push(...this.#watch.announcement())
    })
  }

  async installationSecret(make: () => string): Promise<string> {
    await this.#all(
      `insert into bursar.setting (name, value) values ('secret', $1) on conflict do nothing`,
      make(),
    )
    const [row] = await this.#all(`select value from bursar.setting where name = 'secret'`)
    return String(row?.value)
  }

  async close(): Promise<void> {
    clearInterval(this.#daily)
    await this.#watch.stop()
    await this.#ledger.close()
    await this.#reads.end()
  }

  async #holds(clause: string, ...args: unknown[]): Promise<readonly Hold[]> {
    const found = await this.#all(`select * from bursar.hold ${clause}`, ...args)
    const rows = found as unknown as readonly HoldRow[]
    await this.#learn(rows)
    return rows.map((row) => holdFromRow(row, this.#numbers))
  }

  /** Where it fails the rows go to the rest, and tomorrow is another day. */
  async #makePartitions(): Promise<void> {
    const now = instant(Date.now())
    await patiently(this.#url, (client) => makePartitions(client, now)).catch(() => {})
  }

  async #learn(rows: readonly { readonly lines: string }[]): Promise<void> {
    try {
      await learnNumbers(this.#reads, this.#numbers, rows)
    } catch (error) {
      throw unavailable(error)
    }
  }

  async #json<Value>(sql: string, ...args: unknown[]): Promise<Value[]> {
    return (await this.#all(sql, ...args)).map(({ json }) => fromJson(String(json)) as Value)
  }

  async #all(sql: string, ...args: unknown[]): Promise<readonly Row[]> {
    try {
      return (await this.#reads.query<Row>(sql, args)).rows
    } catch (error) {
      throw unavailable(error)
    }
  }
}
