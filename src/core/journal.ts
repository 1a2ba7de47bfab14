/**
 * What the ledger holds and is asked: holds, commands, entries, results. The rules: `ledger.ts`.
 */
import type { BudgetId, CallId, HoldId } from '#lib/id.ts'
import { type Account, type AccountKey, type AccountRef, accountKey } from './account.ts'
import type { Alert } from './alert.ts'
import type { BudgetRule, LimitUnit } from './budget.ts'
import type { Nanos } from './money.ts'
import type { Override } from './override.ts'
import type { Attribution } from './scope.ts'
import type { Instant } from './time.ts'

export type Basis =
  | 'actual' // the provider said so
  | 'presumed' // nobody knows: posted at the most it can have been
  | 'nothing' // provably not billed

/** One line a hold: how much it promises in one account, in that account's unit. */
export interface HoldLine {
  readonly account: AccountKey
  readonly unit: LimitUnit
  readonly amount: bigint
  /** What was posted when it ended; null while pending. */
  readonly posted: bigint | null
}

/** A promise for one attempt at one provider. */
export interface Hold {
  readonly id: HoldId
  readonly call: CallId
  readonly state: 'pending' | 'settled' | 'voided' | 'expired'
  readonly lines: readonly HoldLine[]
  /** Who the call was for: what a budget added later is recomputed from. */
  readonly attribution: Attribution
  /** Money held, whether or not an account of money stands above the call. */
  readonly amount: Nanos
  /** Prompt and output tokens: the bound while pending, then what was used. */
  readonly tokens: number
  /** The output cap that the amount pays for. */
  readonly outputCap: number
  readonly cost: Nanos | null
  readonly basis: Basis | null
  readonly madeAt: Instant
  readonly expiresAt: Instant
  readonly endedAt: Instant | null
  /** What the call was: model, provider, usage, versions. Kept, never read by rules. */
  readonly facts: Facts
}

/** Written with the hold and, when it ends, merged with what the end brought. JSON values. */
export type Facts = Readonly<Record<string, unknown>>

/**
 * What may be asked for: linear in the output cap, so that the cap can be fitted to the headroom.
 */
export interface Asking {
  readonly fixedPicos: bigint
  readonly picosPerOutputToken: bigint
  readonly outputCap: number
  /** The least cap worth sending; equal to `outputCap` where clamping is not allowed. */
  readonly outputCapFloor: number
  readonly fixedTokens: number
  readonly tokensPerCap: number
}

export interface HoldCommand {
  readonly kind: 'hold'
  readonly hold: HoldId
  readonly call: CallId
  readonly attribution: Attribution
  readonly accounts: readonly AccountRef[]
  /** Which conversation the call is part of: it counts once in a window. Null: of none. */
  readonly conversation: string | null
  /** Written with the hold, where nothing is marked there yet. */
  readonly marks: readonly Mark[]
  readonly asking: Asking
  readonly expiresAt: Instant
  readonly facts: Facts
}

/**
 * A fact that is set once and never changed: that a conversation counts in an account, where a run
 * comes from.
 */
export interface Mark {
  readonly id: string
  readonly value: string
}

/** The mark of a conversation that counts in this account. */
export const seatOf = (account: AccountKey, conversation: string): string =>
  `seat|${account}|${conversation.replace(/[%|]/g, encodeURIComponent)}`

export interface SettleCommand {
  readonly kind: 'settle'
  readonly hold: HoldId
  readonly cost: Nanos
  readonly tokens: number
  readonly basis: Exclude<Basis, 'nothing'>
  readonly facts: Facts
}

export interface AdjustCommand {
  readonly kind: 'adjust'
  readonly hold: HoldId
  /** What the call did cost, not a difference: saying it twice changes nothing. */
  readonly cost: Nanos
  readonly reason: string
  readonly author: string
  /** Merged with the facts of the hold: on what the correction rests. */
  readonly facts?: Facts
}

export type Command =
  | HoldCommand
  | SettleCommand
  | { readonly kind: 'void'; readonly hold: HoldId; readonly facts: Facts }
  | { readonly kind: 'expire'; readonly hold: HoldId }
  | AdjustCommand

/** Whatever ends or corrects a hold. */
export type Ending = Exclude<Command, HoldCommand>

/** One immutable fact: what one event changed, on every account it touched. */
export interface LedgerEntry {
  readonly kind: Command['kind'] | 'open'
  readonly hold: HoldId | null
  readonly at: Instant
  readonly lines: readonly EntryLine[]
  readonly overage: Nanos
  /** Adjustments only. */
  readonly reason: string | null
  readonly author: string | null
}

export interface EntryLine {
  readonly account: AccountKey
  readonly posted: bigint
  readonly pending: bigint
}

export type Result =
  | { readonly status: 'applied'; readonly hold: Hold }
  | { readonly status: 'repeated'; readonly hold: Hold }
  | {
      readonly status: 'limit_exceeded'
      readonly account: Account
      readonly rule: BudgetRule
      /** Headroom at this moment; may be below zero. */
      readonly available: bigint
      /** The least that would have been held. */
      readonly needed: bigint
      /** True where only calls in flight stand in the way: trying again makes sense. */
      readonly held: boolean
    }
  | {
      readonly status: 'throttled'
      readonly account: Account
      readonly rule: BudgetRule
      readonly retryAt: Instant
    }
  | { readonly status: 'hold_not_found' }
  | { readonly status: 'hold_already_resolved'; readonly hold: Hold }
  | { readonly status: 'conflicting_repeat'; readonly hold: Hold }

export type Rules = (id: BudgetId) => BudgetRule | null

export interface LedgerState {
  /** Those that `accountsOf` names, in its order; null: not opened yet. */
  readonly accounts: readonly (Account | null)[]
  readonly hold: Hold | null
  readonly overrides: readonly Override[]
  readonly isMarked: (id: string) => boolean
  /** Rules in force: where one is gone its account is still posted to, but has no stages. */
  readonly rules: Rules
}

export interface Applied {
  readonly result: Result
  readonly hold: Hold | null
  readonly accounts: readonly Account[]
  readonly entry: LedgerEntry | null
  readonly alerts: readonly Alert[]
  /** Of a hold that was made, to be written with it. */
  readonly marks: readonly Mark[]
}

/** The accounts a store must load before `apply`. Those of a hold may not exist yet. */
export function accountsOf(
  command: Command,
  hold: Hold | null,
  now: Instant,
): readonly AccountKey[] {
  if (command.kind === 'hold') return command.accounts.map((ref) => accountKey(ref, now))
  return hold === null ? [] : hold.lines.map(({ account }) => account)
}

/** A command that changes nothing, and why. */
export function unchanged(state: LedgerState, result: Result): Applied {
  return { result, hold: state.hold, accounts: [], entry: null, alerts: [], marks: [] }
}
