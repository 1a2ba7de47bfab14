/** Connections to PostgreSQL: how long each may take, how values are read, what a failure means. */
import { Socket } from 'node:net'
import { Client, type ClientConfig, DatabaseError, Pool, types } from 'pg'
import { StoreUnavailable } from '#ports/store.ts'
import { Unreachable } from '#store/group-commit.ts'

const int8 = 20

/** Money is exact: eight bytes are a bigint, never a number. */
const readers: ClientConfig['types'] = {
  getTypeParser: (oid: number, format?: string) =>
    oid === int8
      ? (text: string) => BigInt(text)
      : (types.getTypeParser(oid, format as 'text') as (text: string) => unknown),
}

/** Milliseconds; the ledger's are short of what a call waits for it, so that it is told why. */
const connectMs = 1000
const ledgerMs = 1800
const readMs = 10_000

function settings(url: string, name: string): ClientConfig {
  return {
    connectionString: url,
    types: readers,
    application_name: `bursar ${name}`,
    connectionTimeoutMillis: connectMs,
    keepAlive: true,
  }
}

/**
 * A replica that freezes amid a transaction would keep the organization's row from all others:
 * PostgreSQL ends it, before who waits for the row gives up. `synchronous_commit` is what
 * "acknowledged" rests on.
 */
const ledgerOptions = [
  'idle_in_transaction_session_timeout=1000',
  'lock_timeout=1500',
  'statement_timeout=5000',
  // Every row of a batch is found by its key. A plan made while the tables were small would read
  // them whole for ever after.
  'enable_seqscan=off',
  'enable_hashjoin=off',
  'enable_mergejoin=off',
  'plan_cache_mode=force_generic_plan',
]
  .map((option) => `-c ${option}`)
  .join(' ')

interface Link {
  readonly socket: Socket
  readonly ready: Promise<Client>
}

/** One connection, opened when it is needed; a broken one is replaced at the next use. */
export class Connection {
  readonly #settings: ClientConfig
  readonly #opened: (client: Client) => Promise<unknown>
  #link: Link | null = null

  /** `opened` makes a new connection ready. */
  constructor(settings: ClientConfig, opened: (client: Client) => Promise<unknown>) {
    this.#settings = settings
    this.#opened = opened
  }

  /** Rejects with `Unreachable`. */
  use(): Promise<Client> {
    this.#link ??= this.#open()
    return this.#link.ready
  }

  /** Nothing that it is in the middle of can be trusted. Waits for no server. */
  drop(): void {
    this.#link?.socket.destroy()
    this.#link = null
  }

  async close(): Promise<void> {
    const link = this.#link
    this.#link = null
    await link?.ready.then((client) => client.end()).catch(() => {})
  }

  #open(): Link {
    const socket = new Socket()
    const client = new Client({ ...this.#settings, stream: () => socket })
    const gone = (): void => {
      if (this.#link?.socket === socket) this.#link = null
    }
    client.on('error', gone)
    client.on('end', gone)
    const ready = client
      .connect()
      .then(() => this.#opened(client))
      .then(() => client)
      .catch((error: unknown) => {
        gone()
        socket.destroy()
        throw failureOf(error)
      })
    return { socket, ready }
  }
}

export function ledgerSettings(url: string): ClientConfig {
  const rest = { options: ledgerOptions, pipeline: true, query_timeout: ledgerMs }
  return { ...settings(url, 'ledger'), ...rest }
}

/** The connection on which the ledger's batches are committed. */
export function ledgerConnection(url: string): Connection {
  // Somebody's default may be off: then a crash of the server takes what was acknowledged.
  return new Connection(ledgerSettings(url), (client) =>
    client.query(
      `select set_config('synchronous_commit', 'on', false)
       where current_setting('synchronous_commit') = 'off'`,
    ),
  )
}

/** The connection on which a replica listens to the others. */
export function watchConnection(
  url: string,
  opened: (client: Client) => Promise<unknown>,
): Connection {
  return new Connection({ ...settings(url, 'watch'), query_timeout: readMs }, opened)
}

export function readPool(url: string): Pool {
  const pool = new Pool({ ...settings(url, 'reads'), max: 4, query_timeout: readMs })
  // A connection that breaks while nobody uses it is replaced when somebody does.
  pool.on('error', () => {})
  return pool
}

/** The database answers, and is not one to work with: asking it again will not help. */
export class Unusable extends Error {
  override readonly name = 'Unusable'
}

/**
 * Work on a connection of its own, for as long as it takes: migrations, counting a ledger. Rejects
 * with `StoreUnavailable` where the database cannot be reached.
 */
export async function patiently<Value>(
  url: string,
  work: (client: Client) => Promise<Value>,
): Promise<Value> {
  const connection = new Connection({ ...settings(url, 'work'), pipeline: true }, async () => {})
  try {
    return await work(await connection.use())
  } catch (error) {
    const failure = failureOf(error)
    throw failure instanceof Unreachable ? unavailable(failure) : failure
  } finally {
    await connection.close()
  }
}

/** What the server says of one statement is about that; anything else is about the server. */
export function failureOf(error: unknown): Error {
  const isAnswer = error instanceof DatabaseError && !/^(08|25|53|57|58|XX)/.test(error.code ?? '')
  if (isAnswer || error instanceof Unreachable || error instanceof Unusable) return error
  const reason = error instanceof Error ? error.message || error.name : String(error)
  return new Unreachable(`PostgreSQL: ${reason}`, { cause: error })
}

export function unavailable(error: unknown): StoreUnavailable {
  const { message } = failureOf(error)
  return new StoreUnavailable(message, { cause: error })
}
