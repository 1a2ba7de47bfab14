/** A budget whose unit is an outcome, through the running server: told, slowed, and let go. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { call, chatBody, startWorld, until, type World } from '#test/support/bursar.ts'

const config = `outcomes: { resolved_case: {} }
policy: { max_wait: 1s }
budgets:
  - agent: dear
    budget_monthly_usd: 100
    max_usd_per_outcome: { type: resolved_case, usd: 0.000001, at_least: 2, throttle_to: 50 }
  - agent: told
    max_usd_per_outcome: { type: resolved_case, usd: 0.000001, at_least: 2 }
  - agent: cheap
    max_usd_per_outcome: { type: resolved_case, usd: 5, at_least: 2, throttle_to: 50 }
  - agent: watched
    mode: observe
    max_usd_per_outcome: { type: resolved_case, usd: 0.000001, at_least: 2, throttle_to: 50 }
`
let world: World
const keys = new Map<string, string>()
const agents = ['dear', 'told', 'cheap', 'watched', 'other']
beforeAll(async () => {
  world = await startWorld({ config })
  for (const agent of agents) keys.set(agent, await world.key({ agent }))
})
afterAll(() => world[Symbol.asyncDispose]())

const ask = (agent: string) =>
  call(world, keys.get(agent) ?? '', '/v1/chat/completions', chatBody('hi'), {
    'bursar-sim': 'tokens=2000',
  })

interface Told {
  readonly kind: string
  readonly budget: string
  readonly threshold: string
  readonly details: Readonly<Record<string, string>>
}

test('over its cost for an outcome: everybody hears, and only who said so is slowed', async () => {
  for (const agent of agents) expect((await ask(agent)).status).toBe(200)
  const alerts = async (): Promise<readonly Told[]> =>
    ((await world.api('/alerts')) as Told[]).filter(({ kind }) => kind === 'outcome_cost')
  await until('all have been told', async () => (await alerts()).length === 3, 15_000)
  const all = await alerts()
  expect(all.map(({ details }) => details.what).sort()).toEqual([
    'dear, resolved_case',
    'told, resolved_case',
    'watched, resolved_case',
  ])
  const dear = all.find(({ details }) => details.what?.startsWith('dear'))
  expect(dear).toMatchObject({
    threshold: 'surely_over',
    budget: expect.stringMatching(/^bud_dear/),
  })
  expect(dear?.details.sentence).toContain('Calls now pass at 50 % of their pace')
  expect(dear?.details.outcomes).toBe('0 of at least 2')

  await until('it is slowed', async () => (await ask('dear')).status === 429, 10_000)
  const slowed = await ask('dear')
  expect(slowed.status).toBe(429)
  expect(slowed.text).toContain('what they achieve costs more than its budget')
  expect(Number(slowed.headers.get('retry-after'))).toBeGreaterThan(0)
  for (const agent of ['told', 'cheap', 'watched', 'other']) {
    expect((await ask(agent)).status, agent).toBe(200)
  }
  expect(await world.bursar.store.openHolds()).toBe(0)
})

test('outcomes come, the quotient falls, and calls go at their pace again', async () => {
  for (let n = 0; n < 40_000; n += 4000) {
    const rows = Array.from({ length: 4000 }, (_, i) => `d${n + i},resolved_case,dear,t`)
    const csv = `id,type,agent,tenant\n${rows.join('\n')}`
    expect(await world.api('/outcomes/import', { csv })).toMatchObject({ added: 4000 })
  }
  await until('it is served again', async () => (await ask('dear')).status === 200, 60_000)
  expect(await world.bursar.store.records('pace')).toEqual([])
})
