/**
 * The ledger's rows of one batch: fetched and locked before the rule runs, changed in memory, and
 * written together at its end. Nothing is kept from batch to batch but what never changes.
 */
import type { Account, AccountKey } from '#core/account.ts'
import type { Alert } from '#core/alert.ts'
import type { Hold, LedgerEntry, Mark } from '#core/journal.ts'
import type { Override } from '#core/override.ts'
import { noteSpend, type SpendChange, type SpendChanges } from '#core/spend.ts'
import type { Instant } from '#core/time.ts'
import { assert } from '#lib/assert.ts'
import type { HoldId } from '#lib/id.ts'
import {
  accountFromRow,
  type AccountRow,
  holdFromRow,
  type HoldRow,
  type Numbers,
} from '#store/codec.ts'
import type { Rows } from '#store/execute.ts'

const numbersKept = 500_000

/** Which number an account has. It never has another, so this may be remembered. */
export class AccountNumbers implements Numbers {
  readonly #numbers = new Map<AccountKey, bigint>()
  readonly #keys = new Map<bigint, AccountKey>()

  learn(no: bigint, key: AccountKey): void {
    if (this.#numbers.has(key)) return
    if (this.#numbers.size >= numbersKept) {
      this.#numbers.clear()
      this.#keys.clear()
    }
    this.#numbers.set(key, no)
    this.#keys.set(no, key)
  }

  knows(key: AccountKey): boolean {
    return this.#numbers.has(key)
  }

  knowsNumber(no: bigint): boolean {
    return this.#keys.has(no)
  }

  numberOf(key: AccountKey): string {
    const no = this.#numbers.get(key)
    assert(no !== undefined, 'no account', key)
    return String(no)
  }

  keyOf(no: bigint): AccountKey {
    const key = this.#keys.get(no)
    assert(key !== undefined, 'no account has this number', no)
    return key
  }
}

interface Kept {
  readonly no: bigint
  account: Account
  /** False: a place taken for an account that nobody has saved yet. */
  saved: boolean
  changed: boolean
}

/** A write that no rule reads back: a statement and its values. */
export interface Write {
  readonly text: string
  readonly values: readonly unknown[]
}

export class PostgresRows implements Rows, Numbers {
  readonly numbers: AccountNumbers
  readonly #accounts = new Map<AccountKey, Kept>()
  readonly #holds = new Map<HoldId, Hold>()
  readonly added = new Map<HoldId, Hold>()
  readonly updated = new Map<HoldId, Hold>()
  readonly entries: LedgerEntry[] = []
  readonly spend: SpendChanges = new Map()
  readonly alerts: Alert[] = []
  readonly writes: Write[] = []
  /** Found, and added in this batch. */
  readonly #marks = new Set<string>()
  readonly marks: Mark[] = []
  #overrides: readonly Override[] = []
  #since: readonly Hold[] = []

  constructor(numbers: AccountNumbers) {
    this.numbers = numbers
  }

  loadAccount(row: AccountRow, saved: boolean): void {
    const account = accountFromRow(row)
    // A place that is not needed in the end is given back, and its number with it.
    if (saved) this.numbers.learn(row.no, account.key)
    this.#accounts.set(account.key, { no: row.no, account, saved, changed: false })
  }

  has(key: AccountKey): boolean {
    return this.#accounts.has(key)
  }

  /** The accounts of its lines are known by number. */
  loadHold(row: HoldRow): Hold {
    const hold = holdFromRow(row, this)
    this.#holds.set(hold.id, hold)
    return hold
  }

  loadMarks(ids: Iterable<string>): void {
    for (const id of ids) this.#marks.add(id)
  }

  isMarked(id: string): boolean {
    return this.#marks.has(id)
  }

  addMark(mark: Mark): void {
    this.#marks.add(mark.id)
    this.marks.push(mark)
  }

  loadOverrides(overrides: readonly Override[]): void {
    this.#overrides = overrides
  }

  /** In the order in which they were made. */
  loadSince(holds: readonly Hold[]): void {
    this.#since = holds
  }

  get changed(): readonly { readonly no: bigint; readonly account: Account }[] {
    return [...this.#accounts.values()].filter(({ changed }) => changed)
  }

  /** Places that were taken and not needed. */
  get emptyPlaces(): readonly bigint[] {
    return [...this.#accounts.values()].flatMap(({ no, saved }) => (saved ? [] : no))
  }

  /** What was written is durable: the numbers of new accounts stay. */
  committed(): void {
    for (const { no, account, changed } of this.#accounts.values()) {
      if (changed) this.numbers.learn(no, account.key)
    }
  }

  numberOf(key: AccountKey): string {
    const no = this.#accounts.get(key)?.no
    return no === undefined ? this.numbers.numberOf(key) : String(no)
  }

  keyOf(no: bigint): AccountKey {
    return this.numbers.keyOf(no)
  }

  account(key: AccountKey): Account | null {
    const kept = this.#accounts.get(key)
    assert(kept !== undefined, 'an account was not fetched', key)
    return kept.saved ? kept.account : null
  }

  saveAccount(account: Account): void {
    const kept = this.#accounts.get(account.key)
    assert(kept !== undefined, 'an account was not fetched', account.key)
    kept.account = account
    kept.saved = true
    kept.changed = true
  }

  hold(id: HoldId): Hold | null {
    return this.#holds.get(id) ?? null
  }

  holdBefore(id: HoldId): Hold | null {
    return this.hold(id)
  }

  addHold(hold: Hold): void {
    this.#holds.set(hold.id, hold)
    this.added.set(hold.id, hold)
  }

  updateHold(hold: Hold): void {
    this.#holds.set(hold.id, hold)
    if (this.added.has(hold.id)) this.added.set(hold.id, hold)
    else this.updated.set(hold.id, hold)
  }

  addEntry(entry: LedgerEntry): void {
    this.entries.push(entry)
  }

  addSpend(change: SpendChange): void {
    noteSpend(this.spend, change)
  }

  addAlert(alert: Alert): void {
    this.alerts.push(alert)
  }

  overrides(): readonly Override[] {
    return this.#overrides
  }

  putOverride(override: Override): void {
    const others = this.#overrides.filter(({ id }) => id !== override.id)
    this.#overrides = override.state === 'approved' ? [...others, override] : others
  }

  holdsMadeSince(at: Instant): readonly Hold[] {
    return this.#since.filter(({ madeAt }) => madeAt >= at)
  }
}
