import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { dayOf } from '#core/spend.ts'
import type { BudgetId } from '#lib/id.ts'
import { systemClock } from '#system/clock.ts'
import { call, chatBody, startWorld, until } from '#test/support/bursar.ts'

const run = promisify(execFile)
const main = new URL('../../src/main.ts', import.meta.url).pathname
const path = '/v1/chat/completions'
const config = `business_units:
  support: { teams: { care: { agents: { resolver: { purpose: a }, triage: { purpose: b } } } } }
budgets: [{ name: all, budget_yearly_usd: 1000 }]
`

interface Row {
  readonly agent: string
  readonly model: string
  readonly calls: string
  readonly cost_usd: string
}

test('what was spent, by agent and model, is the bill; it is told at once', async () => {
  await using world = await startWorld({ config })
  const [resolver, triage] = [
    await world.key({ agent: 'resolver' }),
    await world.key({ agent: 'triage' }),
  ]
  const sim = { 'bursar-sim': 'tokens=100; input=50' }
  for (let i = 0; i < 3; i += 1) await call(world, resolver, path, chatBody('hi'), sim)
  const dear = chatBody('hi', { model: 'gpt-5' })
  await call(world, triage, path, dear, sim)
  await call(world, triage, path, dear, { 'bursar-sim': 'status=500' })
  await until('all have ended', async () => (await world.bursar.store.openHolds()) === 0)

  const rows = (await world.api('/reports/spend?by=agent,model')) as Row[]
  expect(rows.map(({ agent, model, calls }) => [agent, model, calls])).toEqual([
    ['triage', 'gpt-5', '1'],
    ['resolver', 'gpt-5-mini', '3'],
  ])
  const nanosOf = (usd: string): bigint => BigInt(usd.replace('.', ''))
  const bill = world.simulator.bill()
  expect(rows.reduce((sum, { cost_usd }) => sum + nanosOf(cost_usd), 0n)).toBe(
    nanosOf(bill.total_usd),
  )
  const [total] = (await world.api('/reports/spend')) as Row[]
  expect(total).toMatchObject({ calls: '4', cost_usd: bill.total_usd, presumed_usd: '0.000000000' })
  expect(await world.api('/reports/spend?from=2020-01-01&to=2020-02-01&by=team')).toEqual([])
  const days = (await world.api('/reports/spend?by=day')) as { day: string }[]
  expect(days.map(({ day }) => day)).toEqual([expect.stringMatching(/^20\d\d-\d\d-\d\d$/)])

  const env = { ...process.env, BURSAR_URL: world.url, BURSAR_ADMIN_TOKEN: 'adm_test' }
  const { stdout } = await run(process.execPath, [main, 'report', 'spend', '--by', 'agent'], {
    env,
  })
  expect(stdout).toMatch(/AGENT +CALLS +TOKENS +COST USD +PRESUMED USD\n/)
  expect(stdout).toContain(bill.total_usd.slice(0, 3))
  const folder = mkdtempSync(join(tmpdir(), 'bursar-reports-'))
  const [csv, xlsx] = [join(folder, 'spend.csv'), join(folder, 'spend.xlsx')]
  const args = [main, 'report', 'spend', '--by', 'agent,model', '--csv', csv, '--xlsx', xlsx]
  await run(process.execPath, args, { env })
  const lines = readFileSync(csv, 'utf8').split('\r\n')
  expect(lines[0]).toBe('agent,model,calls,tokens,cost_usd,presumed_usd')
  const [dearest] = rows
  expect(lines[1]).toMatch(new RegExp(`^triage,gpt-5,1,\\d+,${dearest?.cost_usd},0.000000000$`))
  expect(lines).toHaveLength(4)
  // A workbook is a zip file.
  expect(readFileSync(xlsx).subarray(0, 2).toString()).toBe('PK')
  rmSync(folder, { recursive: true })
  await expect(world.api('/reports/spend?by=moon')).rejects.toThrow('is not one of: day')
})

test('where each user will be at the end of the year, those first who come closest', async () => {
  await using world = await startWorld({
    config: `business_units:
  support: { teams: { care: { agents: { resolver: { purpose: a }, triage: { purpose: b } } } } }
budgets:
  - { name: each user, per: user, budget_yearly_usd: 100 }
  - { name: each agent, per: agent, budget_yearly_usd: 100 }
`,
  })
  const key = await world.key({ agent: 'resolver' })
  const users = Array.from({ length: 23 }, (_, no) => `user-${no}`)
  for (const user of users) {
    await call(world, key, path, chatBody('hi'), { 'bursar-user': user })
  }
  const store = world.bursar.store
  await until('all have ended', async () => (await store.openHolds()) === 0)
  type Told = Record<'budget' | 'name' | 'value', string> & { expected_usd: string | null }
  const ofUsers = async (): Promise<Told[]> =>
    ((await world.api('/reports/forecast')) as Told[]).filter(({ name }) => /^each user/.test(name))
  const budget = (await ofUsers())[0]?.budget as BudgetId
  const now = systemClock.now()
  const start = (await store.accountsAt(now, budget))[0]?.period.start
  // What a round at midnight has kept: ten days of one user.
  const days = Array.from({ length: 10 }, () => 3_000_000_000)
  const values = [{ value: 'user-7', days, start, posted: 0n }]
  const book = { until: dayOf(now), isWhole: true, values }
  await store.putRecord({ kind: 'days', id: budget, value: book })

  const [first, ...others] = await ofUsers()
  expect(first).toMatchObject({ value: 'user-7', expected_usd: expect.stringMatching(/^\d+\./) })
  expect(Number(first?.expected_usd)).toBeGreaterThanOrEqual(3)
  expect(others.map(({ value }) => value)).toEqual(
    expect.arrayContaining(users.filter((user) => user !== 'user-7')),
  )
  expect(others.every(({ expected_usd }) => expected_usd === null)).toBe(true)
  const all = (await world.api('/reports/forecast')) as Told[]
  const agents = all.filter(({ name }) => name.startsWith('each agent'))
  expect(agents.map(({ value }) => value)).toEqual(['resolver'])

  const env = { ...process.env, BURSAR_URL: world.url, BURSAR_ADMIN_TOKEN: 'adm_test' }
  const { stdout } = await run(process.execPath, [main, 'report', 'forecast'], { env })
  expect(stdout).toMatch(/NAME +VALUE +PERIOD END/)
  expect(stdout).toMatch(/each user\S* .*: 3 more; --json has them all\n$/)
})
