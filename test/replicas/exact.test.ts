/** A budget is passed by no number of replicas, however many calls come at one moment. */
import { Agent, setGlobalDispatcher } from 'undici'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Child, makeKey, newSite, type Site } from '#test/support/child.ts'
import { type Postgres, startPostgres } from '#test/support/postgres.ts'
import { knownEverywhere, startReplicas } from '#test/support/replicas.ts'

const repetitions = 200
const callsAtOnce = 50
/** Sonnet at $15 a million: with its prompt a call may cost $0.30 at most, and costs $0.2985. */
const thirtyCents = JSON.stringify({
  model: 'claude-sonnet-4-5',
  max_tokens: 19_900,
  messages: [{ role: 'user', content: 'x' }],
})
const config = `budgets:
  - { name: all, budget_yearly_usd: 1000000 }
  - { name: each, per: user, budget_monthly_usd: 1.00, alerts: [{ threshold: 1.0, action: hard_stop }] }
policy: { on_tight: refuse }
`

let postgres: Postgres
let site: Site
beforeAll(async () => {
  setGlobalDispatcher(new Agent({ connections: callsAtOnce }))
  postgres = await startPostgres()
  site = await newSite(config)
})
afterAll(async () => {
  await site[Symbol.asyncDispose]()
  await postgres[Symbol.asyncDispose]()
})

async function statusOf({ url }: Child, key: string, user: string): Promise<number> {
  const answer = await fetch(`${url}/v1/messages`, {
    method: 'POST',
    body: thirtyCents,
    headers: { 'x-api-key': key, 'bursar-user': user, 'bursar-sim': 'tokens=19900' },
  })
  await answer.arrayBuffer()
  return answer.status
}

test.each([1, 3, 5])(
  `$1.00 and ${callsAtOnce} calls of $0.30 over %i replicas: 3, ${repetitions} times`,
  async (count) => {
    await using replicas = await startReplicas(site, await postgres.database(), count)
    const key = await makeKey(replicas.next())
    await knownEverywhere(replicas, key)
    for (let no = 0; no < repetitions; no += 1) {
      const before = site.simulator.requests()
      const calls = Array.from({ length: callsAtOnce }, () =>
        statusOf(replicas.next(), key, `user-${no}`),
      )
      const statuses = await Promise.all(calls)
      expect(statuses.filter((status) => status === 200)).toHaveLength(3)
      const refused = statuses.filter((status) => status === 402 || status === 429)
      expect(refused).toHaveLength(callsAtOnce - 3)
      expect(site.simulator.requests() - before).toBe(3)
    }
  },
)
