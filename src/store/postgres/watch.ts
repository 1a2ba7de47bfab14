/**
 * What other replicas change: heard by LISTEN at once, and asked for every few seconds, because a
 * word may be lost where a connection was.
 */
import { randomUUID } from 'node:crypto'
import type { Client } from 'pg'
import type { VirtualKey } from '#core/key.ts'
import type { RecordKind } from '#core/record.ts'
import { fromJson } from '#lib/json.ts'
import type { News } from '#ports/store.ts'
import { type Connection, watchConnection } from './connection.ts'
import { channel } from './control-rows.ts'
import type { Write } from './rows.ts'

const askEveryMs = 4000
/** Transactions end in another order than they took revisions: so many are asked for again. */
const overlap = 200

interface Changed {
  /** Null: a key. */
  readonly kind: RecordKind | null
  readonly id: string
  readonly json: string
  readonly revision: bigint
}

function newsOf({ kind, id, json }: Changed): News {
  const value = fromJson(json)
  return kind === null
    ? { kind: 'key', key: value as VirtualKey }
    : { kind: 'record', record: { kind, id, value } }
}

export class Watch {
  readonly #origin = randomUUID()
  readonly #connection: Connection
  #tell: ((news: News) => void) | null = null
  #timer: NodeJS.Timeout | null = null
  #asking: Promise<void> | null = null
  #askAgain = false
  #revision = 0n
  /** Revisions within the overlap that were told. */
  readonly #told = new Set<bigint>()
  #config = ''

  constructor(url: string) {
    this.#connection = watchConnection(url, (client) => this.#listen(client))
  }

  /** Tells of what changes after it resolves. */
  async start(tell: (news: News) => void): Promise<void> {
    const client = await this.#connection.use()
    const { rows } = await client.query<{ last: bigint | null }>(
      `select max(revision) as last from (select revision from bursar.virtual_key
         union all select revision from bursar.record) as v`,
    )
    this.#revision = rows[0]?.last ?? 0n
    this.#config = await this.#configOf(client)
    this.#tell = tell
    this.#timer = setInterval(() => void this.#askSoon(), askEveryMs)
    this.#timer.unref()
  }

  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#tell = null
    await this.#asking
    await this.#connection.close()
  }

  /** Writes that tell all others that the config has changed. */
  announcement(): readonly Write[] {
    return [
      {
        text: `insert into bursar.setting (name, value) values ('config', $1)
               on conflict (name) do update set value = excluded.value`,
        values: [`${this.#origin} ${randomUUID()}`],
      },
      { text: `select pg_notify($1, 'config')`, values: [channel] },
    ]
  }

  async #listen(client: Client): Promise<void> {
    client.on('notification', () => void this.#askSoon())
    await client.query(`listen ${channel}`)
  }

  /** One question at a time; what is heard meanwhile asks once more. */
  #askSoon(): void {
    if (this.#asking !== null) {
      this.#askAgain = true
      return
    }
    // Where the database is gone the ledger says so, and the next question comes by itself.
    this.#asking = this.#ask()
      .catch(() => this.#connection.drop())
      .finally(() => {
        this.#asking = null
        if (this.#askAgain) this.#askSoon()
        this.#askAgain = false
      })
  }

  async #ask(): Promise<void> {
    const client = await this.#connection.use()
    const { rows } = await client.query<Changed>(
      `select null as kind, id, json, revision from bursar.virtual_key where revision > $1
       union all select kind, id, json, revision from bursar.record where revision > $1
       order by revision`,
      [this.#revision - BigInt(overlap)],
    )
    for (const row of rows) {
      const { revision } = row
      if (this.#told.has(revision)) continue
      this.#told.add(revision)
      if (revision > this.#revision) this.#revision = revision
      this.#tell?.(newsOf(row))
    }
    for (const revision of this.#told) {
      if (revision <= this.#revision - BigInt(overlap)) this.#told.delete(revision)
    }
    const config = await this.#configOf(client)
    const isNew = config !== this.#config
    this.#config = config
    if (isNew && !config.startsWith(this.#origin)) this.#tell?.({ kind: 'config' })
  }

  /** Another one each time that a replica has all others read their config again. */
  async #configOf(client: Client): Promise<string> {
    const { rows } = await client.query<{ value: string }>(
      `select value from bursar.setting where name = 'config'`,
    )
    return rows[0]?.value ?? ''
  }
}
