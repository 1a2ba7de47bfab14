/**
 * The journal of endings as a small SQLite file: it has what the ledger could not take, and any
 * number of processes may share it. It is made when it is needed, and nearly always empty.
 */
import { existsSync, renameSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { z } from 'zod'
import { nanos } from '#core/money.ts'
import type { Ending } from '#core/journal.ts'
import type { HoldId } from '#lib/id.ts'
import { fromJson, toJson } from '#lib/json.ts'
import type { EndingJournal } from '#ports/ending-journal.ts'

interface Task {
  readonly hold: HoldId
  /** Null: the ledger has it, so it goes. */
  readonly ending: Ending | null
  readonly done: () => void
  readonly failed: (reason: Error) => void
}

export class EndingFile implements EndingJournal {
  readonly #path: string
  readonly #tell: (problem: string) => void
  #db: DatabaseSync | null = null
  #tasks: Task[] = []

  /** `tell` hears what could not be read: it is set aside, never dropped. */
  constructor(path: string, tell: (problem: string) => void) {
    this.#path = path
    this.#tell = tell
  }

  /**
   * What was kept and the ledger may not have: an earlier process's, or that of one that shares the
   * file and is still trying. Throws where the file is there but may not be read.
   */
  left(): readonly Ending[] {
    if (!existsSync(this.#path)) return []
    try {
      const db = this.#open()
      const [{ quick_check: found } = {}] = db.prepare('pragma quick_check').all()
      if (found !== 'ok') throw Object.assign(new Error(String(found)), { errcode: corrupt })
      const rows = db.prepare('select hold, json from ending order by rowid').all()
      return rows.flatMap(({ hold, json }) => this.#read(String(hold), String(json)) ?? [])
    } catch (error) {
      this.close()
      if (!isDamage(error)) throw new Error(`${this.#path}: ${messageOf(error)}`, { cause: error })
      this.#setAside(messageOf(error))
      return []
    }
  }

  keep(ending: Ending): Promise<void> {
    return new Promise((done, failed) => this.#add({ hold: ending.hold, ending, done, failed }))
  }

  forget(hold: HoldId): void {
    // Where it fails, the ending is told again at the next start, and that changes nothing.
    this.#add({ hold, ending: null, done: () => {}, failed: () => {} })
  }

  close(): void {
    if (this.#tasks.length > 0) this.#write()
    this.#db?.close()
    this.#db = null
  }

  /** When a database goes away, hundreds of calls may end in one turn: one sync for all of them. */
  #add(task: Task): void {
    if (this.#tasks.push(task) === 1) setImmediate(() => this.#write())
  }

  #write(): void {
    const tasks = this.#tasks
    if (tasks.length === 0) return
    this.#tasks = []
    try {
      const db = this.#open()
      db.exec('begin immediate')
      const put = db.prepare('insert or replace into ending (hold, json) values (?, ?)')
      const drop = db.prepare('delete from ending where hold = ?')
      for (const { hold, ending } of tasks) {
        if (ending === null) drop.run(hold)
        else put.run(hold, toJson(ending))
      }
      db.exec('commit')
    } catch (error) {
      // A file that was opened anew is in the middle of nothing.
      this.#db?.close()
      this.#db = null
      const reason = new Error(`${this.#path}: ${messageOf(error)}`, { cause: error })
      for (const { failed } of tasks) failed(reason)
      return
    }
    for (const { done } of tasks) done()
  }

  #open(): DatabaseSync {
    if (this.#db !== null) return this.#db
    const db = new DatabaseSync(this.#path)
    try {
      db.exec(`pragma busy_timeout = 2000; pragma journal_mode = truncate;
        pragma synchronous = full;
        create table if not exists ending (hold text primary key, json text not null)`)
    } catch (error) {
      db.close()
      throw error
    }
    this.#db = db
    return db
  }

  #read(hold: string, json: string): Ending | null {
    try {
      return endingIn.parse(fromJson(json)) as Ending
    } catch {
      this.#tell(
        `${this.#path} has an ending of ${hold} that cannot be understood. It stays there; the ` +
          'call is presumed to have cost what was held for it, until its bill says otherwise',
      )
      return null
    }
  }

  #setAside(reason: string): void {
    const aside = `${this.#path}.damaged-${Date.now()}`
    renameSync(this.#path, aside)
    // Its half a transaction must not be rolled back into the next file.
    const half = `${this.#path}-journal`
    if (existsSync(half)) renameSync(half, `${aside}-journal`)
    this.#tell(
      `${this.#path} is damaged (${reason}) and was set aside as ${aside}. The calls in it are ` +
        'presumed to have cost what was held for them, until their bill says otherwise',
    )
  }
}

const corrupt = 11
const notADatabase = 26

const isDamage = (error: unknown): boolean =>
  error instanceof Error &&
  'errcode' in error &&
  (error.errcode === corrupt || error.errcode === notADatabase)

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

const hold = z.string().startsWith('hold_')
const facts = z.record(z.string(), z.unknown())
const cost = z.bigint().nonnegative().transform(nanos)
const reasoned = { reason: z.string(), author: z.string() }

const endingIn = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('settle'),
    hold,
    cost,
    tokens: z.int().nonnegative(),
    basis: z.enum(['actual', 'presumed']),
    facts,
  }),
  z.object({ kind: z.literal('void'), hold, facts }),
  z.object({ kind: z.literal('expire'), hold }),
  z.object({ kind: z.literal('adjust'), hold, cost, ...reasoned }),
])
