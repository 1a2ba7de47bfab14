import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import type { Ending } from '#core/journal.ts'
import { nanos } from '#core/money.ts'
import { makeId } from '#lib/id.ts'
import { endingFile } from './ending-journal.ts'

const folder = mkdtempSync(join(tmpdir(), 'bursar-endings-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const settle = (name: string): Ending => ({
  kind: 'settle',
  hold: makeId('hold', name),
  cost: nanos(12_345_678_901_234_567n),
  tokens: 3,
  basis: 'actual',
  facts: { usage: { input: 1 } },
})

test('what was kept and not forgotten is there for the next process', () => {
  const path = join(folder, 'a')
  const journal = endingFile(path)
  for (const name of ['1', '2', '3']) journal.keep(settle(name))
  journal.forget(makeId('hold', '2'))
  // The process dies amid a line.
  appendFileSync(path, '{"keep":{"kind":"set')

  const next = endingFile(path)
  expect(next.left).toEqual([settle('1'), settle('3')])
  for (const { hold } of next.left) next.forget(hold)
  expect(readFileSync(path, 'utf8')).toBe('')
  next.keep(settle('4'))
  expect(endingFile(path).left).toEqual([settle('4')])
})

test('a torn line alone is nothing, and harms no other', () => {
  const path = join(folder, 'b')
  appendFileSync(path, '{"keep":')
  const journal = endingFile(path)
  expect(journal.left).toEqual([])
  journal.keep(settle('1'))
  journal.close()
  expect(endingFile(path).left).toEqual([settle('1')])
})
