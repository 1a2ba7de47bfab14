/** One open file: pragmas, prepared statements, and the lock that keeps a second process out. */
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { migrate } from './sqlite-schema.ts'

export interface Statements {
  readonly db: DatabaseSync
  readonly accountByKey: StatementSync
  readonly accountByNo: StatementSync
  readonly insertAccount: StatementSync
  readonly updateAccount: StatementSync
  readonly hold: StatementSync
  readonly addHold: StatementSync
  readonly updateHold: StatementSync
  readonly insertEntry: StatementSync
  readonly insertAlert: StatementSync
}

/**
 * Opens the ledger. `synchronous=FULL` is what "acknowledged" rests on: with NORMAL, a power cut
 * took acknowledged commits in most of the crash images measured.
 */
export function openConnection(path: string): Statements {
  const db = new DatabaseSync(path)
  db.exec(`pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on;
    pragma busy_timeout = 2000; pragma wal_autocheckpoint = 2000; pragma cache_size = -32000`)
  migrate(db)
  const prepare = (sql: string): StatementSync => {
    const statement = db.prepare(sql)
    statement.setReadBigInts(true)
    return statement
  }
  return {
    db,
    accountByKey: prepare('select * from account where key = ?'),
    accountByNo: prepare('select * from account where no = ?'),
    insertAccount: prepare(
      `insert into account (key, budget, value, unit, period_start, period_end, amount, posted,
       pending, fired, throttle, recent) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    updateAccount: prepare(
      `update account set amount = ?, posted = ?, pending = ?, fired = ?, throttle = ?, recent = ?
       where no = ?`,
    ),
    hold: prepare('select * from hold where id = ?'),
    addHold: prepare('insert into hold values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)'),
    updateHold: prepare(
      `update hold set state = ?, ended_at = ?, tokens = ?, cost = ?, basis = ?, lines = ?,
       facts = ? where id = ?`,
    ),
    insertEntry: prepare('insert into entry values (null, ?, ?, ?, ?, ?, ?, ?)'),
    insertAlert: prepare('insert or ignore into alert (id, at, json) values (?, ?, ?)'),
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
