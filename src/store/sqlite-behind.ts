/**
 * Accounts whose rows lack the newest entries. A balance is the fold of its entries, so its row may
 * follow later: each names the last entry it has (`as_of`), and `carried` one that all of them
 * have. Whoever reads the file brings the others up to date here.
 */
import type { DatabaseSync } from 'node:sqlite'
import type { Account } from '#core/account.ts'
import { folded, type Standing } from '#core/fold.ts'
import type { LedgerEntry } from '#core/journal.ts'
import { instant } from '#core/time.ts'
import { accountFromRow, type AccountRow, changesFromText, type EntryRow } from './codec.ts'
import { prepared } from './sqlite-connection.ts'

export interface Behind {
  readonly row: AccountRow
  /** With every entry there is. */
  standing: Standing
  /** The first entry that its row lacks. */
  readonly since: number
}

export const accountOf = ({ row, standing }: Behind): Account => ({
  ...accountFromRow(row),
  ...standing,
})

/** What the next account and the next entry are numbered after. */
export interface Counters {
  nextNo: bigint
  lastEntry: number
  /** An entry that every row has. */
  carriedUpTo: number
}

/** What a store must know before it answers for any account; throws where it makes no sense. */
export function countersAndBehind(db: DatabaseSync): {
  readonly counters: Counters
  readonly behind: ReadonlyMap<bigint, Behind>
} {
  const counters = countersOf(db)
  const behind = accountsBehind(db)
  refuseNonsense(counters, behind.values())
  return { counters, behind }
}

/** A balance that is less than its entries would let calls past their limit. */
function refuseNonsense({ carriedUpTo, lastEntry }: Counters, behind: Iterable<Behind>): void {
  const isKnown = carriedUpTo <= lastEntry
  const isBelowZero = ({ standing: { posted, pending } }: Behind): boolean =>
    posted < 0n || pending < 0n
  if (isKnown && ![...behind].some(isBelowZero)) return
  throw new Error(
    'the balances in the ledger do not follow from its entries: `bursar doctor` says which; ' +
      'restore a backup with `bursar restore`',
  )
}

function countersOf(db: DatabaseSync): Counters {
  const row = db
    .prepare(
      `select (select coalesce(max(no), 0) from account) as account,
         (select coalesce(max(seq), 0) from entry) as entry,
         (select up_to from carried) as carried`,
    )
    .get()
  return {
    nextNo: BigInt(Number(row?.account)) + 1n,
    lastEntry: Number(row?.entry),
    carriedUpTo: Number(row?.carried ?? Number.NaN),
  }
}

/** By the number of the account; the longest behind first. */
export function accountsBehind(db: DatabaseSync): Map<bigint, Behind> {
  const behind = new Map<string, Behind>()
  const rowOf = rowsByDigits(db)
  for (const { seq, kind, at, lines } of entriesBehind(db)) {
    const entry = { kind: kind as LedgerEntry['kind'], at: instant(Number(at)) }
    for (const change of changesFromText(lines)) {
      const row = rowOf(change.digits)
      // An account that is not there is for a recount to tell of.
      if (row === null || seq <= row.as_of) continue
      let own = behind.get(change.digits)
      if (own === undefined) {
        own = { row, standing: accountFromRow(row), since: Number(seq) }
        behind.set(change.digits, own)
      }
      own.standing = folded(own.standing, entry, change)
    }
  }
  return new Map([...behind.values()].map((own) => [own.row.no, own]))
}

type CarriedRow = AccountRow & { readonly as_of: bigint }

/** Each is read once, by the number as lines have it: thousands of entries name the same. */
function rowsByDigits(db: DatabaseSync): (digits: string) => CarriedRow | null {
  const statement = prepared(db, 'select * from account where no = ?')
  const rows = new Map<string, CarriedRow | null>()
  return (digits) => {
    const known = rows.get(digits)
    if (known !== undefined) return known
    const row = (statement.get(BigInt(digits)) as CarriedRow | undefined) ?? null
    rows.set(digits, row)
    return row
  }
}

function* entriesBehind(db: DatabaseSync): Iterable<EntryRow> {
  // A backup of an older version has every entry in its rows.
  const [known] = db.prepare(`select 1 from sqlite_schema where name = 'carried'`).all()
  if (known === undefined) return
  const sql = 'select * from entry where seq > (select up_to from carried) order by seq'
  const entries = prepared(db, sql)
  yield* entries.iterate() as Iterable<EntryRow>
}

/** A row of the file as it would be, were it up to date. */
export function upToDate<Row extends AccountRow>(
  row: Row,
  behind: ReadonlyMap<bigint, Behind>,
): Row {
  const standing = behind.get(row.no)?.standing
  return standing === undefined
    ? row
    : { ...row, posted: standing.posted, pending: standing.pending }
}
