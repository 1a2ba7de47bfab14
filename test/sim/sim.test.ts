import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { MemoryStore } from '#store/memory.ts'
import { SqliteStore } from '#store/sqlite.ts'
import { type Report, simulate } from './world.ts'

const long = process.env.BURSAR_LONG === '1'
const seeds = long ? 1_000_000 : 10_000

/** Runs a seed on both stores: the same report, or it is told how to see it again. */
async function run(seed: number): Promise<Report> {
  try {
    const report = await simulate(seed, new MemoryStore())
    const store = new SqliteStore({ path: ':memory:' })
    expect(await simulate(seed, store)).toEqual(report)
    await store.close()
    return report
  } catch (error) {
    throw new Error(`replay with: npm run sim -- ${seed}`, { cause: error })
  }
}

test(`${seeds} seeds of 60 calls keep every promise, the same on memory and SQLite`, async () => {
  let answered = 0
  for (let seed = 1; seed <= seeds; seed += 1) answered += (await run(seed)).answered
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

test('a seed is the whole story: run again, it tells the same', async () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    expect(await simulate(seed, new MemoryStore())).toEqual(await simulate(seed, new MemoryStore()))
  }
})
