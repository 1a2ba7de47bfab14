/** Pages of past holds: every hold once, in order, on every store, whatever the page. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { instant } from '#core/time.ts'
import type { HoldPlace, Store } from '#ports/store.ts'
import { MemoryStore } from '#store/memory.ts'
import { PostgresStore } from '#store/postgres/store.ts'
import { SqliteStore } from '#store/sqlite.ts'
import { holdId, holdOf, rules, start } from '#test/support/ledger.ts'
import { type Postgres, startPostgres } from '#test/support/postgres.ts'

let server: Postgres
beforeAll(async () => {
  server = await startPostgres()
})
afterAll(() => server[Symbol.asyncDispose]())

const stores: readonly (readonly [string, () => Promise<Store>])[] = [
  ['memory', async () => new MemoryStore()],
  ['sqlite', async () => new SqliteStore({ path: ':memory:' })],
  ['postgres', async () => PostgresStore.open({ url: await server.database() })],
]

test.each(stores)('%s', async (_kind, make) => {
  const store = await make()
  // Many of one millisecond, and asked for in another order than that of their ids.
  const order = Array.from({ length: 60 }, (_, i) => ((i * 37) % 60) + 1)
  for (const [i, no] of order.entries()) {
    await store.run(holdOf(no), instant(start + Math.floor(i / 20)), rules)
  }
  const wanted = [0, 1, 2].flatMap((ms) =>
    order.slice(ms * 20, ms * 20 + 20).toSorted((a, b) => a - b),
  )
  for (const size of [1, 7, 20, 100]) {
    const seen: string[] = []
    let last: HoldPlace = { madeAt: start, id: '' }
    for (;;) {
      const holds = await store.holdsMade(last, instant(start + 3), size)
      expect(holds.length).toBeLessThanOrEqual(size)
      const end = holds.at(-1)
      if (end === undefined) break
      seen.push(...holds.map(({ id }) => id))
      last = end
    }
    expect(seen).toEqual(wanted.map(holdId))
  }
  const some = await store.holdsMade(
    { madeAt: instant(start + 1), id: '' },
    instant(start + 2),
    100,
  )
  expect(some).toHaveLength(20)
  await store.close()
})
