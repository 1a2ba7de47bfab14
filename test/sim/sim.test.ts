import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { MemoryStore } from '#store/memory.ts'
import { SqliteStore } from '#store/sqlite.ts'
import { simulate } from './world.ts'

const long = process.env.BURSAR_LONG === '1'
const seeds = long ? 100_000 : 1000

async function run(seed: number): Promise<unknown> {
  return simulate(seed, new MemoryStore()).catch((error: unknown) => {
    throw new Error(`replay with: npm run sim -- ${seed}`, { cause: error })
  })
}

test(`${seeds} seeds of 60 calls keep every promise`, async () => {
  let answered = 0
  for (let seed = 1; seed <= seeds; seed += 1) {
    answered += ((await run(seed)) as { answered: number }).answered
  }
  expect(answered).toBeGreaterThan(seeds)
})

test('seeds that once failed', async () => {
  const text = readFileSync(new URL('seeds.txt', import.meta.url), 'utf8')
  const kept = text
    .split('\n')
    .map((line) => line.split('#')[0]?.trim() ?? '')
    .filter((line) => line !== '')
    .map(Number)
  for (const seed of kept) await run(seed)
  expect(kept.every(Number.isSafeInteger)).toBe(true)
})

test('a seed is the whole story: the same report again, and on SQLite', async () => {
  for (let seed = 1; seed <= (long ? 500 : 40); seed += 1) {
    const first = await simulate(seed, new MemoryStore())
    expect(await simulate(seed, new MemoryStore())).toEqual(first)
    const store = new SqliteStore({ path: ':memory:' })
    expect(await simulate(seed, store)).toEqual(first)
    await store.close()
  }
})
