/** Carries out batches, each in one transaction that is durable when `write` returns. */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { assert } from '#lib/assert.ts'
import { openConnection } from './sqlite-connection.ts'
import { type Batch, writes } from './sqlite-writes.ts'

/** Pages of the write-ahead log after which it is copied into the file, between two batches. */
const checkpointPages = 4000

interface Open {
  readonly db: DatabaseSync
  readonly statements: readonly StatementSync[]
  readonly logLength: StatementSync
}

function prepared(db: DatabaseSync): Open {
  // Whoever waits for a commit should not wait for a checkpoint as well. And at most commits SQLite
  // goes through all that it has cached, because it numbers pages beyond the end of the file while
  // it balances a tree: a writer appends, so a small cache serves it best.
  db.exec('pragma wal_autocheckpoint = 0; pragma cache_size = -8000')
  return {
    db,
    statements: writes.map(({ sql }) => db.prepare(sql)),
    logLength: db.prepare('pragma wal_checkpoint(noop)'),
  }
}

export class SqliteWriter {
  readonly #path: string
  #open: Open
  #broken = false

  /** `db`: the one connection of a ledger in memory, which is its reader's too. */
  constructor(path: string, db?: DatabaseSync) {
    this.#path = path
    this.#open = prepared(db ?? openConnection(path))
  }

  /** Throws when the batch is not durable; then nothing of it is. */
  write(batch: Batch): void {
    if (this.#broken) this.#reopen()
    this.#open.db.exec('begin immediate')
    try {
      this.#run(batch)
      this.#open.db.exec('commit')
    } catch (error) {
      this.#rollback()
      throw error
    }
  }

  /** Call when nobody waits: tens of milliseconds where the log has grown long. */
  checkpoint(): void {
    if (this.#broken) return
    const row = this.#open.logLength.get()
    if (Number(row?.log ?? 0) - Number(row?.checkpointed ?? 0) < checkpointPages) return
    this.#open.db.exec('pragma wal_checkpoint(passive)')
  }

  close(): void {
    this.#open.db.close()
  }

  #run(batch: Batch): void {
    for (let i = 0; i < batch.length; ) {
      const no = batch[i]
      assert(typeof no === 'number', 'a batch names its statements by number')
      const statement = this.#open.statements[no]
      const write = writes[no]
      assert(statement !== undefined && write !== undefined, 'no such statement', no)
      statement.run(...batch.slice(i + 1, i + 1 + write.values))
      i += 1 + write.values
    }
  }

  /**
   * After a failed commit the connection is replaced before the next, because SQLite would go on
   * happily after a failed fsync.
   */
  #rollback(): void {
    this.#broken = true
    try {
      if (this.#open.db.isTransaction) this.#open.db.exec('rollback')
    } catch {
      // What is broken may refuse this too.
    }
  }

  #reopen(): void {
    if (this.#path !== ':memory:') {
      try {
        this.#open.db.close()
      } catch {
        // Closing what is broken may fail; what counts is whether the new one opens.
      }
      this.#open = prepared(openConnection(this.#path))
    }
    this.#broken = false
  }
}
