import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Ending } from '#core/journal.ts'
import { nanos } from '#core/money.ts'
import { makeId } from '#lib/id.ts'
import { EndingFile } from './ending-journal.ts'

let folder = ''
let path = ''
let told: string[] = []
const opened: EndingFile[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bursar-endings-'))
  path = join(folder, 'endings.db')
  told = []
})
afterEach(() => {
  for (const file of opened.splice(0)) file.close()
  rmSync(folder, { recursive: true })
})

function open(): EndingFile {
  const file = new EndingFile(path, (problem) => told.push(problem))
  opened.push(file)
  return file
}

const hold = (no: number): Ending['hold'] => makeId('hold', String(no))

const settle = (no: number, cost = BigInt(no)): Ending => ({
  kind: 'settle',
  hold: hold(no),
  cost: nanos(cost),
  tokens: no,
  basis: 'actual',
  facts: { status: 200 },
})

test('what was kept and not forgotten is there after a restart, in its order', async () => {
  const before = open()
  const gone: Ending = { kind: 'void', hold: hold(9), facts: { reason: 'nothing sent' } }
  await Promise.all([before.keep(settle(2)), before.keep(settle(1)), before.keep(gone)])
  before.forget(hold(2))
  before.close()
  expect(open().left()).toEqual([settle(1), gone])
})

test('nothing is made where nothing is kept', () => {
  expect(open().left()).toEqual([])
  expect(readdirSync(folder)).toEqual([])
})

test('two processes share it: neither forgets what is the other one its own', async () => {
  const [one, other] = [open(), open()]
  await Promise.all([one.keep(settle(1)), other.keep(settle(2))])
  one.forget(hold(1))
  await other.keep(settle(3))
  expect(open().left()).toEqual([settle(2), settle(3)])
})

test('what is no ending stays where it is, and is told', async () => {
  const file = open()
  await file.keep(settle(1))
  const odd = ['5', '{"keep":null}', 'not json', JSON.stringify({ kind: 'settle', hold: 'hold_7' })]
  const db = new DatabaseSync(path)
  const put = db.prepare('insert into ending (hold, json) values (?, ?)')
  for (const [no, json] of odd.entries()) put.run(`hold_odd${no}`, json)
  await file.keep({ ...settle(2), cost: nanos(-5n) } as Ending)
  expect(file.left()).toEqual([settle(1)])
  expect(told).toHaveLength(odd.length + 1)
  expect(told[0]).toContain(`${path} has an ending of hold_odd0 that cannot be understood`)
  expect(db.prepare('select count(*) as n from ending').get()).toEqual({ n: odd.length + 2 })
  db.close()
})

test.each([
  ['overwritten', (bytes: Buffer) => Buffer.from(bytes).fill(0x55, 0, 100)],
  ['cut', (bytes: Buffer) => bytes.subarray(0, 5000)],
  ['garbled', (bytes: Buffer) => Buffer.from(bytes).fill(0xff, 4096 + 8, 4096 + 64)],
])('a file that was %s is set aside, and another begun', async (_how, damaged) => {
  const before = open()
  await before.keep(settle(1))
  before.close()
  const bytes = damaged(readFileSync(path))
  writeFileSync(path, bytes)
  const after = open()
  expect(after.left()).toEqual([])
  expect(told).toHaveLength(1)
  const [aside = ''] = readdirSync(folder)
  expect(told[0]).toContain(aside)
  expect(readFileSync(join(folder, aside))).toEqual(bytes)
  await after.keep(settle(3))
  expect(open().left()).toEqual([settle(3)])
})

test('a disk that takes nothing says so for each', async () => {
  path = join(folder, 'missing', 'endings.db')
  const file = open()
  const [one, two] = await Promise.allSettled([file.keep(settle(1)), file.keep(settle(2))])
  expect([one?.status, two?.status]).toEqual(['rejected', 'rejected'])
})
