/** The simulated worlds of `test/sim` on PostgreSQL: the same seed, the same story. */
import { Client } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { MemoryStore } from '#store/memory.ts'
import { PostgresStore } from '#store/postgres/store.ts'
import { type Report, simulate } from '#test/sim/world.ts'
import { type Postgres, startPostgres } from '#test/support/postgres.ts'

const seeds = process.env.BURSAR_LONG === '1' ? 2000 : 30

let postgres: Postgres
let url = ''
beforeAll(async () => {
  // What a crash takes is for other tests; here the rules are told apart from the database's.
  postgres = await startPostgres({ flags: ['fsync=off'] })
  url = await postgres.database()
})
afterAll(() => postgres[Symbol.asyncDispose]())

async function run(seed: number, replicas: number): Promise<Report> {
  const client = new Client({ connectionString: url })
  await client.connect()
  await client.query('drop schema if exists bursar cascade')
  await client.end()
  const stores: PostgresStore[] = []
  for (let no = 0; no < replicas; no += 1) stores.push(await PostgresStore.open({ url }))
  const [first, ...others] = stores
  if (first === undefined) throw new Error('no replica')
  try {
    return await simulate(seed, first, others)
  } finally {
    for (const store of stores) await store.close()
  }
}

test(`${seeds} seeds tell the same on PostgreSQL as in memory, on one replica and on two`, async () => {
  for (let seed = 1; seed <= seeds; seed += 1) {
    const inMemory = await simulate(seed, new MemoryStore())
    for (const replicas of [1, 2]) {
      expect(await run(seed, replicas), `seed ${seed}, ${replicas} replicas`).toEqual(inMemory)
    }
  }
})
