/**
 * An embedded ledger copied into PostgreSQL, row by row as it is: the same numbers, the same
 * balances. What was interrupted goes on where it stopped; both are counted again at the end.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Client } from 'pg'
import type { Inspection } from '#core/recount.ts'
import { instant } from '#core/time.ts'
import { SqliteAccounts } from '#store/sqlite-accounts.ts'
import { lock, openConnection } from '#store/sqlite-connection.ts'
import { inspect } from '#store/sqlite-inspect.ts'
import { SqliteWriter } from '#store/sqlite-writer.ts'
import { addWrite, type Batch } from '#store/sqlite-writes.ts'
import { patiently, Unusable } from './connection.ts'
import { inspectPostgres } from './inspect.ts'
import { makePartitions } from './partitions.ts'
import { migrate } from './schema.ts'

export interface Progress {
  readonly table: string
  readonly done: number
  readonly of: number
}

/** In this order; each with the column that numbers it there, where it has one. */
const tables = [
  ['account', 'no'],
  ['hold', null],
  ['entry', 'seq'],
  ['spend', null],
  ['alert', 'seq'],
  ['notification', null],
  ['virtual_key', null],
  ['override', null],
  ['record', null],
  ['mark', null],
  ['observation', null],
  ['audit', 'seq'],
  ['outcome_event', 'seq'],
  ['known_rule', null],
] as const

const batchRows = 5000

/** Resolves with what the new ledger counts. Rejects, with the copy to be continued, otherwise. */
export async function moveIn(
  folder: string,
  url: string,
  progress: (step: Progress) => void,
): Promise<Inspection> {
  const path = join(folder, 'bursar.db')
  if (!existsSync(path)) throw new Error(`there is no ledger in ${folder}: name its folder`)
  // Nobody writes to it meanwhile.
  const held = lock(`${path}.lock`)
  try {
    bringUpToDate(path)
    const before = await inspect(path)
    const [fault] = before.findings
    if (fault !== undefined) throw new Error(`${path} is not sound: ${fault.message}`)
    await patiently(url, async (client) => {
      await migrate(client)
      await claim(client, path)
      await copyAll(path, client, progress)
      await bringSecret(client, folder)
    })
    const after = await inspectPostgres(url)
    await patiently(url, async (client) => {
      await compare(path, client, before, after)
      await client.query(`delete from bursar.setting where name = 'moved_in'`)
      await client.query(`update bursar.setting set name = 'moved_in' where name = 'moving_in'`)
    })
    return after
  } finally {
    held.release()
  }
}

/** As the newest schema has it, whoever wrote it, and every row with every entry. */
function bringUpToDate(path: string): void {
  const writer = new SqliteWriter(path)
  const db = openConnection(path)
  try {
    const batch: Batch = []
    const accounts = new SqliteAccounts(db)
    accounts.begin()
    accounts.carryAll()
    accounts.finish((name, ...values) => addWrite(batch, name, values))
    writer.write(batch)
  } finally {
    db.close()
    writer.close()
  }
}

/** The database is empty, or holds what an interrupted move of the same ledger has copied. */
async function claim(client: Client, path: string): Promise<void> {
  const { rows } = await client.query<{ name: string; value: string }>(
    `select name, value from bursar.setting where name in ('moving_in', 'moved_in')`,
  )
  const from = new Map(rows.map(({ name, value }) => [name, value]))
  if (from.get('moving_in') === path) return
  if (from.get('moved_in') === path) {
    throw new Unusable('this ledger was moved there already: start replicas with DATABASE_URL')
  }
  const found = await client.query('select 1 from bursar.entry limit 1')
  if (rows.length > 0 || found.rows.length > 0) {
    throw new Unusable(
      'the database has a ledger already: name an empty one, nothing is overwritten',
    )
  }
  await client.query(`insert into bursar.setting (name, value) values ('moving_in', $1)`, [path])
}

/** Half a ledger would admit calls against half of what was spent. */
export async function refuseHalfMoved(client: Client): Promise<void> {
  const { rows } = await client.query(`select 1 from bursar.setting where name = 'moving_in'`)
  if (rows.length === 0) return
  throw new Unusable('a ledger was moved here, and not to its end: run `bursar migrate` again')
}

async function copyAll(
  path: string,
  client: Client,
  progress: (step: Progress) => void,
): Promise<void> {
  const db = new DatabaseSync(path, { readOnly: true })
  try {
    const { low, high } = db
      .prepare('select min(at) as low, max(at) as high from entry')
      .get() as Record<'low' | 'high', number | null>
    if (low !== null && high !== null) {
      await makePartitions(client, instant(low), instant(high))
    }
    for (const [table, number] of tables) {
      await copy(db, client, table, progress)
      if (number === null) continue
      const last = `coalesce((select max(${number}) from bursar.${table}), 0) + 1`
      await client.query(
        `select setval(pg_get_serial_sequence('bursar.${table}', '${number}'), ${last}, false)`,
      )
    }
    await copyAuditHead(db, client)
  } finally {
    db.close()
  }
}

/** As it was kept: rows that were missing before are missing after, and that is told. */
async function copyAuditHead(db: DatabaseSync, client: Client): Promise<void> {
  const head = db.prepare('select rows, hash from audit_head').get()
  if (head === undefined) return
  const sql = 'update bursar.audit_head set rows = $1, hash = $2'
  await client.query(sql, [head.rows, head.hash])
}

/** Rows in the order in which they were made; as many as are there are not made again. */
async function copy(
  db: DatabaseSync,
  client: Client,
  table: string,
  progress: (step: Progress) => void,
): Promise<void> {
  const of = Number(db.prepare(`select count(*) as n from ${table}`).get()?.n)
  const there = await client.query<{ n: bigint }>(`select count(*) as n from bursar.${table}`)
  let done = Number(there.rows[0]?.n ?? 0)
  const skipped = db.prepare(`select rowid as at from ${table} order by rowid limit 1 offset ?`)
  const page = db.prepare(
    `select rowid as at_row, * from ${table} where rowid > ? order by rowid limit ${batchRows}`,
  )
  page.setReadBigInts(true)
  let last = done === 0 ? -1n : BigInt(String(skipped.get(done - 1)?.at))
  for (; done < of; progress({ table, done, of })) {
    const rows = page.all(last).map(({ at_row, ...row }) => {
      last = at_row as bigint
      return asPostgres(table, row)
    })
    const columns = Object.keys(rows[0] ?? {}).join(', ')
    await client.query(
      `insert into bursar.${table} (${columns}) overriding system value
       select ${columns} from json_populate_recordset(null::bursar.${table}, $1::json)`,
      [JSON.stringify(rows, (_, value) => (typeof value === 'bigint' ? String(value) : value))],
    )
    done += rows.length
  }
}

function asPostgres(table: string, row: Record<string, unknown>): Record<string, unknown> {
  if (table === 'known_rule') return { ...row, known_at: 0, epoch: 0 }
  if (table === 'account') {
    const { as_of: _, ...columns } = row
    return columns
  }
  if (table !== 'override') return row
  const { state } = JSON.parse(String(row.json)) as { state: string }
  return { ...row, approved: state === 'approved' }
}

/** Keys are known by their HMAC under this: with another one none of them would open. */
async function bringSecret(client: Client, folder: string): Promise<void> {
  const path = join(folder, 'secret-key')
  if (!existsSync(path)) return
  await client.query(
    `insert into bursar.setting (name, value) values ('secret', $1)
     on conflict (name) do update set value = excluded.value`,
    [readFileSync(path, 'utf8').trim()],
  )
}

async function compare(
  path: string,
  client: Client,
  before: Inspection,
  after: Inspection,
): Promise<void> {
  const [fault] = after.findings
  if (fault !== undefined) throw new Unusable(`the copy is not sound: ${fault.message}`)
  for (const count of ['entries', 'accounts', 'holds', 'openHolds'] as const) {
    if (before[count] !== after[count]) {
      throw new Unusable(`${count}: ${before[count]} before, ${after[count]} in the copy`)
    }
  }
  const sql = (schema: string): string =>
    `select key, posted, pending from ${schema}account order by no`
  const db = new DatabaseSync(path, { readOnly: true })
  const statement = db.prepare(sql(''))
  statement.setReadBigInts(true)
  const own = statement.all()
  db.close()
  const { rows } = await client.query<{ key: string; posted: bigint; pending: bigint }>(
    sql('bursar.'),
  )
  for (const [no, { key, posted, pending }] of rows.entries()) {
    const { key: name, ...balance } = own[no] ?? {}
    if (name === key && balance.posted === posted && balance.pending === pending) continue
    throw new Unusable(`the balance of ${key} differs from that of ${String(name)}`)
  }
}
