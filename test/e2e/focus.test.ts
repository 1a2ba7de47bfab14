/** FOCUS from a running server: exact, paged, of one’s own subtree; read again by our importer. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readBill } from '#files/bill.ts'
import type { BillLine } from '#core/bill-line.ts'
import { addDecimals, decimalZero, formatDecimal } from '#core/decimal.ts'
import { focusCells, focusColumns, focusRow } from '#core/focus-columns.ts'
import {
  addCharges,
  chargesOf,
  type FocusTally,
  focusVersions,
  grainMs,
  inFocusOrder,
} from '#core/focus.ts'
import { spendOf } from '#core/spend.ts'
import { faultsOf } from '#cli/focus.ts'
import { csvOf } from '#lib/csv-safe.ts'
import { parseCsv } from '#lib/csv.ts'
import { holdsArb } from '#test/support/focus.ts'
import { call, chatBody, startWorld, until, type World } from '#test/support/bursar.ts'

const main = new URL('../../src/main.ts', import.meta.url).pathname
const folder = mkdtempSync(join(tmpdir(), 'bursar-focus-'))
const path = '/v1/chat/completions'
let world: World
let total = ''

interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

function bursar(args: readonly string[], token = 'adm_test'): Promise<Ran> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', main, 'report', ...args],
      { env: { ...process.env, BURSAR_URL: world.url, BURSAR_ADMIN_TOKEN: token } },
      (_error, out, err) => resolve({ code: child.exitCode ?? -1, out, err }),
    )
  })
}

beforeAll(async () => {
  world = await startWorld({
    config: `organization: acme
business_units:
  support: { teams: { care: { agents: { resolver: { purpose: a } } } } }
  growth: { teams: { sales: { agents: { "@sum": { purpose: b } } } } }
budgets: [{ name: all, budget_yearly_usd: 1000 }]
`,
  })
  const care = await world.key({ agent: 'resolver' })
  const sales = await world.key({ agent: '@sum' })
  const sim = { 'bursar-sim': 'tokens=101; input=57' }
  for (let i = 0; i < 3; i += 1) await call(world, care, path, chatBody('hi'), sim)
  await call(world, sales, path, chatBody('hi', { model: 'gpt-5' }), sim)
  await call(world, sales, path, chatBody('hi', { model: 'gpt-5', service_tier: 'flex' }), sim)
  await call(world, sales, path, chatBody('hi'), { 'bursar-sim': 'usage=missing' })
  await call(world, sales, path, chatBody('hi'), { 'bursar-sim': 'status=500' })
  await until('all have ended', async () => (await world.bursar.store.openHolds()) === 0)
  const [newest] = (await world.bursar.store.recentHolds(100)).filter(
    ({ attribution, basis }) => attribution.agent === 'resolver' && basis === 'actual',
  )
  await world.api('/ledger/adjustments', {
    hold: newest?.id,
    cost_usd: '0.123456789',
    reason: 'the bill says so',
  })
  const [row] = (await world.api('/reports/spend')) as { cost_usd: string }[]
  total = row?.cost_usd ?? ''
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

async function importedTotal(file: string): Promise<readonly [string, readonly BillLine[]]> {
  const lines: BillLine[] = []
  const report = await readBill(
    [file],
    {
      wanted: ['agent', 'team', 'model'],
      mappingFor: () => new Map(),
      all: true,
      engine: 'rows',
      progress: () => undefined,
    },
    (line) => void lines.push(line),
  )
  expect(report.bad).toEqual([])
  expect(report.files.map(({ format }) => format.id)).toEqual(['focus'])
  const sum = lines.reduce((all, { net }) => addDecimals(all, net ?? decimalZero), decimalZero)
  return [formatDecimal(sum), lines]
}

function tierOf(file: string, row: number): string | undefined {
  const rows = parseCsv(readFileSync(file, 'utf8'))
  return rows[row - 1]?.cells[rows[0]?.cells.indexOf('x_ServiceTier') ?? -1]
}

const plain = (usd: string): string => usd.replace(/0+$/, '')

test.each(['1.2', '1.4'])('FOCUS %s as CSV keeps the rules and is the ledger', async (version) => {
  const file = join(folder, `focus-${version}.csv`)
  const { code, err } = await bursar(['focus', '--version', version, '--out', file])
  expect(err).toMatch(new RegExp(`^FOCUS ${version}: \\d+ rows of 6 calls, \\$${total}\n$`))
  expect(code).toBe(0)
  const check = await bursar(['focus', '--check', file, '--version', version])
  expect(check).toMatchObject({ code: 0, err: '' })
  const [sum, lines] = await importedTotal(file)
  expect(sum).toBe(plain(total))
  const kinds = new Set(lines.map(({ kind }) => kind))
  expect([...kinds].sort()).toEqual(['adjustment', 'input', 'other', 'output'])
  expect(new Set(lines.map(({ tags }) => tags.team))).toEqual(new Set(['care', 'sales']))
  // Half the price is a tier, no correction: the one that was made is the only one.
  expect(lines.filter(({ kind }) => kind === 'adjustment')).toHaveLength(1)
  const flex = lines.filter(
    ({ source }) => source.row !== null && tierOf(file, source.row) === 'flex',
  )
  expect(flex.map(({ kind }) => kind).sort()).toEqual(['input', 'output'])
  // A name that a spreadsheet would run is only shown.
  const [head, ...rows] = parseCsv(readFileSync(file, 'utf8'))
  const agents = rows.map(({ cells }) => cells[head?.cells.indexOf('x_Agent') ?? -1])
  expect(agents).toContain("'@sum")
})

test('JSON lines and Parquet are the same rows', async () => {
  const lines = await bursar(['focus', '--format', 'jsonl'])
  expect(lines.code).toBe(0)
  const file = join(folder, 'focus.jsonl')
  writeFileSync(file, lines.out)
  expect((await importedTotal(file))[0]).toBe(plain(total))
  expect(await bursar(['focus', '--check', file])).toMatchObject({ code: 0 })
  const parquet = join(folder, 'focus.parquet')
  const written = await bursar(['focus', '--format', 'parquet', '--out', parquet])
  expect(written).toMatchObject({ code: 0 })
  expect(readFileSync(parquet).subarray(0, 4).toString()).toBe('PAR1')
  expect((await importedTotal(parquet))[0]).toBe(plain(total))
})

test('a file that breaks the rules is told so, with rows', async () => {
  const file = join(folder, 'broken.csv')
  writeFileSync(file, 'BilledCost,ChargeCategory\r\n"1,5",Use\r\n')
  const { code, err } = await bursar(['focus', '--check', file])
  expect(code).toBe(3)
  expect(err).toContain('row 1: the column BillingAccountId is missing')
  expect(err).toContain('row 2: BilledCost is "1,5": not a plain number')
  expect(await bursar(['focus', '--check', join(folder, 'none')])).toMatchObject({
    code: 1,
    err: expect.stringContaining('there is no file'),
  })
})

test('what cannot be asked for is said', async () => {
  const cases: readonly (readonly [readonly string[], number, string])[] = [
    [['--version', '1.0'], 2, 'Allowed choices are 1.2, 1.4'],
    [['--format', 'parquet'], 2, 'add --out FILE'],
    [['--month', '2026-13'], 2, '"2026-13" is not a month'],
    [['--from', '2026-10-01T05:00:00Z', '--to', '2026-10-02'], 2, 'a whole day'],
  ]
  for (const [args, code, what] of cases) {
    const ran = await bursar(['focus', ...args])
    expect(ran.err).toContain(what)
    expect(ran.code).toBe(code)
  }
  await expect(world.api('/reports/focus?after=x')).rejects.toThrow('`next` of the page before')
})

test('a lead has the rows of his subtree only', async () => {
  const made = (await world.api('/tokens', {
    name: 'lead of care',
    role: 'lead',
    subtree: 'team=care',
  })) as { token: string }
  const { code, out } = await bursar(['focus', '--format', 'jsonl'], made.token)
  expect(code).toBe(0)
  const rows = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { x_Team: string })
  expect(rows.length).toBeGreaterThan(0)
  expect(new Set(rows.map(({ x_Team }) => x_Team))).toEqual(new Set(['care']))
})

test('a month without calls is a header', async () => {
  const { code, out, err } = await bursar(['focus', '--month', '2020-02'])
  expect(code).toBe(0)
  expect(out).toMatch(/^BilledCost,[^\n]*x_TokenType\r\n$/)
  expect(err).toContain('0 rows of 0 calls')
})

test('thousands of rows, of every kind, are read again to the same total', async () => {
  const holds = fc.sample(holdsArb(Date.UTC(2026, 9, 30)), { numRuns: 3000, seed: 7 })
  const tally: FocusTally = new Map()
  for (const hold of holds) addCharges(tally, chargesOf(hold, 'hour'))
  const names = { provider: 'OpenAI', publisher: 'OpenAI', service: 'OpenAI API' }
  const charges = inFocusOrder(tally)
  const ledger = holds.reduce((sum, hold) => sum + spendOf(hold).cost, 0n)
  for (const version of focusVersions) {
    const columns = focusColumns(version)
    const rows = charges.map((charge) => {
      return focusCells(focusRow(charge, names, grainMs('hour')), columns)
    })
    expect(rows.length).toBeGreaterThan(5000)
    const file = join(folder, `many-${version}.csv`)
    const text = csvOf([columns, ...rows])
    writeFileSync(file, text)
    expect(faultsOf(text, version)).toEqual({ rows: rows.length, faults: [] })
    const [sum] = await importedTotal(file)
    expect(sum).toBe(formatDecimal({ digits: ledger, places: 9 }))
  }
})
