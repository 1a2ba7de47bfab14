/** One open file: pragmas, and the lock that keeps a second process out. */
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { migrate, NewerLedger } from './sqlite-schema.ts'

/**
 * Opens the ledger. `synchronous=FULL` is what "acknowledged" rests on: with NORMAL, a power cut
 * took acknowledged commits in most of the crash images measured.
 */
export function openConnection(path: string): DatabaseSync {
  let db: DatabaseSync | null = null
  try {
    db = new DatabaseSync(path)
    db.exec(`pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on;
      pragma busy_timeout = 2000; pragma cache_size = -32000`)
    migrate(db)
    return db
  } catch (error) {
    db?.close()
    if (error instanceof NewerLedger) throw error
    const reason = error instanceof Error ? error.message : String(error)
    throw new Error(
      `the ledger ${path} cannot be used: ${reason}. Is its disk writable and not full? ` +
        '`bursar doctor` says whether the file is sound',
      { cause: error },
    )
  }
}

/** Its integers are read as bigints: a sum of money may be more than a number holds. */
export function prepared(db: DatabaseSync, sql: string): StatementSync {
  const statement = db.prepare(sql)
  statement.setReadBigInts(true)
  return statement
}

export interface Lock {
  release(): void
}

/**
 * One process a data folder. The lock is an open transaction in a file of its own, so the operating
 * system drops it with the process, however that ends.
 */
export function lock(path: string): Lock {
  let db: DatabaseSync | null = null
  try {
    db = new DatabaseSync(path)
    db.exec('pragma busy_timeout = 200; pragma locking_mode = exclusive; begin exclusive')
    const held = db
    return { release: () => held.close() }
  } catch (error) {
    db?.close()
    throw new Error(whyNotLocked(path.replace(/[^/]+$/, ''), error), { cause: error })
  }
}

const busy = 5

function whyNotLocked(folder: string, error: unknown): string {
  const reason = error instanceof Error ? error.message : String(error)
  const taken = error instanceof Error && 'errcode' in error && error.errcode === busy
  return taken
    ? `another Bursar is using ${folder}: stop it or choose another folder with --data`
    : `${folder} cannot be locked: ${reason}. Is its disk writable and not full?`
}
