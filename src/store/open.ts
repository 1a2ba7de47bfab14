/** Which store it is: SQLite in the data folder, or the PostgreSQL of `DATABASE_URL`. */
import { join } from 'node:path'
import type { Inspection } from '#core/recount.ts'
import type { Store } from '#ports/store.ts'
import { inspector } from './inspector.ts'
import { inspectPostgres } from './postgres/inspect.ts'
import { PostgresStore } from './postgres/store.ts'
import { SqliteStore } from './sqlite.ts'

export interface Opened {
  readonly store: Store
  /** Counts the ledger again, while it is in use. */
  readonly inspect: () => Promise<Inspection>
}

export async function openStore(
  dataFolder: string,
  databaseUrl: string | undefined,
): Promise<Opened> {
  if (databaseUrl === undefined || databaseUrl === '') {
    const path = join(dataFolder, 'bursar.db')
    return { store: new SqliteStore({ path }), inspect: inspector(path) }
  }
  const url = checked(databaseUrl)
  const store = await PostgresStore.open({ url })
  return { store, inspect: () => inspectPostgres(url) }
}

function checked(url: string): string {
  if (/^postgres(ql)?:\/\//.test(url)) return url
  // Not the URL itself: it may have a password in it.
  throw new Error('DATABASE_URL must begin with postgres://, or be unset for SQLite')
}
