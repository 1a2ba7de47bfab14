/** The month's close: from a running server to pages on which everything has its place. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import type { MonthReport, MonthSpend } from '#core/month.ts'
import { writeMonthPdf } from '#files/month-pdf.ts'
import { call, chatBody, startWorld, until } from '#test/support/bursar.ts'
import { pagesOf } from '#test/support/pdf.ts'

const main = new URL('../../src/main.ts', import.meta.url).pathname
const folder = mkdtempSync(join(tmpdir(), 'bursar-month-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const config = `organization: acme
business_units:
  support: { teams: { care: { agents: { resolver: { purpose: a } } } } }
  growth: { teams: { sales: { agents: { hunter: { purpose: b } } } } }
outcomes: { resolved_case: { quiet_period: 1s } }
budgets:
  - { name: all, budget_yearly_usd: 1000 }
  - { team: care, budget_monthly_usd: 10 }
`

test('a month of calls is a report and a PDF: a page for the company, one a team', async () => {
  await using world = await startWorld({ config })
  const care = await world.key({ agent: 'resolver' })
  const sales = await world.key({ agent: 'hunter' })
  const path = '/v1/chat/completions'
  const said = { 'bursar-conversation': 'case-77', 'bursar-sim': 'tokens=900; input=400' }
  for (let i = 0; i < 3; i += 1) await call(world, care, path, chatBody('hi'), said)
  await call(world, sales, path, chatBody('hi', { model: 'gpt-5' }), {})
  await until('all have ended', async () => (await world.bursar.store.openHolds()) === 0)

  const report = (await world.api('/reports/month')) as MonthReport
  const [row] = (await world.api('/reports/spend')) as { cost_usd: string }[]
  expect(report.total).toMatchObject({ calls: '4', cost_usd: row?.cost_usd })
  const nanos = (rows: readonly MonthSpend[]): bigint =>
    rows.reduce((sum, { cost_usd }) => sum + BigInt(cost_usd.replace('.', '')), 0n)
  const total = nanos([report.total])
  expect(nanos(report.teams)).toBe(total)
  expect(nanos(report.business_units)).toBe(total)
  expect(nanos(report.models)).toBe(total)
  expect(nanos(report.teams.flatMap(({ agents }) => agents))).toBe(total)
  const team = report.teams.find(({ name }) => name === 'care')
  expect(team?.conversations).toMatchObject([{ name: 'case-77', calls: '3' }])
  expect(team?.budgets).toMatchObject([{ limit_usd: '10.000000000', posted_usd: team?.cost_usd }])
  expect(report.outcomes).toMatchObject([{ type: 'resolved_case', outcomes: 0, each_usd: null }])
  expect(report).toMatchObject({ mark: 'metered', is_over: false, forecast: null })

  const file = join(folder, 'month.pdf')
  const env = { ...process.env, BURSAR_URL: world.url, BURSAR_ADMIN_TOKEN: 'adm_test' }
  const err = await new Promise((resolve) => {
    const args = [main, 'report', 'month', '--out', file]
    execFile(process.execPath, args, { env }, (_error, _out, told) => resolve(told))
  })
  expect(err).toContain('month.pdf: 3 pages')
  const pages = pagesOf(readFileSync(file))
  expect(pages).toHaveLength(3)
  expect(pages[0]?.map(({ text }) => text)).toEqual(
    expect.arrayContaining(['acme', 'By business unit', 'support', 'Budgets', 'gpt-5']),
  )

  const made = (await world.api('/tokens', {
    name: 'lead of care',
    role: 'lead',
    subtree: 'team=care',
  })) as { token: string }
  const answer = await fetch(`${world.url}/api/v1/reports/month`, {
    headers: { authorization: `Bearer ${made.token}` },
  })
  const own = (await answer.json()) as MonthReport
  expect(own.total).toMatchObject({ cost_usd: team?.cost_usd })
  expect(own.teams.map(({ name }) => name)).toEqual(['care'])
  expect(own.budgets.map(({ limit_usd }) => limit_usd)).toEqual(['10.000000000'])
  await expect(world.api('/reports/month?month=2026-13')).rejects.toThrow('is not a month')
  await expect(world.api('/reports/month?month=2999-01')).rejects.toThrow('has not begun')
})

const spend = (name: string | null, cost: string): MonthSpend => ({
  name,
  calls: '1234567',
  cost_usd: cost,
  presumed_usd: '12.500000000',
})
const long = `${'a very long name '.repeat(12)}end`
const many = Array.from({ length: 60 }, (_, i) =>
  spend(i === 0 ? long : `n${i}`, '1234567.890000000'),
)
const budgets = Array.from({ length: 40 }, (_, i) => ({
  name: i === 0 ? long : `budget ${i}`,
  value: i === 1 ? long : null,
  period: 'month',
  limit_usd: '900000000.000000000',
  posted_usd: '1000000000.000000000',
  used_percent: '111.1',
}))
const outcomes = Array.from({ length: 20 }, (_, i) => ({
  type: `outcome ${i}`,
  outcomes: 1234.5678,
  cost_usd: '999999999.000000000',
  each_usd: '0.000001234',
  low_usd: '123456789.123456789',
  high_usd: '999999999.999999999',
}))
const full: MonthReport = {
  month: '2026-10',
  organization: `Größe & Söhne 研究 ${long}`,
  until: '2026-11-01T00:00:00Z',
  is_over: true,
  mark: 'metered',
  total: spend(null, '2000000.000000000'),
  tokens: '123456789012',
  before_usd: '1000000.000000000',
  business_units: many,
  models: many,
  budgets,
  outcomes,
  forecast: {
    month: '2026-11',
    expected_usd: '123456789.000000000',
    low_usd: '100000000.000000000',
    high_usd: '200000000.000000000',
  },
  teams: Array.from({ length: 12 }, (_, i) => ({
    ...spend(i === 0 ? null : `team ${i}`, '3.000000000'),
    agents: many.map((one) => ({ ...one, model: 'gpt-5' })),
    budgets,
    outcomes,
    conversations: many.slice(0, 5),
  })),
}

test('whatever is on a page has its place on it, and the same report is the same file', async () => {
  const [one, other] = [join(folder, 'one.pdf'), join(folder, 'other.pdf')]
  await writeMonthPdf(one, full)
  await writeMonthPdf(other, full)
  expect(readFileSync(one).equals(readFileSync(other))).toBe(true)
  const pages = pagesOf(readFileSync(one))
  expect(pages).toHaveLength(13)
  for (const texts of pages) {
    expect(texts.length).toBeGreaterThan(20)
    for (const { text, x, y, size } of texts) {
      expect(x).toBeGreaterThanOrEqual(48)
      expect(x).toBeLessThan(595.28 - 48)
      expect(y).toBeGreaterThan(48)
      expect(y).toBeLessThan(841.89 - 40)
      expect(text).not.toBe('')
      expect(size).toBeGreaterThanOrEqual(5)
    }
    // No two texts of one line lie on each other: those to the left end before those to the right.
    const foot = texts.filter(({ text }) => text.startsWith('Metered: counted by Bursar'))
    expect(foot).toHaveLength(1)
    const tables = texts.filter(({ y }) => y < 841.89 - 48 - 30)
    expect(tables.length).toBe(texts.length - 2)
  }
  const words = pages[0]?.map(({ text }) => text) ?? []
  expect(words).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/^Größe & Söhne \?\? a very long.*\.\.\.$/),
      'AI spend, 2026-10',
      '$2,000,000.00',
      '+100.0 % on the month before',
      'FORECAST, 2026-11',
      '$123,456,789.00',
      expect.stringMatching(/^By business unit \(\d+ more not shown\)$/),
      expect.stringMatching(/^Cost per outcome, with its 95 % interval \(\d+ more not shown\)$/),
      '$123,456,789.12 - $1,000,000,000.00',
      '1 / 13',
    ]),
  )
  expect(pages[1]?.map(({ text }) => text)).toContain('(no team)')
})
