/** Which store it is: SQLite in the data folder, or the PostgreSQL of `DATABASE_URL`. */
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Inspection } from '#core/recount.ts'
import { type Store, StoreUnavailable } from '#ports/store.ts'
import { inspector } from './inspector.ts'
import { inspectPostgres } from './postgres/inspect.ts'
import { PostgresStore } from './postgres/store.ts'
import { SqliteStore } from './sqlite.ts'

export interface Opened {
  readonly store: Store
  /** Counts the ledger again, while it is in use. */
  readonly inspect: () => Promise<Inspection>
}

/** A database that is not there yet is waited for, however long: `waiting` hears why. */
export async function openStore(
  dataFolder: string,
  databaseUrl: string | undefined,
  waiting: (reason: string) => void,
): Promise<Opened> {
  if (databaseUrl === undefined) {
    const path = join(dataFolder, 'bursar.db')
    return { store: new SqliteStore({ path }), inspect: inspector(path) }
  }
  const url = postgresUrl(databaseUrl, 'DATABASE_URL')
  for (let tries = 0; ; tries += 1) {
    try {
      const store = await PostgresStore.open({ url })
      return { store, inspect: () => inspectPostgres(url) }
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error
      if (tries % tellEvery === 0) waiting(`waiting for the database: ${error.message}`)
      await setTimeout(retryMs)
    }
  }
}

const retryMs = 500
const tellEvery = 60

/** `url`, if it is one. Throws with the name of where it came from. */
export function postgresUrl(url: string, from: string): string {
  if (/^postgres(ql)?:\/\//.test(url)) return url
  // Not the URL itself: it may have a password in it.
  throw new Error(`${from} must begin with postgres://`)
}
