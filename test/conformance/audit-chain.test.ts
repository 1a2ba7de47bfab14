/** The audit chain of every store: whatever is done to its rows afterwards is found. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { verifyAudit } from '#control/audit-check.ts'
import type { AuditCheck, AuditRow } from '#core/audit.ts'
import { instant } from '#core/time.ts'
import { toJson } from '#lib/json.ts'
import type { Store } from '#ports/store.ts'
import { MemoryStore } from '#store/memory.ts'
import { moveIn } from '#store/postgres/move-in.ts'
import { PostgresStore } from '#store/postgres/store.ts'
import { SqliteStore } from '#store/sqlite.ts'
import { type Postgres, startPostgres } from '#test/support/postgres.ts'

const folder = mkdtempSync(join(tmpdir(), 'bursar-audit-'))
let postgres: Postgres
beforeAll(async () => {
  postgres = await startPostgres({ flags: ['fsync=off'] })
})
afterAll(async () => {
  await postgres[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

/** A store on a ledger that may be opened again, and SQL past it, as an intruder has it. */
interface Ledger {
  open(): Promise<Store>
  sql(text: string): Promise<void>
}

let ledgers = 0
const kinds: Readonly<Record<string, () => Promise<Ledger>>> = {
  sqlite: async () => {
    const path = join(folder, `${++ledgers}.db`)
    return {
      open: async () => new SqliteStore({ path }),
      sql: async (text) => {
        const db = new DatabaseSync(path)
        db.exec('drop trigger if exists audit_is_a_fact; drop trigger if exists audit_stays')
        db.exec(text)
        db.close()
      },
    }
  },
  postgres: async () => {
    const url = await postgres.database()
    return {
      open: () => PostgresStore.open({ url }),
      sql: async (text) => {
        const client = new Client({ connectionString: url })
        await client.connect()
        await client.query('set search_path to bursar')
        await client.query('drop trigger if exists audit_is_a_fact on audit')
        await client.query('alter table audit alter seq drop identity if exists')
        await client.query(text).finally(() => client.end())
      },
    }
  },
}

const rowOf = (no: number): AuditRow => ({
  id: `aud_${no}`,
  at: instant(1_800_000_000_000 + no),
  actor: 'kim',
  identity: 'tok_kim',
  action: 'override.approved',
  subject: `ovr_${no}`,
  reason: 'launch 🚀',
  before: { zeta: 1, alpha: [null, 'ä'] },
  after: { extra_usd: `${no}.000000000` },
})

const add = (store: Store, ...numbers: readonly number[]): Promise<unknown> =>
  Promise.all(numbers.map((no) => store.change({ kind: 'note' }, rowOf(no))))

/** What `work` sees of the ledger, opened and closed again. */
async function using<Value>(ledger: Ledger, work: (store: Store) => Promise<Value>) {
  const store = await ledger.open()
  try {
    return await work(store)
  } finally {
    await store.close()
  }
}

const check = (ledger: Ledger, kept?: string): Promise<AuditCheck> =>
  using(ledger, (store) => verifyAudit(store, kept))

test.each(['memory', ...Object.keys(kinds)])('%s: a chain, row by row', async (kind) => {
  const store = await ((await kinds[kind]?.())?.open() ?? new MemoryStore())
  expect(await verifyAudit(store)).toMatchObject({ head: { rows: 0 }, finding: null })
  await add(store, 1, 2, 3)
  await add(store, 4)
  const links = await store.auditLinks(0, 10)
  expect(links.map(({ prev }) => prev)).toEqual(['', ...links.slice(0, 3).map(({ hash }) => hash)])
  expect(links[0]?.json).toMatch(/^\{"action":"override.approved","actor":"kim","after":\{/)
  expect((await store.audit(10)).map(({ id }) => id)).toEqual(['aud_4', 'aud_3', 'aud_2', 'aud_1'])
  const { head, finding } = await verifyAudit(store)
  expect([finding, head.rows, head.hash]).toEqual([null, 4, links[3]?.hash])
  // A head that somebody kept is met on the way, one of another chain is not.
  expect((await verifyAudit(store, links[1]?.hash)).finding).toBeNull()
  expect((await verifyAudit(store, 'f00')).finding?.message).toContain('does not reach f00')
  await store.close()
})

const text = (no: number): string => `json = replace(json, '"${no}.000000000"', '"9.000000000"')`
const tampering: readonly (readonly [what: string, sql: string, seq: number | null, RegExp])[] = [
  ['a changed text', `update audit set ${text(3)} where id = 'aud_3'`, 3, /changed after it was/],
  ['a changed time', `update audit set at = 5 where id = 'aud_3'`, 3, /id or time/],
  [
    'a changed text with its hash made good',
    `update audit set ${text(3)}, hash = 'b' where id = 'aud_3'`,
    3,
    /changed after it was/,
  ],
  ['a row that is gone', `delete from audit where id = 'aud_3'`, 4, /does not follow/],
  ['the first row gone', `delete from audit where id = 'aud_1'`, 2, /of an earlier version, are/],
  [
    'two rows in turn',
    `update audit set seq = -seq where id in ('aud_3', 'aud_4');
     update audit set seq = 7 + seq where seq < 0`,
    3,
    /does not follow/,
  ],
  ['the last rows gone', `delete from audit where id in ('aud_5', 'aud_6')`, null, /^2 rows are/],
  [
    'the last rows gone, and the note of them',
    `delete from audit where id in ('aud_5', 'aud_6'); delete from audit_head`,
    null,
    /note of where the chain ends is gone/,
  ],
  [
    'a hash taken away',
    `update audit set hash = null, prev = null where id = 'aud_4'`,
    4,
    /no hash/,
  ],
  [
    'all hashes taken away, and the note of them',
    `update audit set hash = null, prev = null; delete from audit_head`,
    null,
    /no row is hashed/,
  ],
]
const cases = Object.keys(kinds).flatMap((kind) => tampering.map((one) => [kind, ...one] as const))

test.each(cases)('%s: %s is found', async (kind, _what, sql, seq, message) => {
  const ledger = await (kinds[kind] as () => Promise<Ledger>)()
  const kept = await using(ledger, async (store) => {
    for (const no of [1, 2, 3, 4, 5, 6]) await add(store, no)
    return (await store.auditHead())?.hash
  })
  expect((await check(ledger, kept)).finding).toBeNull()
  // Numbers may have gaps on PostgreSQL: here they are made the same.
  await ledger.sql(`update audit set seq = -cast(substr(id, 5) as integer);
                    update audit set seq = -seq`)
  expect((await check(ledger, kept)).finding).toBeNull()
  await ledger.sql(sql)
  const { finding } = await check(ledger)
  expect(finding).toMatchObject({ seq, message: expect.stringMatching(message) })
})

test.each(Object.keys(kinds))(
  '%s: cut off with the note set back, it is told by a head that was kept elsewhere',
  async (kind) => {
    const ledger = await (kinds[kind] as () => Promise<Ledger>)()
    const [early, late] = await using(ledger, async (store) => {
      await add(store, 1, 2)
      const before = await store.auditHead()
      await add(store, 3)
      return [before, await store.auditHead()]
    })
    await ledger.sql(`delete from audit where id = 'aud_3'`)
    await ledger.sql(`update audit_head set rows = 2, hash = '${early?.hash}'`)
    expect((await check(ledger)).finding).toBeNull()
    expect((await check(ledger, early?.hash)).finding).toBeNull()
    expect((await check(ledger, late?.hash)).finding).toMatchObject({ seq: null })
  },
)

/** As the version before wrote them: no hash, names in any order. */
const older = (no: number): string =>
  `insert into audit (id, at, json) values ('aud_${no}', ${rowOf(no).at}, '${toJson(rowOf(no))}')`

/** A ledger of the version before the chain, with three rows. */
async function olderSqlite(path: string): Promise<void> {
  await new SqliteStore({ path }).close()
  const db = new DatabaseSync(path)
  db.exec('drop table observation; drop table outcome_event; drop table audit_head')
  db.exec('drop table carried; alter table account drop column as_of')
  db.exec('alter table audit drop column prev')
  db.exec('alter table audit drop column hash; pragma user_version = 3')
  for (const no of [1, 2, 3]) db.exec(older(no))
  db.close()
}

test('sqlite: rows of the version before are covered by the first hashed row', async () => {
  const path = join(folder, 'older.db')
  await olderSqlite(path)
  const ledger: Ledger = { open: async () => new SqliteStore({ path }), sql: async () => {} }
  await using(ledger, (store) => add(store, 4, 5))
  const { finding, head } = await check(ledger)
  expect([finding, head.rows]).toEqual([null, 5])
  const db = new DatabaseSync(path)
  db.exec('drop trigger audit_is_a_fact')
  db.exec(`update audit set ${text(2)} where id = 'aud_2'`)
  db.close()
  expect((await check(ledger)).finding).toMatchObject({
    id: 'aud_4',
    message: expect.stringContaining('of an earlier version'),
  })
})

test('postgres: the same, while a replica of the version before still writes', async () => {
  const url = await postgres.database()
  await (await PostgresStore.open({ url })).close()
  const client = new Client({ connectionString: url })
  await client.connect()
  await client.query('set search_path to bursar')
  await client.query(`drop trigger audit_is_chained on audit; drop function chain_audit;
    drop function audit_hash; drop table audit_head; drop table outcome_event;
    drop table observation;
    alter table audit drop column prev;
    alter table audit drop column hash; update schema_version set version = 2`)
  for (const no of [1, 2, 3]) await client.query(older(no))
  const store = await PostgresStore.open({ url })
  expect((await verifyAudit(store)).head.rows).toBe(3)
  await add(store, 4)
  await client.query(older(5))
  await add(store, 6)
  expect(await verifyAudit(store)).toMatchObject({ finding: null, head: { rows: 6 } })
  await client.query('drop trigger audit_is_a_fact on audit')
  await client.query(`delete from audit where id = 'aud_1'`)
  expect((await verifyAudit(store)).finding?.id).toBe('aud_4')
  await client.end()
  await store.close()
})

test('replicas that change things at once add to one chain, and none waits in a circle', async () => {
  const url = await postgres.database()
  const stores = [await PostgresStore.open({ url }), await PostgresStore.open({ url })] as const
  for (let round = 0; round < 10; round += 1) {
    // Records of a few names, a quarter of them without an audit row.
    const changes = Array.from({ length: 40 }, (_, i) => {
      const store = stores[i % 2] as Store
      const record = { kind: 'freeze', id: `n${(i * 7) % 5}`, value: i } as const
      return i % 4 === 3
        ? store.putRecord(record)
        : store.change({ kind: 'put_record', record }, rowOf(round * 40 + i))
    })
    await Promise.all(changes)
  }
  expect(await verifyAudit(stores[0])).toMatchObject({ finding: null, head: { rows: 300 } })
  for (const store of stores) await store.close()
  const client = new Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query(
    'select deadlocks from pg_stat_database where datname = current_database()',
  )
  await client.end()
  expect(rows).toEqual([{ deadlocks: '0' }])
})

test('replicas of the version before, several at once, add to one chain', async () => {
  const url = await postgres.database()
  const store = await PostgresStore.open({ url })
  const clients = Array.from({ length: 6 }, () => new Client({ connectionString: url }))
  await Promise.all(clients.map((client) => client.connect()))
  await Promise.all(clients.map((client) => client.query('set search_path to bursar')))
  await Promise.all(
    clients.map(async (client, i) => {
      for (let no = 0; no < 20; no += 1) await client.query(older(i * 20 + no))
    }),
  )
  expect(await verifyAudit(store)).toMatchObject({ finding: null, head: { rows: 120 } })
  for (const client of clients) await client.end()
  await store.close()
})

test('the same row again after a commit of which nobody heard is one row', async () => {
  const url = await postgres.database()
  const store = await PostgresStore.open({ url })
  await add(store, 1, 2)
  await add(store, 1)
  await expect(store.change({ kind: 'note' }, { ...rowOf(2), reason: 'x' })).rejects.toThrow()
  await add(store, 3)
  expect(await verifyAudit(store)).toMatchObject({ finding: null, head: { rows: 3 } })
  await store.close()
})

test('a ledger that moves into PostgreSQL takes its chain along, also one with a fault', async () => {
  for (const fault of [false, true]) {
    const house = mkdtempSync(join(folder, 'house-'))
    const path = join(house, 'bursar.db')
    await olderSqlite(path)
    const before = new SqliteStore({ path })
    await add(before, 4)
    await add(before, 5)
    const { head } = await verifyAudit(before)
    await before.close()
    if (fault) {
      const db = new DatabaseSync(path)
      db.exec(`drop trigger audit_stays; delete from audit where id = 'aud_5'`)
      db.close()
    }
    const url = await postgres.database()
    await moveIn(house, url, () => {})
    const store = await PostgresStore.open({ url })
    const after = await verifyAudit(store)
    expect(after.finding?.message ?? null).toEqual(fault ? expect.stringMatching(/^1 rows/) : null)
    if (!fault) {
      expect(after.head).toEqual(head)
      await add(store, 6)
      expect(await verifyAudit(store)).toMatchObject({ finding: null, head: { rows: 6 } })
    }
    await store.close()
  }
})
