/** Seeds run on both embedded stores. */
import { expect } from 'vitest'
import { MemoryStore } from '#store/memory.ts'
import { SqliteStore } from '#store/sqlite.ts'
import { type Report, simulate } from './world.ts'

/** Half of them are in `odd.test.ts`, half in `even.test.ts`, so that two cores share them. */
export const seeds = process.env.BURSAR_LONG === '1' ? 1_000_000 : 5000

/** Runs a seed on both stores: the same report, or it is told how to see it again. */
export async function runSeed(seed: number): Promise<Report> {
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

/** Every second seed from `first`. */
export async function runHalf(first: 1 | 2): Promise<void> {
  let answered = 0
  for (let seed = first; seed <= seeds; seed += 2) answered += (await runSeed(seed)).answered
  expect(answered).toBeGreaterThan(seeds / 2)
}
