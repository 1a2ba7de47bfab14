/** A ledger file looked at from outside: read only, whether or not a Bursar is using it. */
import { createHash } from 'node:crypto'
import { copyFileSync, createReadStream, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { backup, DatabaseSync } from 'node:sqlite'
import type { AccountKey } from '#core/account.ts'
import { addEntry, checkAccount, checkHold, type Finding, newRecount } from '#core/recount.ts'
import {
  accountFromRow,
  type AccountRow,
  entryFromRow,
  type EntryRow,
  holdFromRow,
  type HoldRow,
  type Numbers,
} from './codec.ts'

export interface Inspection {
  readonly entries: number
  readonly accounts: number
  readonly holds: number
  readonly openHolds: number
  /** The first bad entry first; empty: the ledger is what its entries say. */
  readonly findings: readonly Finding[]
}

const findingsMax = 20

/** Counts the ledger again. Throws where the file is missing or is no ledger. */
export function inspect(path: string): Inspection {
  if (!existsSync(path))
    throw new Error(`there is no ledger at ${path}: name its folder with --data`)
  const db = new DatabaseSync(path, { readOnly: true })
  try {
    const broken = brokenPages(db)
    if (broken !== null) return { ...nothing, findings: [broken] }
    // One view of the file, however long the count takes and whoever writes meanwhile.
    db.exec('begin')
    return recounted(db)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return { ...nothing, findings: [damaged(reason)] }
  } finally {
    db.close()
  }
}

const nothing = { entries: 0, accounts: 0, holds: 0, openHolds: 0 }

const damaged = (reason: string): Finding => ({
  seq: null,
  subject: 'file',
  message: `the file is damaged (${reason}): restore a backup with \`bursar restore\``,
})

function brokenPages(db: DatabaseSync): Finding | null {
  const [first] = db.prepare('pragma quick_check(1)').all()
  const said = String(first?.quick_check ?? 'no answer')
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
  const count = newRecount()
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
  let holds = 0
  let openHolds = 0
  for (const row of rows(db, 'select * from hold order by rowid')) {
    const hold = holdFromRow(row as HoldRow, numbers)
    holds += 1
    if (hold.state === 'pending') openHolds += 1
    note(checkHold(count, hold))
  }
  return { entries: count.seq, accounts: keys.size, holds, openHolds, findings }
}

/** Copies a ledger that may be in use, and writes its checksum beside the copy. */
export async function backUp(path: string, to: string): Promise<string> {
  if (!existsSync(path))
    throw new Error(`there is no ledger at ${path}: name its folder with --data`)
  if (existsSync(to)) throw new Error(`${to} exists already: choose another name`)
  const db = new DatabaseSync(path, { readOnly: true })
  try {
    await backup(db, to)
  } finally {
    db.close()
  }
  const sum = await checksumOf(to)
  writeFileSync(`${to}.sha256`, `${sum}  ${basename(to)}\n`)
  return sum
}

/**
 * Puts a backup where a ledger is expected. Refuses one that is not what was written, one whose
 * balances are not its entries, and a folder that has a ledger already.
 */
export async function restore(from: string, to: string): Promise<Inspection> {
  if (existsSync(to)) throw new Error(`${to} exists: move it away first, nothing is overwritten`)
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
  copyFileSync(from, to)
  return inspection
}

async function checksumOf(path: string): Promise<string> {
  const digest = createHash('sha256')
  for await (const chunk of createReadStream(path)) digest.update(chunk as Buffer)
  return digest.digest('hex')
}
