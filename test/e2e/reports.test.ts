import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
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
