/** What is changed on one replica holds on all of them, and what is told is told once. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { call, chatBody, startWorld, until, type World } from '#test/support/bursar.ts'
import { type Postgres, startPostgres } from '#test/support/postgres.ts'

let postgres: Postgres
beforeAll(async () => {
  postgres = await startPostgres()
})
afterAll(() => postgres[Symbol.asyncDispose]())

const path = '/v1/chat/completions'
const body = chatBody('x', { max_tokens: 498 })
/** gpt-5-mini at $2 a million: a tenth of a cent. */
const tenthOfACent = { 'bursar-sim': 'tokens=498; input=16' }

interface Town extends AsyncDisposable {
  readonly url: string
  readonly worlds: readonly [World, World, World]
}

/** Three replicas that read one config, whatever it says when they read it. */
async function town(file: { config: string }): Promise<Town> {
  const url = await postgres.database()
  const options = {
    databaseUrl: url,
    get config() {
      return file.config
    },
  }
  const worlds = [await startWorld(options), await startWorld(options), await startWorld(options)]
  return {
    url,
    worlds: worlds as unknown as Town['worlds'],
    [Symbol.asyncDispose]: async () => {
      for (const world of worlds) await world[Symbol.asyncDispose]()
    },
  }
}

const statusOf = async (world: World, key: string): Promise<number> =>
  (await fetch(`${world.url}/v1/budget`, { headers: { authorization: `Bearer ${key}` } })).status

const yearly = 'budgets: [{ name: all, budget_yearly_usd: 1000 }]\n'

test('a key made on one replica opens all, revoked it opens none, each within a second', async () => {
  await using three = await town({ config: yearly })
  const [a, b, c] = three.worlds
  const { key, id } = (await a.api('/keys', {})) as { key: string; id: string }
  for (const world of [b, c]) {
    await until('it opens', async () => (await statusOf(world, key)) === 200, 1000)
  }
  await a.api(`/keys/${id}/revoke`, { reason: 'it leaked' })
  for (const world of [a, b, c]) {
    await until('it is blocked', async () => (await statusOf(world, key)) === 401, 1000)
  }
  expect((await call(c, key, path, body)).status).toBe(401)
})

test('where the word is lost, the question is asked within five seconds', async () => {
  await using three = await town({ config: yearly })
  const [a, b] = three.worlds
  const { key, id } = (await a.api('/keys', {})) as { key: string; id: string }
  await until('it opens', async () => (await statusOf(b, key)) === 200, 1000)
  const client = new Client({ connectionString: three.url })
  await client.connect()
  const cut = await client.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where application_name = 'bursar watch' and datname = current_database()`,
  )
  expect(cut.rows).toHaveLength(3)
  await client.end()
  await a.api(`/keys/${id}/revoke`, { reason: 'it leaked' })
  await until('it is blocked', async () => (await statusOf(b, key)) === 401, 5500)
})

test('a config read again on one replica is read again on all', async () => {
  const file = { config: yearly }
  await using three = await town(file)
  const [a, b, c] = three.worlds
  file.config = 'budgets: [{ name: all, budget_yearly_usd: 2000 }]\n'
  expect(await a.bursar.reload()).toBeNull()
  for (const world of [a, b, c]) {
    const isRead = async (): Promise<boolean> =>
      JSON.stringify(await world.api('/budgets')).includes('2000.000000000')
    await until('the new amount', isRead, 1000)
  }
})

test('an override approved on one replica admits on the next call of another', async () => {
  const config =
    'budgets: [{ name: all, budget_yearly_usd: 0.0015, alerts: [{ threshold: 1.0, action: hard_stop }] }]\n'
  await using three = await town({ config })
  const [a, b, c] = three.worlds
  const key = await a.key()
  for (const world of [b, c]) {
    await until('it opens', async () => (await statusOf(world, key)) === 200, 1000)
  }
  expect((await call(a, key, path, body, tenthOfACent)).status).toBe(200)
  const refused = await call(b, key, path, chatBody('x', { max_tokens: 498 }), tenthOfACent)
  expect(refused.status).toBe(402)
  const [budget] = (await a.api('/budgets')) as { id: string }[]
  await a.api('/overrides', {
    budget: budget?.id,
    extra_usd: '1',
    reason: 'launch',
    self: true,
  })
  for (const world of [b, c]) {
    expect((await call(world, key, path, body, tenthOfACent)).status).toBe(200)
  }
})

test('300 calls over three replicas cross two lines: two alerts, each delivered once', async () => {
  const ids: string[] = []
  const receiver = createServer((request, response) => {
    ids.push(String(request.headers['webhook-id']))
    request.resume().on('end', () => response.end())
  })
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
  const { port } = receiver.address() as AddressInfo
  const secret = Buffer.from('a secret of some length').toString('base64')
  await using three = await town({
    config: `budgets:
  - { name: all, budget_yearly_usd: 0.3, alerts: [{ threshold: 0.5, action: notify_webhook:ops }, { threshold: 0.8, action: notify_webhook:ops }] }
notify: { webhooks: { ops: { url: "http://127.0.0.1:${port}/hook", secret: whsec_${secret} } } }
`,
  })
  const key = await three.worlds[0].key()
  for (const world of three.worlds) {
    await until('it opens', async () => (await statusOf(world, key)) === 200, 1000)
  }
  const statuses = await Promise.all(
    Array.from({ length: 300 }, async (_, no) => {
      const world = three.worlds[no % 3] as World
      return (await call(world, key, path, body, tenthOfACent)).status
    }),
  )
  expect(statuses.filter((status) => status === 200).length).toBeGreaterThan(250)
  await until('both are delivered', () => ids.length >= 2)
  for (const world of three.worlds) {
    const deliveries = (await world.api('/deliveries')) as { state: string }[]
    await until('it is written down', () => deliveries.length === 2)
    const alerts = (await world.api('/alerts')) as { threshold: string }[]
    expect(alerts.map(({ threshold }) => threshold).sort()).toEqual(['0.5', '0.8'])
  }
  expect(new Set(ids).size).toBe(2)
  expect(ids).toHaveLength(2)
  receiver.close()
  receiver.closeAllConnections()
})
