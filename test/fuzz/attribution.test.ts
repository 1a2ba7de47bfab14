/** Whatever a request says about who it is for: a key that is pinned pays as what it is. */
import { expect, test } from 'vitest'
import { startWorld } from '#test/support/bursar.ts'
import { generator } from '#test/sim/clock.ts'

const requests = process.env.BURSAR_LONG === '1' ? 100_000 : 10_000
const config = `organization: acme
environments: [dev, prod]
business_units:
  ops:
    teams: { support: { agents: { mine: {}, other: {} } }, sales: { agents: { hunter: {} } } }
budgets:
  - { name: mine, agent: mine, budget_yearly_usd: 100000 }
  - { name: other, agent: other, budget_yearly_usd: 100000 }
  - { name: sales, team: sales, budget_yearly_usd: 100000 }
  - { name: prod, environment: prod, budget_yearly_usd: 100000 }
  - { per: tenant, budget_yearly_usd: 100000 }
  - { per: user, budget_yearly_usd: 100000 }
`
const pinned = { agent: 'mine', environment: 'dev', tenant: 'ours', user: 'kim' } as const
const foreign = [
  'other',
  'hunter',
  'sales',
  'prod',
  'acme',
  'ops',
  'theirs',
  'lee',
  'bud_other',
  '*',
]
/** Every name by which something inside is called, and what other programs call it. */
const names = [
  'agent',
  'environment',
  'tenant',
  'user',
  'team',
  'business_unit',
  'organization',
  'key',
  'key_id',
  'provider',
  'budget',
  'budgets',
  'account',
  'accounts',
  'hold',
  'call',
  'cost',
  'cost_usd',
  'attribution',
  'principal',
  'override',
  'quota',
  'run',
  'parent_run',
  'conversation',
  'session_id',
  'metadata',
  'user_id',
  'safety_identifier',
  'labels',
  'tags',
  'customer_id',
  'end_user',
  'api_key',
  'virtual_key',
]
const headers = [
  ...names.flatMap((name) => {
    const dashed = name.replaceAll('_', '-')
    return [`bursar-${dashed}`, `x-bursar-${dashed}`, `x-${dashed}`, dashed]
  }),
  'x-litellm-end-user-id',
  'x-litellm-customer-id',
  'helicone-user-id',
  'helicone-property-team',
  'x-portkey-metadata',
  'x-claude-code-agent-id',
  'x-codex-turn-metadata',
  'baggage',
  'openai-organization',
  'openai-project',
]
/** What would end the request or the connection before it says anything, or is a credential. */
const notSent = new Set(['api-key', 'x-api-key', 'key', 'host'])

test(`${requests} requests that claim to be others: only the key's own budgets are charged`, async () => {
  await using world = await startWorld({ config })
  const key = await world.key(pinned)
  const chance = generator(20_261_125)
  const some = <One>(of: readonly One[]): One => of[Math.floor(chance() * of.length)] as One
  const claim = (): unknown => {
    const value = some(foreign)
    const shapes = [value, [value], { [some(names)]: value }, JSON.stringify({ agent: value })]
    return some(shapes)
  }
  const one = async (): Promise<number> => {
    const body: Record<string, unknown> = {
      model: 'gpt-5-mini',
      max_tokens: 16,
      messages: [{ role: 'user', content: `I am agent ${some(foreign)}` }],
    }
    for (let i = 0; i < 3; i += 1) if (chance() < 0.5) body[some(names)] = claim()
    if (chance() < 0.5)
      body.metadata = { [some(names)]: some(foreign), [some(names)]: some(foreign) }
    const said: Record<string, string> = {}
    for (let i = 0; i < 3; i += 1) {
      const name = some(headers)
      if (chance() < 0.6 && !notSent.has(name))
        said[name] = some([some(foreign), `agent=${some(foreign)}`])
    }
    const query =
      chance() < 0.4 ? `?${some(names)}=${some(foreign)}&${some(names)}=${some(foreign)}` : ''
    const answer = await fetch(`${world.url}/v1/chat/completions${query}`, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { ...said, authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    })
    await answer.arrayBuffer()
    return answer.status
  }
  const seen = new Map<number, number>()
  for (let done = 0; done < requests; done += 20) {
    for (const status of await Promise.all(Array.from({ length: 20 }, one))) {
      seen.set(status, (seen.get(status) ?? 0) + 1)
    }
  }
  // 401: a second key, in the query.
  expect([...seen.keys()].filter((status) => ![200, 400, 401, 403].includes(status))).toEqual([])
  expect(seen.get(200)).toBeGreaterThan(requests / 10)
  expect(seen.get(403)).toBeGreaterThan(requests / 100)
  const rows = (await world.api('/budgets')) as {
    name: string
    value: string
    posted_usd: string
  }[]
  const { total_usd: billed } = world.simulator.bill()
  const charged = rows.filter(({ posted_usd }) => !/^[0.]+$/.test(posted_usd))
  expect(charged.map(({ name, value, posted_usd }) => [name, value, posted_usd])).toEqual([
    ['mine a year', null, billed],
    ['per tenant a year', 'ours', billed],
    ['per user a year', 'kim', billed],
  ])
})
