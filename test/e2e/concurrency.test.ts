import { expect, test } from 'vitest'
import { auditBooks, call, startWorld, until } from '#test/support/bursar.ts'

/** Sonnet at $15 a million: 20,000 tokens of output are $0.30, and two bytes of prompt are not. */
const thirtyCents = {
  model: 'claude-sonnet-4-5',
  max_tokens: 19_900,
  messages: [{ role: 'user', content: 'x' }],
}
const config = (onTight: string): string => `organization: acme
budgets:
  - budget_monthly_usd: 1.00
    alerts: [{ threshold: 1.0, action: hard_stop }]
policy: { on_tight: ${onTight}, max_wait: 1s }
`

test('$1.00 and 50 calls of $0.30 held open: 3 are admitted, 47 refused, the provider saw 3', async () => {
  await using world = await startWorld({ config: config('refuse') })
  const key = await world.key()
  const answers = Array.from({ length: 50 }, () =>
    call(world, key, '/v1/messages', thirtyCents, { 'bursar-sim': 'tokens=19900; delay=1500' }),
  )
  await until('3 holds', async () => (await world.bursar.store.openHolds()) === 3)
  const statuses = (await Promise.all(answers)).map(({ status }) => status)
  expect(statuses.filter((status) => status === 200)).toHaveLength(3)
  expect(statuses.filter((status) => status === 429)).toHaveLength(47)
  expect(world.simulator.requests()).toBe(3)
  expect(await auditBooks(world)).toBe(0)
})

test('with clamp, the worst cases of what was admitted sum to at most $1.00', async () => {
  await using world = await startWorld({ config: config('clamp') })
  const key = await world.key()
  const answers = await Promise.all(
    Array.from({ length: 50 }, () =>
      call(world, key, '/v1/messages', thirtyCents, { 'bursar-sim': 'tokens=19900; delay=1500' }),
    ),
  )
  const holds = await world.bursar.store.recentHolds(100)
  const held = holds.reduce((sum, { amount }) => sum + amount, 0n)
  expect(held).toBeLessThanOrEqual(1_000_000_000n)
  const served = answers.filter(({ status }) => status === 200)
  expect(served.length).toBe(holds.length)
  expect(served.length).toBeGreaterThanOrEqual(4)
  const clamped = served.filter(({ headers }) => headers.has('bursar-clamped-max-tokens'))
  expect(clamped.length).toBeGreaterThanOrEqual(1)
  expect(await auditBooks(world)).toBe(0)
})

test('without max_tokens and with little money the cap that fits is written into the body', async () => {
  await using world = await startWorld({
    config: `organization: acme
budgets: [{ budget_monthly_usd: 0.01, alerts: [{ threshold: 1.0, action: hard_stop }] }]
`,
  })
  const key = await world.key()
  const answer = await call(
    world,
    key,
    '/v1/chat/completions',
    {
      model: 'gpt-5',
      messages: [{ role: 'user', content: 'tell me everything' }],
    },
    { 'bursar-sim': 'tokens=100000' },
  )
  expect(answer.status).toBe(200)
  const cap = Number(answer.headers.get('bursar-clamped-max-tokens'))
  expect(cap).toBeGreaterThan(256)
  const [line] = world.simulator.bill().lines
  expect(line?.usage.completion).toBe(cap)
  expect(Number(answer.headers.get('bursar-cost-usd'))).toBeLessThanOrEqual(0.01)
  const next = await call(world, key, '/v1/chat/completions', {
    model: 'gpt-5',
    messages: [{ role: 'user', content: 'and more' }],
  })
  expect(next.status).toBe(402)
  expect(next.headers.get('x-should-retry')).toBe('false')
  expect(world.simulator.requests()).toBe(1)
})
