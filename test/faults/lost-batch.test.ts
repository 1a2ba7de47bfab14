/** A batch that came to nothing leaves nothing in memory, and each that did not is on the disk. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, expect, test } from 'vitest'
import { accountKey } from '#core/account.ts'
import type { AuditRow } from '#core/audit.ts'
import type { Rules } from '#core/journal.ts'
import { StoreUnavailable } from '#ports/store.ts'
import type { AccountRow } from '#store/codec.ts'
import { execute } from '#store/execute.ts'
import { writeChange } from '#store/sqlite-changes.ts'
import { openConnection } from '#store/sqlite-connection.ts'
import { SqliteRows } from '#store/sqlite-rows.ts'
import { SqliteWriter } from '#store/sqlite-writer.ts'
import type { Batch } from '#store/sqlite-writes.ts'
import { SqliteStore } from '#store/sqlite.ts'
import { budgets, holdId, holdOf, ruleOf, rules, settleOf, start } from '#test/support/ledger.ts'

const accountOfAll = accountKey({ rule: ruleOf('all'), value: null }, start)
const folder = mkdtempSync(join(tmpdir(), 'bursar-batch-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('every commit is synced: synchronous is FULL', () => {
  const db = openConnection(join(folder, 'synced.db'))
  expect(db.prepare('pragma synchronous').get()).toEqual({ synchronous: 2 })
  expect(db.prepare('pragma journal_mode').get()).toEqual({ journal_mode: 'wal' })
  db.close()
})

test('what a failed batch had changed in memory is forgotten with it', async () => {
  const path = join(folder, 'failed.db')
  const store = new SqliteStore({ path })
  await store.adopt(budgets, start)
  await store.run(holdOf(1), start, rules)
  const other = new DatabaseSync(path)
  other.exec('begin immediate')
  await expect(store.run(holdOf(2), start, rules)).rejects.toThrow(StoreUnavailable)
  other.exec('rollback')
  other.close()

  const third = await store.run(holdOf(3), start, rules)
  expect(third.result.status).toBe('applied')
  expect(await store.hold(holdId(2))).toBeNull()
  expect(await store.openHolds()).toBe(2)
  const [all] = await store.accountsAt(start, budgets[0]?.id)
  const holds = await store.recentHolds(10)
  expect(all?.pending).toBe(holds.reduce((sum, { amount }) => sum + amount, 0n))
  await store.close()
})

interface Books {
  readonly db: DatabaseSync
  readonly rows: SqliteRows
  /** Begins a batch with the hold of this number; what all of them are pending for then. */
  hold(no: number, again?: boolean): bigint | undefined
  /** The batch reaches the file. */
  write(batch: Batch): void
  shown(): bigint | undefined
  [Symbol.dispose](): void
}

/** The rows of a ledger and its writer, without the loop that has them take turns. */
function books(name: string): Books {
  const path = join(folder, `${name}.db`)
  const writer = new SqliteWriter(path)
  const db = openConnection(path)
  const rows = new SqliteRows(db)
  return {
    db,
    rows,
    hold: (no, again = false) => {
      rows.begin(again)
      return execute(rows, holdOf(no), start, rules).accounts[0]?.pending
    },
    write: (batch) => writer.write(batch),
    shown: () => rows.accounts.durable(accountOfAll)?.pending,
    [Symbol.dispose]: () => {
      db.close()
      writer.close()
    },
  }
}

test('a batch that is said to have failed, and has reached the file, is read from there', () => {
  using ledger = books('uncertain')
  const { rows } = ledger
  expect(ledger.hold(1)).toBe(1000n)
  ledger.write(rows.finish())
  rows.committed()
  expect(ledger.hold(2, true)).toBe(2000n)
  ledger.write(rows.finish())
  // On top of what nobody knows the end of: taken back alone.
  expect(ledger.hold(3)).toBe(3000n)
  rows.forget()
  expect(ledger.shown()).toBe(2000n)
  expect(ledger.hold(3, true)).toBe(3000n)
  ledger.write(rows.finish())
  rows.committed()
  expect(ledger.shown()).toBe(3000n)
})

test('a change that is said to have failed, and has reached the file, is made once', () => {
  using ledger = books('changed')
  const { db, rows } = ledger
  const audit = (no: number): AuditRow => ({
    id: `aud_${no}`,
    at: start,
    actor: 'ann',
    action: 'budget.reviewed',
    subject: 'r',
    reason: 'as every quarter',
    before: null,
    after: { spent: 12n },
  })
  const record = { kind: 'review', id: 'r', value: 'mine' } as const
  const change = (no: number, again: boolean, value: string = record.value): void => {
    rows.begin(again)
    writeChange(rows, { kind: 'put_record', record: { ...record, value } }, audit(no))
    ledger.write(rows.finish())
  }
  change(1, false)
  rows.forget()
  change(1, true)
  rows.committed()
  const kept = db.prepare('select id, json from audit').all()
  expect(kept).toHaveLength(1)
  expect(db.prepare('select json from record').all()).toEqual([{ json: '"mine"' }])
  // The chain goes on behind the one that is there; another row under its id is refused.
  change(2, false, 'yours')
  rows.committed()
  rows.begin(true)
  writeChange(rows, { kind: 'note' }, { ...audit(1), reason: 'another' })
  expect(() => ledger.write(rows.finish())).toThrow(/UNIQUE/)
  rows.forget()
  expect(db.prepare('select rows from audit_head').get()).toEqual({ rows: 2 })
})

test('a batch that came to nothing takes back what it changed, and nothing else is read', () => {
  using ledger = books('taken-back')
  const { rows } = ledger
  ledger.hold(1)
  ledger.write(rows.finish())
  rows.committed()
  const known = rows.accounts.durable(accountOfAll)
  for (const user of [2, 3, 2]) {
    ledger.hold(user, true)
    rows.finish()
    // Of the same user.
    ledger.hold(user + 4)
    rows.forget()
    expect(rows.accounts.durable(accountOfAll)).toBe(known)
  }
  ledger.hold(2, true)
  rows.finish()
  rows.forget()
  rows.begin(true)
  const { accounts } = execute(rows, holdOf(2), start, rules)
  expect(accounts.map(({ pending }) => pending)).toEqual([2000n, 1000n])
  ledger.write(rows.finish())
  rows.committed()
  expect(ledger.db.prepare('select count(*) as n from account').get()).toEqual({ n: 3 })
})

test('a batch that came to nothing leaves alone the one before it', () => {
  using ledger = books('on-top')
  const { rows } = ledger
  ledger.hold(1)
  const first = rows.finish()
  expect(ledger.hold(2)).toBe(2000n)
  ledger.write(first)
  rows.committed()
  expect(ledger.shown()).toBe(1000n)
  rows.forget()
  expect(ledger.shown()).toBe(1000n)
  expect(rows.hold(holdId(2))).toBeNull()
  expect(ledger.hold(2, true)).toBe(2000n)
  ledger.write(rows.finish())
  rows.committed()
  const entries = ledger.db.prepare('select seq, hold from entry order by seq').all()
  expect(entries).toMatchObject([
    { seq: 1, hold: holdId(1) },
    { seq: 2, hold: holdId(2) },
  ])
})

test('who has read the entries of a batch is not shown balances without them', () => {
  using ledger = books('landed')
  const { db, rows } = ledger
  ledger.hold(1)
  ledger.write(rows.finish())
  rows.committed()
  ledger.hold(2)
  const batch = rows.finish()
  // What begins meanwhile is nobody's to see.
  expect(ledger.hold(3)).toBe(3000n)
  expect(ledger.shown()).toBe(1000n)
  ledger.write(batch)
  // On the disk, and not yet said to be.
  expect(db.prepare('select count(*) as n from entry').get()).toEqual({ n: 2 })
  expect(ledger.shown()).toBe(2000n)
  const read = db.prepare('select * from account where key = ?')
  read.setReadBigInts(true)
  const row = read.get(accountOfAll) as unknown as AccountRow
  expect([row.pending, rows.accounts.durableFromRows([row])[0]?.pending]).toEqual([1000n, 2000n])
  rows.committed()
  expect(ledger.shown()).toBe(2000n)
})

test('what comes while the disk is busy is worked out at once, and told when it is durable', async () => {
  const path = join(folder, 'busy.db')
  const store = new SqliteStore({ path })
  await store.adopt(budgets, start)
  const users = [1, 2, 3]
  await Promise.all(users.map((no) => store.run(holdOf(no), start, rules)))
  const pending = async () => (await store.accountsAt(start, budgets[0]?.id))[0]?.pending
  const other = new DatabaseSync(path)
  other.exec('begin immediate')
  const told: number[] = []
  const worked: number[] = []
  const run = async (no: number): Promise<void> => {
    const looked: Rules = (id) => {
      if (!worked.includes(no)) worked.push(no)
      return rules(id)
    }
    const { result } = await store.run(settleOf(no), start, looked)
    expect(result.status).toBe('applied')
    told.push(no)
  }
  const running: Promise<void>[] = []
  for (const no of users) {
    running.push(run(no))
    await nextTurn()
  }
  expect({ worked, told }).toEqual({ worked: users, told: [] })
  expect(await pending()).toBe(3000n)
  other.exec('rollback')
  other.close()
  await Promise.all(running)
  expect(told).toEqual(users)
  expect(await pending()).toBe(0n)
  await store.close()
})
