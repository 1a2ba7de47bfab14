/** The kill switch and the walls between environments, through the running server. */
import { expect, test } from 'vitest'
import { type Answer, call, chatBody, startWorld, until } from '#test/support/bursar.ts'

const chat = '/v1/chat/completions'
const config = `organization: acme
environments: [dev, prod]
business_units: { ops: { teams: { core: { agents: { triage: {}, research: {} } }, other: {} } } }
providers:
  real: { kind: openai_compatible, base_url: "http://127.0.0.1:9", models: [prod-model], free: true, environments: [prod] }
budgets:
  - { environment: prod, budget_daily_usd: 100 }
  - { environment: dev, budget_daily_usd: 1 }
`

const codeOf = (answer: Answer): unknown =>
  (answer.json() as { error?: { code?: string } }).error?.code ?? null

test('a frozen node makes no call; what runs ends and is recorded', async () => {
  await using world = await startWorld({ config })
  const key = await world.key({ agent: 'triage', environment: 'dev' })
  const other = await world.key({ agent: 'research', environment: 'dev' })
  const running = call(world, key, chat, chatBody('hi'), { 'bursar-sim': 'delay=500' })
  await until('it runs', async () => (await world.bursar.store.openHolds()) === 1)
  const made = await world.api('/freezes', {
    selector: { agent: 'triage' },
    reason: 'it misbehaves',
  })
  expect(made).toMatchObject({ id: 'agent=triage', on: true, by: 'admin' })
  const refused = await call(world, key, chat, chatBody('hi'))
  expect([refused.status, codeOf(refused)]).toEqual([403, 'frozen'])
  expect(refused.text).toContain('it misbehaves')
  expect((await call(world, other, chat, chatBody('hi'))).status).toBe(200)
  expect((await running).status).toBe(200)
  const spent = (await world.bursar.store.recentHolds(10)).map(({ state }) => state)
  expect(spent).toEqual(['settled', 'settled'])

  await world.api('/freezes/agent%3Dtriage/end', { reason: 'mended' })
  expect((await call(world, key, chat, chatBody('hi'))).status).toBe(200)
  const audit = (await world.api('/audit')) as { action: string; reason: string }[]
  expect(audit.slice(0, 2).map(({ action, reason }) => [action, reason])).toEqual([
    ['freeze.ended', 'mended'],
    ['freeze.begun', 'it misbehaves'],
  ])
  const alerts = (await world.api('/alerts')) as { kind: string }[]
  expect(alerts.map(({ kind }) => kind)).toEqual(['freeze', 'freeze'])
})

test('a kill switch that names nobody is refused, and one for all takes all', async () => {
  await using world = await startWorld({ config })
  const key = await world.key({ agent: 'triage', environment: 'dev' })
  const typo = world.api('/freezes', { selector: { agent: 'tirage' }, reason: 'stop it' })
  await expect(typo).rejects.toThrow('there is no agent')
  await world.api('/freezes', { selector: {}, reason: 'the bill is odd' })
  expect(codeOf(await call(world, key, chat, chatBody('hi')))).toBe('frozen')
  expect(world.simulator.requests()).toBe(0)
})

test('a key of dev gets no credential and no budget of prod; asking is told once', async () => {
  await using world = await startWorld({ config })
  const key = await world.key({ agent: 'triage', environment: 'dev' })
  const claim = { 'bursar-environment': 'prod' }
  for (let i = 0; i < 3; i += 1) {
    const refused = await call(world, key, chat, chatBody('hi'), claim)
    expect([refused.status, codeOf(refused)]).toEqual([403, 'not_allowed'])
  }
  const foreign = await call(world, key, chat, chatBody('hi', { model: 'prod-model' }))
  expect(foreign.status).toBe(403)
  expect((await call(world, key, chat, chatBody('hi'))).status).toBe(200)
  expect(await world.api('/budgets')).toMatchObject([
    { selector: { environment: 'prod' }, posted_usd: '0.000000000' },
    { selector: { environment: 'dev' } },
  ])
  type Told = { kind: string; details: Record<string, string> }
  const told = async (): Promise<Told[]> => (await world.api('/alerts')) as Told[]
  await until('both are told', async () => (await told()).length === 2)
  expect((await told()).map(({ kind, details }) => [kind, details['asked for']])).toEqual([
    ['cross_use', 'prod-model, which only another environment may use'],
    ['cross_use', 'prod'],
  ])
  const doctor = (await world.api('/doctor')) as { cross_use: { key: string }[] }
  expect(doctor.cross_use).toHaveLength(2)
})
