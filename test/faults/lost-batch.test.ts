/** A batch that came to nothing leaves nothing in memory, and each that did not is on the disk. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, expect, test } from 'vitest'
import { accountKey } from '#core/account.ts'
import { StoreUnavailable } from '#ports/store.ts'
import type { AccountRow } from '#store/codec.ts'
import { execute } from '#store/execute.ts'
import { openConnection } from '#store/sqlite-connection.ts'
import { SqliteRows } from '#store/sqlite-rows.ts'
import { SqliteWriter } from '#store/sqlite-writer.ts'
import { SqliteStore } from '#store/sqlite.ts'
import { budgets, holdId, holdOf, ruleOf, rules, start } from '#test/support/ledger.ts'

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

test('a batch that is said to have failed, and has reached the file, is read from there', () => {
  const path = join(folder, 'uncertain.db')
  const writer = new SqliteWriter(path)
  const db = openConnection(path)
  const rows = new SqliteRows(db)
  const pending = (no: number, isTold: boolean): bigint | undefined => {
    rows.begin(!isTold)
    const { accounts } = execute(rows, holdOf(no), start, rules)
    writer.write(rows.finish())
    if (isTold) rows.committed()
    else rows.forget()
    return accounts[0]?.pending
  }
  expect(pending(1, true)).toBe(1000n)
  expect(pending(2, false)).toBe(2000n)
  expect(rows.accounts.durable(accountOfAll)?.pending).toBe(2000n)
  expect(pending(3, true)).toBe(3000n)
  expect(rows.accounts.durable(accountOfAll)?.pending).toBe(3000n)
  db.close()
  writer.close()
})

test('a batch that came to nothing takes back what it changed, and nothing else is read', () => {
  const path = join(folder, 'taken-back.db')
  const writer = new SqliteWriter(path)
  const db = openConnection(path)
  const rows = new SqliteRows(db)
  rows.begin(false)
  execute(rows, holdOf(1), start, rules)
  writer.write(rows.finish())
  rows.committed()
  const known = rows.accounts.durable(accountOfAll)
  for (const user of [2, 3, 2]) {
    rows.begin(true)
    execute(rows, holdOf(user), start, rules)
    rows.finish()
    rows.forget()
    expect(rows.accounts.durable(accountOfAll)).toBe(known)
  }
  rows.begin(true)
  const { accounts } = execute(rows, holdOf(2), start, rules)
  expect(accounts.map(({ pending }) => pending)).toEqual([2000n, 1000n])
  writer.write(rows.finish())
  rows.committed()
  expect(db.prepare('select count(*) as n from account').get()).toEqual({ n: 3 })
  db.close()
  writer.close()
})

test('who has read the entries of a batch is not shown balances without them', () => {
  const path = join(folder, 'landed.db')
  const writer = new SqliteWriter(path)
  const db = openConnection(path)
  const rows = new SqliteRows(db)
  const shown = (): bigint | undefined => rows.accounts.durable(accountOfAll)?.pending
  const hold = (no: number): void => {
    rows.begin(false)
    execute(rows, holdOf(no), start, rules)
  }
  hold(1)
  writer.write(rows.finish())
  rows.committed()
  hold(2)
  const batch = rows.finish()
  expect(shown()).toBe(1000n)
  writer.write(batch)
  // On the disk, and not yet said to be.
  expect(db.prepare('select count(*) as n from entry').get()).toEqual({ n: 2 })
  expect(shown()).toBe(2000n)
  const read = db.prepare('select * from account where key = ?')
  read.setReadBigInts(true)
  const row = read.get(accountOfAll) as unknown as AccountRow
  expect([row.pending, rows.accounts.durableFromRows([row])[0]?.pending]).toEqual([1000n, 2000n])
  rows.committed()
  expect(shown()).toBe(2000n)
  db.close()
  writer.close()
})
