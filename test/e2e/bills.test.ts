/** Bills, by the real program's commands: imported once, compared, accepted, closed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { instant } from '#core/time.ts'
import { billedMonth } from '#test/support/billed-month.ts'
import { auditBooks, startWorld, type World } from '#test/support/bursar.ts'
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

const none = { drift: 0, bypassCalls: 0, toolFees: 0, credits: 0, late: false, midnight: 0 }

test('a bill is imported once, compared, accepted; the ledger adds up to it', async () => {
  const { store } = world.bursar
  const planted = { ...none, drift: 0.25, presumed: 5 }
  const { files } = await billedMonth(store, join(folder, 'october'), 300, planted)
  expect(await json('bill', 'import', ...files)).toMatchObject({ repeated: false, findings: [] })
  expect(await json('bill', 'import', ...files)).toMatchObject({ repeated: true, replaces: [] })
  const [listed] = (await world.api('/bills')) as Record<string, unknown>[]
  expect(listed).toMatchObject({ is_whole: true })
  expect(listed?.covers).toContain('openai openai-costs 2026-10')

  const made = await json('reconcile', '--month', '2026-10')
  expect(made).toMatchObject({ state: 'open', unexplained_percent: '0.0000' })
  const causes = made.causes as Record<string, string>
  expect(Number(causes.price_drift)).toBeGreaterThan(0)
  expect(Number(causes.presumed)).toBeLessThan(0)
  const shown = await bursar('reconcile', '--month', '2026-10')
  expect(shown).toContain('billed at $2.50000 a million, priced at $2.00000')

  const accepted = await json('reconcile', '--month', '2026-10', '--accept', 'the new price')
  expect(accepted).toMatchObject({ state: 'accepted' })
  const page = { from: instant(0), to: instant(4e12), after: null, limit: 1000 }
  const total = (await store.holdsMade(page)).reduce((sum, { cost }) => sum + (cost ?? 0n), 0n)
  expect(Math.abs(Number(total) / 1e9 - Number(accepted.billed_usd))).toBeLessThan(1e-6)
  // Entries were added; balances are still their fold.
  await auditBooks(world)
  const again = await json('reconcile', '--month', '2026-10')
  expect(again).toMatchObject({ unexplained_percent: '0.0000' })
  expect(again.causes).not.toHaveProperty('price_drift')
  expect(await world.api('/months')).toMatchObject([{ month: '2026-10', mark: 'reconciled' }])
}, 60_000)

test('what nobody has said is not taken for nothing, and what has changed is not accepted', async () => {
  await using other = await startWorld({ config: 'organization: acme\nbudgets: []\n' })
  const { store } = other.bursar
  const planted = { ...none, presumed: 5 }
  const { files } = await billedMonth(store, join(folder, 'other'), 100, planted)
  const there = { ...env(), BURSAR_URL: other.url }
  const run = (...args: readonly string[]): Promise<string> => runProgram(args, there)
  const page = { from: instant(0), to: instant(4e12), after: null, limit: 1000 }
  const costs = async (): Promise<readonly unknown[]> =>
    (await store.holdsMade(page)).map(({ cost, basis }) => [cost, basis])
  const before = await costs()
  // Without any bill nothing is known: nothing is corrected, and nothing explained.
  const bare = JSON.parse(await run('reconcile', '--month', '2026-10', '--json')) as { id: string }
  expect(bare).toMatchObject({ unexplained_percent: '100.0000' })
  await run('bill', 'import', ...files)
  const accept = other.api(`/reconciliations/${bare.id}/accept`, { reason: 'as it was shown' })
  await expect(accept).rejects.toThrow('changed_since')
  expect(await costs()).toEqual(before)
  // A month that is not over has no bill that is whole.
  const now = new Date().toISOString().slice(0, 7)
  expect(await run('reconcile', '--month', now, '--accept', 'too soon')).toContain('is not over')
  // The same money in two forms would count twice.
  const openai = files.find((file) => file.endsWith('openai.csv')) ?? ''
  const form = bill('focus.csv', '2026-10-01', [])
  writeFileSync(form, focusOf())
  await run('bill', 'import', form)
  expect(await run('reconcile', '--month', '2026-10')).toContain('most likely the same money')
  expect(openai).not.toBe('')
}, 60_000)

/** A bill of OpenAI in another format than its own. */
function focusOf(): string {
  const columns = [
    ['ProviderName', 'OpenAI'],
    ['BilledCost', '1.5'],
    ['BillingCurrency', 'USD'],
    ['ChargePeriodStart', '2026-10-05T00:00:00Z'],
    ['ChargePeriodEnd', '2026-10-06T00:00:00Z'],
    ['BillingPeriodStart', '2026-10-01T00:00:00Z'],
    ['BillingPeriodEnd', '2026-11-01T00:00:00Z'],
    ['ChargeCategory', 'Usage'],
    ['ServiceName', 'OpenAI API'],
    ['SkuId', 'gpt-5-mini input'],
    ['ChargeDescription', 'gpt-5-mini, input'],
    ['ConsumedQuantity', '1000'],
    ['ConsumedUnit', 'Tokens'],
  ]
  const [names, values] = [0, 1].map((i) => columns.map((one) => `"${one[i]}"`).join(','))
  return `${names}\n${values}\n`
}

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
