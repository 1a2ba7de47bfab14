/** Bills, by the real program's commands: imported once, compared, accepted, closed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { auditBooks, call, chatBody, startWorld, type World } from '#test/support/bursar.ts'
import { runProgram } from '#test/support/program.ts'

const folder = mkdtempSync(join(tmpdir(), 'bursar-bills-'))
let world: World
beforeAll(async () => {
  world = await startWorld({
    config: 'organization: acme\nbudgets: [{ budget_yearly_usd: 100 }]\n',
  })
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

const env = (): Record<string, string> => ({
  BURSAR_URL: world.url,
  BURSAR_ADMIN_TOKEN: 'adm_test',
  BURSAR_COLUMNS: join(folder, 'columns.json'),
})
const bursar = (...args: readonly string[]): Promise<string> => runProgram(args, env())
const json = async (...args: readonly string[]): Promise<Record<string, unknown>> =>
  JSON.parse(await bursar(...args, '--json')) as Record<string, unknown>

const header = 'start_time,amount_value,amount_currency,line_item,project_id,quantity\n'
function bill(
  name: string,
  day: string,
  rows: readonly (readonly [string, string, number])[],
): string {
  const start = Date.parse(day) / 1000
  const lines = rows.map(
    ([item, usd, quantity]) => `${start},${usd},usd,"${item}",proj_gateway,${quantity}\n`,
  )
  const path = join(folder, name)
  writeFileSync(path, header + lines.join(''))
  return path
}

test('a bill is imported once, compared, accepted; the ledger adds up to it', async () => {
  const key = await world.key({ agent: 'triage' })
  for (let i = 0; i < 3; i += 1) {
    const body = chatBody('hello there', { max_tokens: 400 })
    const sim = { 'bursar-sim': 'tokens=400' }
    expect((await call(world, key, '/v1/chat/completions', body, sim)).status).toBe(200)
  }
  const holds = await world.bursar.store.recentHolds(10)
  const usage = holds.map(({ facts }) => facts.usage as { input: number; output: number })
  const sum = (name: 'input' | 'output'): number =>
    usage.reduce((all, one) => all + (one[name] ?? 0), 0)
  const [{ madeAt } = { madeAt: 0 }] = holds
  const day = new Date(madeAt).toISOString().slice(0, 10)
  const month = day.slice(0, 7)
  // gpt-5-mini is $0.25 and $2 a million; output is billed at $3.
  const file = bill('openai.csv', day, [
    ['gpt-5-mini-2025-08-07, input', (sum('input') * 0.25e-6).toFixed(9), sum('input')],
    ['gpt-5-mini-2025-08-07, output', (sum('output') * 3e-6).toFixed(9), sum('output')],
  ])
  expect(await json('bill', 'import', file)).toMatchObject({ lines: 2, repeated: false })
  expect(await json('bill', 'import', file)).toMatchObject({ lines: 2, repeated: true })
  const [listed] = (await world.api('/bills')) as Record<string, unknown>[]
  expect(listed).toMatchObject({ covers: [`openai openai-costs ${month}`], is_whole: true })

  const made = await json('reconcile', '--month', month)
  const more = (sum('output') * 1e-6).toFixed(6)
  expect(made).toMatchObject({ state: 'open', unexplained_percent: '0.0000' })
  expect(Number((made.causes as Record<string, string>).price_drift).toFixed(6)).toBe(more)
  const shown = await bursar('reconcile', '--month', month)
  expect(shown).toContain('billed at $3.00000 a million, priced at $2.00000')

  const accepted = await json('reconcile', '--month', month, '--accept', 'the new price is known')
  expect(accepted).toMatchObject({ state: 'accepted', corrected_calls: 3 })
  const after = await world.bursar.store.recentHolds(10)
  const total = after.reduce((all, { cost }) => all + (cost ?? 0n), 0n)
  expect((Number(total) / 1e9).toFixed(6)).toBe(Number(accepted.billed_usd).toFixed(6))
  // Entries were added; balances are still their fold.
  await auditBooks(world)
  const again = await json('reconcile', '--month', month)
  expect(again).toMatchObject({
    causes: expect.not.objectContaining({ price_drift: expect.anything() }),
  })
  expect(await world.api('/months')).toMatchObject([{ month, mark: 'reconciled' }])
  await expect(world.api(`/months/${month}/close`, { note: 'too soon' })).rejects.toThrow(
    'not_over',
  )
}, 60_000)

test('a newer bill of a month takes the place of the older one', async () => {
  const item = 'gpt-5-mini, input'
  await bursar('bill', 'import', bill('a.csv', '2026-09-05', [[item, '1.5', 6_000_000]]))
  await bursar('bill', 'import', bill('b.csv', '2026-09-05', [[item, '2.5', 10_000_000]]))
  const other = bill('c.csv', '2026-09-06', [[item, '0.25', 1_000_000]])
  await bursar('bill', 'import', other, '--account', 'second')
  expect(await json('reconcile', '--month', '2026-09')).toMatchObject({
    billed_usd: '2.75',
    metered_usd: '0',
  })
}, 60_000)

test('a closed month is not changed any more', async () => {
  const item = 'gpt-5-mini, input'
  const file = bill('aug.csv', '2026-08-05', [[item, '1.5', 6_000_000]])
  await bursar('bill', 'import', file)
  const made = await json('reconcile', '--month', '2026-08')
  const closed = await json('month', 'close', '2026-08', '--note', 'signed: the CFO')
  expect(closed).toMatchObject({ mark: 'final', closed_by: 'admin', note: 'signed: the CFO' })
  const late = bill('late.csv', '2026-08-06', [[item, '9', 1]])
  expect(await bursar('bill', 'import', late)).toContain('2026-08 is closed')
  const accept = world.api(`/reconciliations/${String(made.id)}/accept`, { reason: 'late' })
  await expect(accept).rejects.toThrow('month_closed')
  await expect(world.api('/months/2026-08/close', { note: 'again' })).rejects.toThrow('closed')
  const [audit] = (await world.api('/audit')) as Record<string, unknown>[]
  expect(audit).toMatchObject({ action: 'month.closed', subject: '2026-08' })
}, 60_000)

test('a file that is no bill says what its columns could be', async () => {
  const path = join(folder, 'strange.csv')
  writeFileSync(path, 'date,who,money\n2026-08-01,me,3\n')
  expect(await bursar('bill', 'import', path)).toContain('is no bill that Bursar knows')
})
