import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { MemoryStore } from '#store/memory.ts'
import { runHalf, runSeed, seeds } from './seeds.ts'
import { simulate } from './world.ts'

test(`odd seeds to ${seeds}, 60 calls each, keep every promise, the same on memory and SQLite`, () =>
  runHalf(1))

test('seeds that once failed', async () => {
  const text = readFileSync(new URL('seeds.txt', import.meta.url), 'utf8')
  const kept = text
    .split('\n')
    .map((line) => line.split('#')[0]?.trim() ?? '')
    .filter((line) => line !== '')
    .map(Number)
  for (const seed of kept) await runSeed(seed)
  expect(kept.every(Number.isSafeInteger)).toBe(true)
})

test('a seed is the whole story: run again, it tells the same', async () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    expect(await simulate(seed, new MemoryStore())).toEqual(await simulate(seed, new MemoryStore()))
  }
})
