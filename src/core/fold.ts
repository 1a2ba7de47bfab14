/** Balances from entries alone: what every stored balance must equal. */
import type { Account, AccountKey } from './account.ts'
import type { LedgerEntry } from './journal.ts'
import { noteAdmitted } from './pace.ts'

export interface Balance {
  readonly posted: bigint
  readonly pending: bigint
}

export function fold(
  entries: Iterable<LedgerEntry>,
  from: ReadonlyMap<AccountKey, Balance> = new Map(),
): Map<AccountKey, Balance> {
  const balances = new Map(from)
  for (const { lines } of entries) {
    for (const { account, posted, pending } of lines) {
      const before = balances.get(account)
      balances.set(account, {
        posted: (before?.posted ?? 0n) + posted,
        pending: (before?.pending ?? 0n) + pending,
      })
    }
  }
  return balances
}

/**
 * An account as one entry leaves it: its balance, and its pace where it has one. Stages are not in
 * entries. Checks nothing: what is wrong with an entry is for a recount to find.
 */
export function folded(
  account: Account,
  { kind, at }: Pick<LedgerEntry, 'kind' | 'at'>,
  { posted, pending }: Balance,
): Account {
  const recent =
    kind === 'hold' && hasPace(account) ? noteAdmitted(account.recent, at) : account.recent
  return {
    ...account,
    posted: account.posted + posted,
    pending: account.pending + pending,
    recent,
  }
}

/** Only of accounts that may be slowed are admissions counted, from the first on. */
export const hasPace = ({ recent }: Pick<Account, 'recent'>): boolean => recent.newest[1] > 0
