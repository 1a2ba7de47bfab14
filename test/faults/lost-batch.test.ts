/** A batch that came to nothing leaves nothing in memory, and each that did not is on the disk. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, expect, test } from 'vitest'
import { StoreUnavailable } from '#ports/store.ts'
import { openConnection } from '#store/sqlite-connection.ts'
import { SqliteStore } from '#store/sqlite.ts'
import { budgets, holdId, holdOf, rules, start } from '#test/support/ledger.ts'

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
