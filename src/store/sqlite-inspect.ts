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
import type { Finding, Inspection } from '#core/recount.ts'
import type { AccountRow } from './codec.ts'
import { type LedgerView, recounted } from './recounted.ts'
import { accountsBehind, upToDate } from './sqlite-behind.ts'
import { prepared } from './sqlite-connection.ts'
import { NewerLedger, schemaVersion } from './sqlite-schema.ts'
import { spendSums } from './spend-sql.ts'

/** Counts the ledger again. Rejects where it is missing or cannot be read now. */
export async function inspect(path: string): Promise<Inspection> {
  if (!existsSync(path))
    throw new Error(`there is no ledger at ${path}: name its folder with --data`)
  const db = openToRead(path)
  try {
    schemaVersion(db)
    // One view of the file, however long the count takes and whoever writes meanwhile.
    db.exec('begin')
    const broken = brokenPages(db)
    return broken === null ? await recounted(viewOf(db)) : { ...nothing, findings: [broken] }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    if (error instanceof NewerLedger) throw error
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

function* rows<Row>(db: DatabaseSync, sql: string): Iterable<Row> {
  yield* prepared(db, sql).iterate() as Iterable<Row>
}

function viewOf(db: DatabaseSync): LedgerView {
  const behind = accountsBehind(db)
  function* accounts(): Iterable<AccountRow> {
    const sql = 'select * from account order by no'
    for (const row of rows<AccountRow>(db, sql)) yield upToDate(row, behind)
  }
  return {
    gapless: true,
    accounts,
    entries: () => rows(db, 'select * from entry order by seq'),
    holds: () => rows(db, 'select * from hold order by id'),
    entriesByHold: () => rows(db, 'select * from entry where hold is not null order by hold, seq'),
    spendSums: async () => {
      // A backup of an older version has no sums to compare.
      const [known] = rows(db, `select 1 from sqlite_schema where name = 'spend'`)
      if (known === undefined) return null
      const [sums] = rows<{ told: bigint; charged: bigint }>(db, spendSums(''))
      return sums ?? null
    },
  }
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
  const inspection = await inspect(from)
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
