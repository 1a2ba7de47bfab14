/** Balances from entries alone: what every stored balance must equal. */
import type { AccountKey } from './account.ts'
import type { LedgerEntry } from './journal.ts'

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
