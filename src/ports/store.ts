/**
 * Durable truth. Every implementation passes `test/conformance`. Reads return plain values; a write
 * that resolves is durable, and one that rejects with `StoreUnavailable` changed nothing or is
 * resolved by asking again (commands are idempotent by id).
 */
import type { Account, AccountKey } from '#core/account.ts'
import type { Alert, Notification } from '#core/alert.ts'
import type { AuditHead, AuditLink, AuditRow } from '#core/audit.ts'
import type { BudgetRule } from '#core/budget.ts'
import type { Command, Hold, LedgerEntry, Result, Rules } from '#core/journal.ts'
import type { VirtualKey } from '#core/key.ts'
import type { BookedOutcome, OutcomeEvent, OutcomeQuery } from '#core/outcome.ts'
import type { Override } from '#core/override.ts'
import type { ControlRecord, RecordKind } from '#core/record.ts'
import type { SpendQuery, SpendRow } from '#core/spend.ts'
import type { Instant } from '#core/time.ts'
import type { WorkQuery, WorkRow } from '#core/work.ts'
import type { AlertId, BudgetId, CallId, HoldId, KeyId, OverrideId } from '#lib/id.ts'

import type { ObservationStore } from './observations.ts'

/** The store cannot commit. Nothing may be admitted until it can. */
export class StoreUnavailable extends Error {
  override readonly name = 'StoreUnavailable'
}

export interface Outcome {
  readonly result: Result
  /** Accounts as they stand after the command; of a refused hold, those that stood in its way. */
  readonly accounts: readonly Account[]
  /** Of the budgets concerned, in force or not. */
  readonly overrides: readonly Override[]
  readonly alerts: readonly Alert[]
}

export interface Adopted {
  /** Of the lines that new budgets had crossed already. */
  readonly alerts: readonly Alert[]
  /** The rules that were new. */
  readonly counted: readonly BudgetRule[]
}

/** One page of a stretch of time. */
export interface HoldsQuery {
  readonly from: Instant
  readonly to: Instant
  /** The last of the page before; null: the first page. */
  readonly after: Pick<Hold, 'madeAt' | 'id'> | null
  readonly limit: number
}

export interface LedgerStore {
  /** Loads, applies and writes in one transaction shared with its neighbours. Safe to repeat. */
  run(command: Command, now: Instant, rules: Rules): Promise<Outcome>
  /** Counts rules that are new to the store from the holds of their period; forgets gone ones. */
  adopt(rules: readonly BudgetRule[], now: Instant): Promise<Adopted>
  /**
   * Counts what was asked for before this and made after `since` and has no line for one of
   * `rules`: calls that were on their way to the ledger while it adopted them.
   */
  catchUp(rules: readonly BudgetRule[], since: Instant, now: Instant): Promise<readonly Alert[]>
  account(key: AccountKey): Promise<Account | null>
  /** Accounts whose period holds `at`, by budget; without `budget`, those of runs are left out. */
  accountsAt(at: Instant, budget?: BudgetId): Promise<readonly Account[]>
  /** Of a budget's accounts whose period begins at `start`, those with most posted, these first. */
  dearest(budget: BudgetId, start: Instant, limit: number): Promise<readonly Account[]>
  /** In the order of writing, after `seq`; each with its own `seq`. */
  entries(after: number, limit: number): Promise<readonly (LedgerEntry & { seq: number })[]>
  hold(id: HoldId): Promise<Hold | null>
  holdsOf(call: CallId): Promise<readonly Hold[]>
  /** Newest first. */
  recentHolds(limit: number): Promise<readonly Hold[]>
  /** Made in `[from, to)`, in the order of that and of their ids, behind `after`. */
  holdsMade(query: HoldsQuery): Promise<readonly Hold[]>
  /** Pending holds whose time has passed, oldest first. */
  overdue(now: Instant, limit: number): Promise<readonly Hold[]>
  openHolds(): Promise<number>
  /** The value of a mark; null: nothing is marked there. */
  mark(id: string): Promise<string | null>
  /** From the roll-ups, dearest first. */
  spend(query: SpendQuery): Promise<readonly SpendRow[]>
  /** Ended attempts made in a time, by when they were made and their id; a page. */
  work(query: WorkQuery): Promise<readonly WorkRow[]>
}

/** A change a person asked for, written together with its audit row. */
export type Change =
  | { readonly kind: 'put_key'; readonly key: VirtualKey }
  | { readonly kind: 'put_override'; readonly override: Override }
  | { readonly kind: 'put_record'; readonly record: ControlRecord }
  /** Rejects, and writes nothing, where one of their ids is taken. */
  | { readonly kind: 'add_outcomes'; readonly events: readonly OutcomeEvent[] }
  | { readonly kind: 'note' }

export interface ControlStore {
  /** Safe to repeat: the same row again is none more. Another under its id is refused. */
  change(change: Change, audit: AuditRow): Promise<void>
  keys(): Promise<readonly VirtualKey[]>
  key(id: KeyId): Promise<VirtualKey | null>
  keyByHash(hash: string): Promise<VirtualKey | null>
  override(id: OverrideId): Promise<Override | null>
  overrides(): Promise<readonly Override[]>
  /** In the order in which they were made, without those that are gone. */
  records(kind: RecordKind): Promise<readonly ControlRecord[]>
  /** Null: there is none, or it is gone. */
  record(kind: RecordKind, id: string): Promise<ControlRecord | null>
  /** Without an audit row: for what is no person's decision. */
  putRecord(record: ControlRecord): Promise<void>
  outcomeEvent(id: string): Promise<BookedOutcome | null>
  /** Of a page of claims, all events of their subjects, in the order of writing. */
  outcomeEvents(query: OutcomeQuery): Promise<readonly BookedOutcome[]>
  /** Newest first. */
  audit(limit: number): Promise<readonly AuditRow[]>
  /** In the order of the chain, after `seq`. */
  auditLinks(after: number, limit: number): Promise<readonly AuditLink[]>
  /** Where the chain ends; null: nothing was chained yet. */
  auditHead(): Promise<AuditHead | null>
}

export interface AlertStore {
  /** Kept once, however often and by however many processes it is raised. */
  raise(alert: Alert): Promise<void>
  /** Newest first. */
  alerts(limit: number): Promise<readonly Alert[]>
  /** Alerts that have no notification rows yet, oldest first. */
  unrouted(limit: number): Promise<readonly Alert[]>
  route(alert: AlertId, notifications: readonly Notification[]): Promise<void>
  /** Channels with notifications that are due at `now`. */
  dueChannels(now: Instant): Promise<readonly string[]>
  /**
   * Takes notifications of one channel that are due at `now`, oldest first, with their alerts.
   * Nobody else gets them before `until`: by then they are saved as delivered, or their sender is
   * gone.
   */
  takeDue(
    now: Instant,
    limit: number,
    until: Instant,
    channel: string,
  ): Promise<readonly (Notification & { of: Alert })[]>
  saveNotification(notification: Notification): Promise<void>
  notifications(limit: number): Promise<readonly Notification[]>
  /**
   * True: `holder` has the lease until `until`, because nobody else has it at `now`. An `until` of
   * `now` gives it back.
   */
  lease(name: string, holder: string, now: Instant, until: Instant): Promise<boolean>
}

/** What another process changed. */
export type News =
  | { readonly kind: 'key'; readonly key: VirtualKey }
  | { readonly kind: 'record'; readonly record: ControlRecord }
  | { readonly kind: 'config' }

export interface Store extends LedgerStore, ControlStore, AlertStore, ObservationStore {
  readonly kind: 'memory' | 'sqlite' | 'postgres'
  /** Other processes may be at work on it: what is open is not an orphan before its time. */
  readonly shared: boolean
  /** Tells what other processes change from now on, within a second, at the latest in five. */
  watch(tell: (news: News) => void): Promise<void>
  /** Has all processes read their config again. */
  announceConfig(): Promise<void>
  /** A secret of the whole installation; made where there is none. Null: kept elsewhere. */
  installationSecret(make: () => string): Promise<string | null>
  close(): Promise<void>
}
