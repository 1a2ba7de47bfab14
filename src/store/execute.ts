/**
 * What every store does with a command: load the rows it names, ask the one pure rule, write what
 * it says. No store has a rule of its own, so no two can disagree on one.
 */
import type { Account, AccountKey } from '#core/account.ts'
import type { Alert } from '#core/alert.ts'
import { backfill } from '#core/backfill.ts'
import { type BudgetRule, periodOf } from '#core/budget.ts'
import {
  accountsOf,
  type Command,
  type Hold,
  type LedgerEntry,
  type Mark,
  type Rules,
} from '#core/journal.ts'
import { apply } from '#core/ledger.ts'
import type { Override } from '#core/override.ts'
import { type SpendChange, spendChange } from '#core/spend.ts'
import { type Instant, instant } from '#core/time.ts'
import type { BudgetId, HoldId } from '#lib/id.ts'
import type { Adopted, Outcome } from '#ports/store.ts'

/** A store's rows inside one transaction. Synchronous: the transaction is never left half-way. */
export interface Rows {
  account(key: AccountKey): Account | null
  saveAccount(account: Account): void
  hold(id: HoldId): Hold | null
  /**
   * The hold of this id where it may exist already. A store may answer null unseen for an id that
   * it would refuse to write twice.
   */
  holdBefore(id: HoldId): Hold | null
  addHold(hold: Hold): void
  updateHold(hold: Hold): void
  addEntry(entry: LedgerEntry): void
  /** Added to the sums of its hour and scope. */
  addSpend(change: SpendChange): void
  addAlert(alert: Alert): void
  /** Those in force at least, of whatever budget. */
  overrides(): readonly Override[]
  isMarked(id: string): boolean
  /** Where nothing is marked there yet. */
  addMark(mark: Mark): void
  /** In the order in which they were made. */
  holdsMadeSince(at: Instant): Iterable<Hold>
}

/** Which rules were counted, in which time zone. */
export interface KnownRules {
  knownRules(): ReadonlyMap<string, string>
  setKnownRules(rules: ReadonlyMap<string, string>): void
}

export function execute(rows: Rows, command: Command, now: Instant, rules: Rules): Outcome {
  const hold = command.kind === 'hold' ? rows.holdBefore(command.hold) : rows.hold(command.hold)
  const accounts = accountsOf(command, hold, now).map((key) => rows.account(key))
  const overrides = overridesFor(rows.overrides(), command, accounts)
  const isMarked = (id: string): boolean => rows.isMarked(id)
  const applied = apply({ accounts, hold, overrides, isMarked, rules }, command, now)
  for (const account of applied.accounts) rows.saveAccount(account)
  if (applied.hold !== null && applied.hold !== hold) {
    if (hold === null) rows.addHold(applied.hold)
    else rows.updateHold(applied.hold)
    const change = spendChange(hold, applied.hold)
    if (change !== null) rows.addSpend(change)
  }
  if (applied.entry !== null) rows.addEntry(applied.entry)
  for (const alert of applied.alerts) rows.addAlert(alert)
  for (const mark of applied.marks) rows.addMark(mark)
  const touched =
    applied.accounts.length > 0 ? applied.accounts : accounts.filter((one) => one !== null)
  return { result: applied.result, accounts: touched, overrides, alerts: applied.alerts }
}

/** Those of the command's budgets. Mostly there are none at all. */
function overridesFor(
  all: readonly Override[],
  command: Command,
  accounts: readonly (Account | null)[],
): readonly Override[] {
  if (all.length === 0) return all
  const budgets = budgetsOf(command, accounts)
  return all.filter(({ budget }) => budgets.has(budget))
}

function budgetsOf(command: Command, accounts: readonly (Account | null)[]): ReadonlySet<BudgetId> {
  const budgets = new Set<BudgetId>()
  if (command.kind === 'hold') for (const { rule } of command.accounts) budgets.add(rule.id)
  else for (const account of accounts) if (account !== null) budgets.add(account.budget)
  return budgets
}

/** A rule that is to be counted, and the time since which holds may lack its line. */
export interface Start {
  readonly rule: BudgetRule
  readonly from: Instant
}

/**
 * Rules the store has not seen are counted from the ledger; those that are gone are forgotten, so
 * that they are counted again should they come back.
 */
export function adoptRules(
  rows: Rows & KnownRules,
  rules: readonly BudgetRule[],
  now: Instant,
): Adopted {
  const known = rows.knownRules()
  const starts = rules
    .filter(({ id, timeZone }) => known.get(id) !== timeZone)
    .map((rule) => ({ rule, from: periodOf(rule, now).start }))
  const alerts = countHolds(rows, starts, now)
  rows.setKnownRules(new Map(rules.map(({ id, timeZone }) => [id, timeZone])))
  return { alerts, counted: starts.map(({ rule }) => rule) }
}

/** Where clocks differ, or one was set, a hold may seem older than it is. */
export const clocksApartMs = 60_000

/** What a rule may have missed since, but not of another period. */
export function startSince(rule: BudgetRule, since: Instant, now: Instant): Start {
  const { start } = periodOf(rule, now)
  const from = instant(since - clocksApartMs)
  return { rule, from: from > start ? from : start }
}

/** Every hold that concerns a rule and has no line for it gets one. Twice is once. */
export function countHolds(rows: Rows, starts: readonly Start[], now: Instant): readonly Alert[] {
  const alerts: Alert[] = []
  // Read once for all: a hold that one rule gives a line is seen with it by the next.
  const held = new Map<HoldId, Hold>()
  if (starts.length > 0) {
    const earliest = starts.reduce((least, { from }) => (from < least ? from : least), now)
    for (const hold of rows.holdsMadeSince(earliest)) held.set(hold.id, hold)
  }
  for (const { rule, from } of starts) {
    const since = [...held.values()].filter(({ madeAt }) => madeAt >= from)
    const filled = backfill(rule, since, now, rows)
    for (const account of filled.accounts) rows.saveAccount(account)
    for (const hold of filled.holds) {
      held.set(hold.id, hold)
      rows.updateHold(hold)
    }
    if (filled.entry !== null) rows.addEntry(filled.entry)
    for (const mark of filled.marks) rows.addMark(mark)
    for (const alert of filled.alerts) rows.addAlert(alert)
    alerts.push(...filled.alerts)
  }
  return alerts
}
