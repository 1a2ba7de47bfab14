/** One open file: pragmas, and the lock that keeps a second process out. */
import { DatabaseSync } from 'node:sqlite'
import { migrate } from './sqlite-schema.ts'

/**
 * Opens the ledger. `synchronous=FULL` is what "acknowledged" rests on: with NORMAL, a power cut
 * took acknowledged commits in most of the crash images measured.
 */
export function openConnection(path: string): DatabaseSync {
  const db = new DatabaseSync(path)
  try {
    db.exec(`pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on;
      pragma busy_timeout = 2000; pragma cache_size = -32000`)
    migrate(db)
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

export interface Lock {
  release(): void
}

/**
 * One process a data folder. The lock is an open transaction in a file of its own, so the operating
 * system drops it with the process, however that ends.
 */
export function lock(path: string): Lock {
  const db = new DatabaseSync(path)
  try {
    db.exec('pragma busy_timeout = 200; pragma locking_mode = exclusive; begin exclusive')
  } catch (error) {
    db.close()
    throw new Error(
      `another Bursar is using ${path.replace(/[^/]+$/, '')}: stop it or choose another ` +
        'folder with --data',
      { cause: error },
    )
  }
  return { release: () => db.close() }
}
