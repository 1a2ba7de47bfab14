/** Balances from entries alone: what every stored balance must equal. */
import type { AccountKey, Balance } from './account.ts'
import type { LedgerEntry } from './journal.ts'
import { noteAdmitted, type Recent } from './pace.ts'

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

/** What entries say of an account. Its stages they do not. */
export interface Standing extends Balance {
  readonly recent: Recent
}

/**
 * An account as one of its entries leaves it. Checks nothing: what is wrong with an entry is for a
 * recount to find.
 */
export function folded(
  standing: Standing,
  { kind, at }: Pick<LedgerEntry, 'kind' | 'at'>,
  change: Balance,
): Standing {
  const { posted, pending, recent } = standing
  const isAdmission = kind === 'hold' && hasPace(standing)
  return {
    posted: posted + change.posted,
    pending: pending + change.pending,
    recent: isAdmission ? noteAdmitted(recent, at) : recent,
  }
}

/** Only of accounts that may be slowed are admissions counted, from the first on. */
export const hasPace = ({ recent }: Pick<Standing, 'recent'>): boolean => recent.newest[1] > 0
