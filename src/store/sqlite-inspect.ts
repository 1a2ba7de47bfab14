/** A ledger file looked at from outside: read only, whether or not a Bursar is using it. */
import { createHash } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  copyFileSync,
  createReadStream,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname } from 'node:path'
import { backup, DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import type { AccountKey } from '#core/account.ts'
import {
  addEntry,
  checkAccount,
  checkHold,
  checkSpend,
  type Finding,
  type Inspection,
  missingHold,
  newRecount,
  type Recount,
} from '#core/recount.ts'
import type { Hold, LedgerEntry } from '#core/journal.ts'
import {
  accountFromRow,
  type AccountRow,
  entryFromRow,
  type EntryRow,
  holdFromRow,
  type HoldRow,
  type Numbers,
} from './codec.ts'
import { spendSums } from './spend-sql.ts'

const findingsMax = 20

/** Counts the ledger again. Throws where it is missing or cannot be read now. */
export function inspect(path: string): Inspection {
  if (!existsSync(path))
    throw new Error(`there is no ledger at ${path}: name its folder with --data`)
  const db = openToRead(path)
  try {
    // One view of the file, however long the count takes and whoever writes meanwhile.
    db.exec('begin')
    const broken = brokenPages(db)
    return broken === null ? recounted(db) : { ...nothing, findings: [broken] }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    if (!tellsDamage(error)) throw new Error(`${path} cannot be read: ${reason}`, { cause: error })
    return { ...nothing, findings: [damaged(reason)] }
  } finally {
    db.close()
  }
}

/**
 * On a disk that cannot be written SQLite finds no place for its shared memory. Nobody else can
 * write there either, so without a log the file is read as it is.
 */
function openToRead(path: string): DatabaseSync {
  const db = new DatabaseSync(path, { readOnly: true })
  try {
    db.prepare('select 1 from sqlite_schema').get()
  } catch (error) {
    if (codeOf(error) === cannotOpen && !existsSync(`${path}-wal`)) {
      db.close()
      return new DatabaseSync(new URL(`${pathToFileURL(path)}?immutable=1`), { readOnly: true })
    }
  }
  return db
}

const cannotOpen = 14
/** What SQLite says of a file that it could read, and that makes no sense. */
const damageCodes = [11, 26]

/** SQLite's primary code; null: it is not an error of SQLite's. */
function codeOf(error: unknown): number | null {
  const code = error instanceof Error && 'errcode' in error ? error.errcode : null
  return typeof code === 'number' ? code & 0xff : null
}

function tellsDamage(error: unknown): boolean {
  const code = codeOf(error)
  return code === null || damageCodes.includes(code)
}

const nothing = { entries: 0, accounts: 0, holds: 0, openHolds: 0 }

const damaged = (reason: string): Finding => ({
  seq: null,
  subject: 'file',
  message: `the file is damaged (${reason}): restore a backup with \`bursar restore\``,
})

function brokenPages(db: DatabaseSync): Finding | null {
  const [first] = db.prepare('pragma integrity_check(1)').all()
  const said = String(first?.integrity_check ?? 'no answer')
  return said === 'ok' ? null : damaged(said)
}

function* rows(db: DatabaseSync, sql: string): Iterable<unknown> {
  const statement = db.prepare(sql)
  statement.setReadBigInts(true)
  yield* statement.iterate()
}

function recounted(db: DatabaseSync): Inspection {
  const keys = new Map<bigint, AccountKey>()
  for (const row of rows(db, 'select * from account')) {
    const { no, key } = row as AccountRow
    keys.set(no, key as AccountKey)
  }
  const numbers: Numbers = {
    keyOf: (no) => keys.get(no) ?? (`account ${no}, which is not there` as AccountKey),
    numberOf: () => 0n,
  }
  const count = newRecount({ gapless: true })
  const findings: Finding[] = []
  const note = (found: Finding | null): void => {
    if (found !== null && findings.length < findingsMax) findings.push(found)
  }
  for (const row of rows(db, 'select * from entry order by seq')) {
    note(addEntry(count, entryFromRow(row as EntryRow, numbers)))
  }
  for (const row of rows(db, 'select * from account order by no')) {
    note(checkAccount(count, accountFromRow(row as AccountRow)))
  }
  const tally = { holds: 0, openHolds: 0 }
  for (const [hold, entries] of holdsWithEntries(db, numbers)) {
    if (hold !== null) tally.holds += 1
    if (hold?.state === 'pending') tally.openHolds += 1
    note(foundIn(count, hold, entries))
  }
  note(spendTold(db))
  findings.sort((a, b) => (a.seq ?? Infinity) - (b.seq ?? Infinity))
  return { entries: count.seq, accounts: keys.size, ...tally, findings }
}

/** A backup of an older version has no sums to compare. */
function spendTold(db: DatabaseSync): Finding | null {
  const [known] = rows(db, `select 1 from sqlite_schema where name = 'spend'`)
  if (known === undefined) return null
  const [sums] = rows(db, spendSums(''))
  const { told, charged } = sums as { told: bigint; charged: bigint }
  return checkSpend(told, charged)
}

type Entry = LedgerEntry & { readonly seq: number }

function foundIn(count: Recount, hold: Hold | null, entries: readonly Entry[]): Finding | null {
  if (hold !== null) return checkHold(count, hold, entries)
  const [first] = entries
  return first === undefined ? null : missingHold(first)
}

/** Each hold with its entries; null: entries of a hold that is not there. Both are read once. */
function* holdsWithEntries(
  db: DatabaseSync,
  numbers: Numbers,
): Iterable<readonly [Hold | null, readonly Entry[]]> {
  const groups = entryGroups(db, numbers)
  let group = groups.next()
  for (const row of rows(db, 'select * from hold order by id')) {
    const hold = holdFromRow(row as HoldRow, numbers)
    for (; !group.done && group.value.hold < hold.id; group = groups.next()) {
      yield [null, group.value.entries]
    }
    const own = !group.done && group.value.hold === hold.id ? group.value.entries : []
    yield [hold, own]
    if (own.length > 0) group = groups.next()
  }
  for (; !group.done; group = groups.next()) yield [null, group.value.entries]
}

function* entryGroups(
  db: DatabaseSync,
  numbers: Numbers,
): Generator<{ readonly hold: string; readonly entries: readonly Entry[] }, undefined> {
  let hold = ''
  let entries: Entry[] = []
  const sql = 'select * from entry where hold is not null order by hold, seq'
  for (const row of rows(db, sql)) {
    const entry = entryFromRow(row as EntryRow, numbers)
    if (entry.hold !== hold && entries.length > 0) {
      yield { hold, entries }
      entries = []
    }
    hold = entry.hold ?? ''
    entries.push(entry)
  }
  if (entries.length > 0) yield { hold, entries }
  return undefined
}

const allPages = 0x7fffffff
/** Who called what is in it, and what tells keys apart. */
const ownerOnly = 0o600

/** Copies a ledger that may be in use, and writes its checksum beside the copy. */
export async function backUp(path: string, to: string): Promise<string> {
  if (!existsSync(path))
    throw new Error(`there is no ledger at ${path}: name its folder with --data`)
  if (existsSync(to)) throw new Error(`${to} exists already: choose another name`)
  const db = openToRead(path)
  try {
    // In one step: between two, a busy writer would have it begin again and again.
    await backup(db, to, { rate: allPages })
  } finally {
    db.close()
  }
  chmodSync(to, ownerOnly)
  const sum = await checksumOf(to)
  writeFileSync(`${to}.sha256`, `${sum}  ${basename(to)}\n`)
  return sum
}

/**
 * Puts a backup where a ledger is expected. Refuses one that is not what was written, one whose
 * balances are not its entries, and a folder that has a ledger already.
 */
export async function restore(from: string, to: string): Promise<Inspection> {
  // A log that is left over would be played into what is restored.
  for (const file of [to, `${to}-wal`, `${to}-journal`]) {
    if (existsSync(file))
      throw new Error(`${file} exists: move it away first, nothing is overwritten`)
  }
  if (!existsSync(from)) throw new Error(`there is no backup at ${from}`)
  const noted = `${from}.sha256`
  if (!existsSync(noted)) throw new Error(`${noted} is missing: the backup cannot be checked`)
  const [expected] = readFileSync(noted, 'utf8').split(' ')
  if ((await checksumOf(from)) !== expected) {
    throw new Error(`${from} is not what was backed up: its checksum differs from ${noted}`)
  }
  const inspection = inspect(from)
  const [first] = inspection.findings
  if (first !== undefined) throw new Error(`${from} is not sound: ${first.message}`)
  putDown(from, to)
  return inspection
}

/** Under its name only once it is whole and on the disk. */
function putDown(from: string, to: string): void {
  const part = `${to}.part`
  copyFileSync(from, part)
  chmodSync(part, ownerOnly)
  sync(part)
  renameSync(part, to)
  sync(dirname(to))
}

function sync(path: string): void {
  const file = openSync(path, 'r')
  fsyncSync(file)
  closeSync(file)
}

async function checksumOf(path: string): Promise<string> {
  const digest = createHash('sha256')
  for await (const chunk of createReadStream(path)) digest.update(chunk as Buffer)
  return digest.digest('hex')
}
