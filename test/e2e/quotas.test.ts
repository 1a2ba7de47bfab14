/** Quotas through the running server: soft before hard, and always visible. */
import { expect, test } from 'vitest'
import { auditBooks, call, chatBody, startWorld } from '#test/support/bursar.ts'

const config = `organization: acme
quotas:
  - { per: user, max_calls_per_day: 4, soft: 0.5 }
  - { agent: resolver, max_conversations_per_day: 2 }
  - { name: watched, agent: watched, mode: observe, max_calls_per_day: 1 }
`
const chat = '/v1/chat/completions'

test('what is nearly used up is told beside what else there is to tell', async () => {
  await using world = await startWorld({ config })
  const key = await world.key({ agent: 'a' })
  const headers = { 'bursar-user': 'ann', 'bursar-outcome': 'won_war' }
  const ask = () => call(world, key, chat, chatBody('hi'), headers)
  await ask()
  expect((await ask()).headers.get('bursar-warning')).toMatch(
    /^50\.0 % of "per user calls a day" used, resets .*; .*no outcome type "won_war"/,
  )
})

test('a user is told from the soft limit on, once, and stopped at the hard one', async () => {
  await using world = await startWorld({ config })
  const key = await world.key({ agent: 'a' })
  const ask = (user: string) => call(world, key, chat, chatBody('hi'), { 'bursar-user': user })
  const seen: [number, string | null, string | null][] = []
  for (let i = 0; i < 5; i += 1) {
    const { status, headers } = await ask('ann')
    seen.push([status, headers.get('bursar-quota'), headers.get('bursar-warning')])
  }
  const quota = (used: number): string => `"per user calls a day";limit=4;used=${used};window=day`
  expect(seen.map(([status, said]) => [status, said])).toEqual([
    [200, quota(1)],
    [200, quota(2)],
    [200, quota(3)],
    [200, quota(4)],
    [402, quota(4)],
  ])
  expect(seen.map(([, , warning]) => warning?.replace(/, resets.*/, '') ?? null)).toEqual([
    null,
    '50.0 % of "per user calls a day" used',
    '75.0 % of "per user calls a day" used',
    '100.0 % of "per user calls a day" used',
    '100.0 % of "per user calls a day" used',
  ])
  expect((await ask('bob')).status).toBe(200)
  const alerts = (await world.api('/alerts')) as { threshold: string; value: string }[]
  expect(alerts.map(({ threshold, value }) => [value, threshold]).reverse()).toEqual([
    ['ann', '0.5'],
    ['ann', '1.0'],
  ])
  const shown = await fetch(`${world.url}/v1/budget`, {
    headers: { authorization: `Bearer ${key}`, 'bursar-user': 'ann' },
  })
  const { quotas } = (await shown.json()) as { quotas: Record<string, string>[] }
  expect(quotas[0]).toMatchObject({ unit: 'calls', limit: '4', used: '4', left: '0' })
  expect(await auditBooks(world)).toBe(0)
})

test('a conversation counts once: named, by an alias, or by how it begins', async () => {
  await using world = await startWorld({ config })
  const key = await world.key({ agent: 'resolver' })
  const ask = async (text: string, headers: Record<string, string> = {}): Promise<number> =>
    (await call(world, key, chat, chatBody(text), { 'bursar-user': text, ...headers })).status
  expect(await ask('one', { 'bursar-conversation': 'c1' })).toBe(200)
  expect(await ask('two', { 'bursar-conversation': 'c1' })).toBe(200)
  expect(await ask('three', { 'session-id': 'c1' })).toBe(200)
  expect(await ask('begins so')).toBe(200)
  expect(await ask('begins so')).toBe(200)
  expect(await ask('begins otherwise')).toBe(402)
  expect(await ask('four', { 'bursar-conversation': 'c1' })).toBe(200)
  const [quota] = (await world.api('/quotas')) as Record<string, string>[]
  expect(
    ((await world.api('/quotas')) as Record<string, string>[]).map((row) => row.unit),
  ).toContain('conversations')
  expect(quota).toBeDefined()
  expect(await auditBooks(world)).toBe(0)
})

test('a seat is of one user and one conversation, whatever their names are', async () => {
  await using world = await startWorld({
    config: `organization: acme
quotas: [{ per: user, max_conversations_per_day: 2 }]
`,
  })
  const key = await world.key({ agent: 'resolver' })
  const ask = async (user: string, conversation: string): Promise<number> => {
    const of = { 'bursar-user': user, 'bursar-conversation': conversation }
    return (await call(world, key, chat, chatBody('hi'), of)).status
  }
  expect(await ask('sa|x', 'y')).toBe(200)
  for (const [conversation, status] of [
    ['c1', 200],
    ['c2', 200],
    ['c3', 402],
    ['x|y', 402],
    ['x%7Cy', 402],
    ['c1', 200],
  ] as const) {
    expect(await ask('sa', conversation), conversation).toBe(status)
  }
})

test('a quota in observe mode tells and never stops', async () => {
  await using world = await startWorld({ config })
  const key = await world.key({ agent: 'watched' })
  for (let i = 0; i < 3; i += 1) {
    const user = { 'bursar-user': `u${i}` }
    expect((await call(world, key, chat, chatBody('hi'), user)).status).toBe(200)
  }
  const alerts = (await world.api('/alerts')) as { budget: string; threshold: string }[]
  expect(alerts.map(({ budget, threshold }) => [budget.slice(0, 11), threshold])).toEqual([
    ['bud_watched', '1.0'],
  ])
})
