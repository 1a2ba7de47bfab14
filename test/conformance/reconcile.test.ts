/** A month of 100,000 calls over three providers, billed with faults: each is found as planted. */
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { addBillLine, newBilled } from '#core/billed.ts'
import { lineOfKept } from '#core/bill-text.ts'
import {
  addDecimals,
  approximately,
  decimalZero,
  formatDecimal,
  subtractDecimals,
} from '#core/decimal.ts'
import type { Hold } from '#core/journal.ts'
import { meter, type MeteredCells } from '#core/metered.ts'
import { modelNames } from '#core/model-name.ts'
import { type Cause, type Reconciled, reconcile } from '#core/reconcile.ts'
import { instant } from '#core/time.ts'
import { corrected, correctionsOf, pursesOf } from '#core/true-up.ts'
import { billLines } from '#files/bill-lines.ts'
import { MemoryStore } from '#store/memory.ts'
import { loadPriceBook } from '#system/price-files.ts'
import { billedMonth, type Planted } from '#test/support/billed-month.ts'

const folder = mkdtempSync(join(tmpdir(), 'bursar-month-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const modelName = modelNames(loadPriceBook())
const biller = (hold: Hold): string => {
  const dialect = String(hold.facts.dialect)
  return dialect === 'google' ? 'gcp' : dialect
}
const none: Planted = {
  drift: 0,
  bypassCalls: 0,
  toolFees: 0,
  credits: 0,
  late: false,
  presumed: 0,
  midnight: 0,
}

interface Found {
  readonly holds: readonly Hold[]
  readonly cells: MeteredCells
  readonly reconciled: Reconciled
  readonly planted: Readonly<Record<string, number>>
  /** By cause, USD. */
  readonly sums: Readonly<Record<string, number>>
}

let made = 0
async function month(calls: number, planted: Planted): Promise<Found> {
  const store = new MemoryStore()
  made += 1
  const bill = await billedMonth(store, join(folder, String(made)), calls, planted)
  // One of the files is there twice, as it is when somebody downloads it again.
  const [first = ''] = bill.files
  const again = first.replace('.csv', ' (1).csv')
  copyFileSync(first, again)
  const read = await billLines({
    files: [...bill.files, again],
    map: [],
    mappings: join(folder, 'columns.json'),
    progress: () => {},
  })
  expect(read.findings).toEqual([expect.stringContaining('it is counted once')])
  const billed = newBilled()
  for (const kept of read.lines) {
    const line = lineOfKept(kept)
    if (line === null) throw new Error('every line is whole')
    addBillLine(billed, line, '2026-10')
  }
  const holds = await store.holdsMade({
    from: instant(0),
    to: instant(4e12),
    after: null,
    limit: calls,
  })
  const cells: MeteredCells = new Map()
  for (const hold of holds) meter(cells, hold, biller, modelName)
  const options = { ownKeys: null, lastDay: '2026-10-31', modelName }
  const reconciled = reconcile(cells, billed, options)
  const sums: Record<string, number> = {}
  for (const { cause, amount } of reconciled.variances) {
    sums[cause] = (sums[cause] ?? 0) + approximately(amount)
  }
  return { holds, cells, reconciled, planted: bill.planted, sums }
}

const unexplained = ({ reconciled }: Found): number =>
  reconciled.variances
    .filter(({ cause }) => cause === 'unexplained')
    .reduce((sum, { amount }) => sum + Math.abs(approximately(amount)), 0) /
  approximately(reconciled.billed)

/** The causes are the difference, to the last digit. */
function checkSum({ reconciled }: Found): void {
  const { metered, billed, variances } = reconciled
  const all = variances.reduce((sum, { amount }) => addDecimals(sum, amount), decimalZero)
  expect(formatDecimal(all)).toBe(formatDecimal(subtractDecimals(billed, metered)))
}

test('a bill that is right does not differ', async () => {
  const found = await month(3000, none)
  checkSum(found)
  expect(found.sums).toEqual({})
})

const everything: Planted = {
  drift: 0.1,
  bypassCalls: 500,
  toolFees: 12.5,
  credits: 7.25,
  late: true,
  presumed: 40,
  midnight: 60,
}

test('100,000 calls, three providers, seven faults: each as planted', async () => {
  const found = await month(100_000, everything)
  checkSum(found)
  const { sums, planted } = found
  for (const cause of ['price_drift', 'bypass', 'unmetered', 'credit', 'late', 'presumed']) {
    const wanted = planted[cause] ?? Number.NaN
    expect(
      Math.abs((sums[cause] ?? 0) - wanted),
      `${cause}: ${sums[cause]} of ${wanted}`,
    ).toBeLessThan(Math.abs(wanted) * 0.01)
  }
  expect(unexplained(found)).toBeLessThan(0.001)
  // It cancels with the day beside it, and is seen on both.
  const moved = found.reconciled.variances.filter(({ cause }) => cause === 'midnight')
  expect(moved.length).toBeGreaterThan(60)
  expect(Math.abs(sums.midnight ?? 1)).toBeLessThan(0.001)
  const bypass = found.reconciled.variances.find(({ cause }) => cause === 'bypass')
  expect(bypass?.detail).toContain('laptop of somebody')
}, 120_000)

test('what is accepted corrects the calls to what was billed, to the nano-dollar', async () => {
  const found = await month(5000, { ...none, drift: 0.25, presumed: 30 })
  const { holds, cells, reconciled } = found
  const accepted = new Set<Cause>(['price_drift', 'presumed', 'rounding'])
  const purses = pursesOf(correctionsOf(reconciled.variances, accepted), cells)
  let sum = 0n
  for (const hold of holds) {
    const cost = corrected(purses, hold, biller, modelName)?.cost ?? hold.cost ?? 0n
    expect(cost).toBeGreaterThanOrEqual(0n)
    // A quarter more for output, some of it that of calls at their bound: nobody pays for all.
    if (hold.basis === 'actual') {
      expect(Number(cost)).toBeLessThanOrEqual(Number(hold.cost ?? 0n) * 1.5)
    }
    sum += cost
  }
  const left = [...purses.values()].reduce((all, purse) => all + purse.left, 0n)
  expect(left).toBe(0n)
  const billed = approximately(reconciled.billed)
  expect(Math.abs(Number(sum) / 1e9 - billed)).toBeLessThan(1e-6)
})

test('what was used in October and is on the bill of November is late there', () => {
  const billed = newBilled()
  const line = lineOfKept({
    provider: 'openai',
    format: 'openai-costs',
    file: 'x.csv',
    row: 2,
    rows: 1,
    day: '2026-10-31',
    last_day: '2026-10-31',
    month: '2026-11',
    service: null,
    model: 'gpt-5-mini',
    kind: 'input',
    quantity: '1000000',
    unit: 'tokens',
    list: null,
    net: '0.25',
    currency: 'USD',
    key: null,
    project: null,
    workspace: null,
  })
  if (line === null) throw new Error('it is whole')
  addBillLine(billed, line, '2026-11')
  const options = { ownKeys: null, lastDay: '2026-11-30', modelName }
  const { variances } = reconcile(new Map(), billed, options)
  expect(variances).toMatchObject([{ cause: 'late', detail: 'gpt-5-mini, 2026-10-31' }])
})
