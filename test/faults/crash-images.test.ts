import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { inspect } from '#store/sqlite-inspect.ts'
import { SqliteStore } from '#store/sqlite.ts'
import { generator } from '#test/sim/clock.ts'
import { holdId } from '#test/support/ledger.ts'
import { canTrace, Disk, lay, record } from './crash-images.ts'

const images = process.env.BURSAR_LONG === '1' ? 10_000 : 1000
let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'bursar-images-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Ack {
  readonly call: number
  readonly what: string
}

interface Verdict {
  /** Acknowledged before the power went, and not in the ledger after it. */
  lost: number
  unsound: string[]
}

/** One image opened with the product's own code: what it lost, and whether its sums are right. */
async function examined(files: Map<string, Buffer>, acks: readonly Ack[]): Promise<Verdict> {
  const inside = mkdtempSync(join(folder, 'image-'))
  const path = lay(inside, 'bursar.db', files)
  const unsound: string[] = []
  let lost = 0
  try {
    const store = new SqliteStore({ path })
    for (const { call, what } of acks) {
      const hold = await store.hold(holdId(call))
      if (hold === null || (what === 'settle' && hold.state !== 'settled')) lost += 1
    }
    await store.close()
    unsound.push(...(await inspect(path)).findings.map(({ message }) => message))
  } catch (error) {
    unsound.push(String(error))
  }
  rmSync(inside, { recursive: true, force: true })
  return { lost, unsound }
}

/** `count` images at points spread over the whole run, once the ledger is open. */
async function survey(mode: 'full' | 'normal', count: number): Promise<Verdict> {
  const events = record(folder, 60, mode)
  const ready = events.findIndex((event) => event.kind === 'said' && event.text.includes('ready'))
  expect(ready).toBeGreaterThan(0)
  const chance = generator(mode === 'full' ? 7 : 8)
  const disk = new Disk()
  const acks: Ack[] = []
  const all: Verdict = { lost: 0, unsound: [] }
  let made = 0
  for (const [no, event] of events.entries()) {
    disk.hear(event)
    if (event.kind === 'said') {
      for (const [, call, what] of event.text.matchAll(/ack (\d+) (\w+)/g)) {
        acks.push({ call: Number(call), what: what ?? '' })
      }
    }
    const due = Math.floor(((no - ready) / (events.length - 1 - ready)) * count)
    for (; made < due; made += 1) {
      const { lost, unsound } = await examined(disk.image(chance), acks)
      if (lost > 0) all.lost += 1
      all.unsound.push(...unsound)
    }
  }
  expect(made).toBe(count)
  expect(acks.length).toBeGreaterThan(200)
  return all
}

test.skipIf(!canTrace)(
  `${images} images of a power cut: nothing acknowledged is lost, every sum is right`,
  async () => {
    expect(await survey('full', images)).toEqual({ lost: 0, unsound: [] })
  },
)

test.skipIf(!canTrace)(
  'the control, synchronous=NORMAL, does lose what it acknowledged',
  async () => {
    const { lost } = await survey('normal', 200)
    expect(lost).toBeGreaterThan(20)
  },
)
