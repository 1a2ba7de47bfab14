/**
 * Accounts whose rows lack the newest entries. A balance is the fold of its entries, so its row may
 * follow later: each names the last entry it has (`as_of`), and `carried` one that all of them
 * have. Whoever reads the file brings the others up to date here.
 */
import type { DatabaseSync } from 'node:sqlite'
import type { Account } from '#core/account.ts'
import { folded } from '#core/fold.ts'
import type { LedgerEntry } from '#core/journal.ts'
import { instant } from '#core/time.ts'
import {
  accountFromRow,
  type AccountRow,
  type CarriedRow,
  changesFromText,
  type EntryRow,
} from './codec.ts'

export interface Behind {
  /** With every entry there is. */
  account: Account
  /** The first entry that its row lacks. */
  readonly since: number
}

/** By the number of the account; the longest behind first. */
export function accountsBehind(db: DatabaseSync): Map<bigint, Behind> {
  const behind = new Map<bigint, Behind>()
  const rows = new Map<bigint, CarriedRow>()
  const rowOf = db.prepare('select * from account where no = ?')
  rowOf.setReadBigInts(true)
  const rowWith = (no: bigint): CarriedRow | undefined => {
    const row = rows.get(no) ?? (rowOf.get(no) as CarriedRow | undefined)
    if (row !== undefined) rows.set(no, row)
    return row
  }
  for (const { seq, kind, at, lines } of entriesBehind(db)) {
    const entry = { kind: kind as LedgerEntry['kind'], at: instant(Number(at)) }
    for (const { no, ...change } of changesFromText(lines)) {
      const row = rowWith(no)
      // An account that is not there is for a recount to tell of.
      if (row === undefined || seq <= row.as_of) continue
      const { account, since } = behind.get(no) ?? {
        account: accountFromRow(row),
        since: Number(seq),
      }
      behind.set(no, { account: folded(account, entry, change), since })
    }
  }
  return behind
}

function* entriesBehind(db: DatabaseSync): Iterable<EntryRow> {
  // A backup of an older version has every entry in its rows.
  const [known] = db.prepare(`select 1 from sqlite_schema where name = 'carried'`).all()
  if (known === undefined) return
  const entries = db.prepare(
    'select * from entry where seq > (select up_to from carried) order by seq',
  )
  entries.setReadBigInts(true)
  yield* entries.iterate() as Iterable<EntryRow>
}

/** A row of the file as it would be, were it up to date. */
export function upToDate<Row extends AccountRow>(
  row: Row,
  behind: ReadonlyMap<bigint, Behind>,
): Row {
  const account = behind.get(row.no)?.account
  return account === undefined ? row : { ...row, posted: account.posted, pending: account.pending }
}
