/** How the embedded ledger takes its turns: worked out on its rows, made durable by its writer. */
import { type BatchWriter, failureOf } from './batch-writer.ts'
import type { Transaction } from './group-commit.ts'
import type { SqliteRows } from './sqlite-rows.ts'
import type { Batch } from './sqlite-writes.ts'

/** What its jobs read is in memory, or read as they run: they need not name it. */
export function sqliteTransaction(rows: SqliteRows, writer: BatchWriter): Transaction<null> {
  return {
    overlaps: () => rows.accounts.hasRoom(),
    begin: (_needs, again, ready) => ready(failureOf(() => rows.begin(again))),
    commit: (done) => {
      let batch: Batch = []
      const unfinished = failureOf(() => {
        batch = rows.finish()
      })
      if (unfinished !== null) return done(unfinished)
      writer.write(batch, (failure) => {
        if (failure === null) rows.committed()
        done(failure)
      })
    },
    rollback: () => rows.forget(),
  }
}
