import { test } from 'vitest'
import { runHalf, seeds } from './seeds.ts'

test(`even seeds to ${seeds}, 60 calls each, keep every promise, the same on memory and SQLite`, () =>
  runHalf(2))
