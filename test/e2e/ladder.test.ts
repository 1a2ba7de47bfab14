import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { auditBooks, call, chatBody, startWorld, until, type World } from '#test/support/bursar.ts'

const run = promisify(execFile)
const root = new URL('../../', import.meta.url).pathname

/** The field's own example, word for word but for a budget that a test can use up. */
const seed = readFileSync(new URL('../golden/config/seed.yaml', import.meta.url), 'utf8').replace(
  '25000',
  '0.10',
)

/** gpt-5-mini at $2 a million: 500 tokens are a tenth of a cent, the prompt a fraction of it. */
const tenthOfACent = { 'bursar-sim': 'tokens=498; input=16' }
const body = chatBody('x', { max_tokens: 498 })

interface Alert {
  readonly kind: string
  readonly threshold: string
  readonly actions: readonly string[]
}

async function cli(world: World, ...args: string[]): Promise<unknown> {
  const { stdout } = await run(process.execPath, [`${root}src/main.ts`, ...args, '--json'], {
    env: { ...process.env, BURSAR_URL: world.url, BURSAR_ADMIN_TOKEN: 'adm_test' },
  })
  return JSON.parse(stdout)
}

const send = (world: World, key: string) =>
  call(world, key, '/v1/chat/completions', body, tenthOfACent)

test('the seed file: alerts at 50 and 80 %, half pace at 100 %, 402 at 120 %, override', async () => {
  await using world = await startWorld({ config: `${seed}` })
  const key = await world.key({ agent: 'customer-resolver' })
  const fired = async (): Promise<readonly string[]> => {
    const alerts = (await world.api('/alerts')) as Alert[]
    // The steps of overrides are told as well; here the ladder counts.
    return alerts
      .filter(({ kind }) => kind === 'threshold')
      .map(({ threshold, actions }) => `${threshold} ${actions.join()}`)
      .reverse()
  }
  for (let i = 0; i < 49; i += 1) expect((await send(world, key)).status).toBe(200)
  expect(await fired()).toEqual([])
  for (let i = 0; i < 50; i += 1) await send(world, key)
  expect(await fired()).toEqual(['0.5 notify_slack', '0.8 notify_pagerduty'])
  const { text, headers } = await send(world, key)
  expect(text).not.toBe('')
  expect(headers.get('bursar-budget-state')).toBe('throttled')
  expect(await fired()).toEqual([
    '0.5 notify_slack',
    '0.8 notify_pagerduty',
    '1.0 throttle_to_50_percent',
  ])
  const paced = await send(world, key)
  expect(paced.status).toBe(429)
  expect(Number(paced.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
  expect(Number(paced.headers.get('retry-after'))).toBeLessThanOrEqual(30)
  expect(paced.json()).toMatchObject({ error: { code: 'budget_throttled' } })
  await stopsAndGoesOn(world, key, fired)
  expect(await auditBooks(world)).toBe(0)
}, 120_000)

/** The pace is a hundred calls an hour, halved: a call in 72 s. An override lifts it meanwhile. */
async function stopsAndGoesOn(
  world: World,
  key: string,
  fired: () => Promise<readonly string[]>,
): Promise<void> {
  const [{ id: budget }] = (await world.api('/budgets')) as [{ id: string }]
  const until = new Date(Date.now() + 600_000).toISOString()
  const lifted = (await cli(
    world,
    'override',
    'request',
    '--budget',
    budget,
    '--until',
    until,
    '--reason',
    'campaign',
    '--self',
  )) as { id: string; state: string; self: boolean }
  expect(lifted).toMatchObject({ state: 'approved', self: true })
  for (let i = 0; i < 19; i += 1) expect((await send(world, key)).status).toBe(200)
  // The override ends: what is posted is 119.x %, and the next worst case would pass 120 %.
  await endOverride(world, lifted.id)
  const stopped = await send(world, key)
  expect([402, 429]).toContain(stopped.status)
  await world.bursar.reload()
  const more = (await cli(
    world,
    'override',
    'request',
    '--budget',
    budget,
    '--extra-usd',
    '0.03',
    '--reason',
    'month end',
    '--self',
  )) as { extra_usd: string }
  expect(more.extra_usd).toBe('0.030000000')
  const statuses: number[] = []
  for (let i = 0; i < 40 && statuses.at(-1) !== 402; i += 1) {
    statuses.push((await send(world, key)).status)
  }
  expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(29)
  expect(statuses.at(-1)).toBe(402)
  const last = await send(world, key)
  expect(last.headers.get('x-should-retry')).toBe('false')
  expect(last.headers.get('retry-after')).toBeNull()
  expect(last.json()).toMatchObject({
    error: { code: 'budget_exceeded', type: 'insufficient_quota' },
  })
  expect(await fired()).toEqual([
    '0.5 notify_slack',
    '0.8 notify_pagerduty',
    '1.0 throttle_to_50_percent',
    '1.2 hard_stop',
  ])
  const audit = (await world.api('/audit')) as { action: string }[]
  expect(audit.map(({ action }) => action).reverse()).toEqual([
    'key.created',
    'override.requested',
    'override.approved',
    'override.ended',
    'override.requested',
    'override.approved',
  ])
}

/** Overrides end by themselves; here one is ended early, as an operator would. */
async function endOverride(world: World, id: string): Promise<void> {
  await world.api(`/overrides/${id}/end`, { reason: 'over' })
}

test('half the baseline pace, measured over a minute', async () => {
  await using world = await startWorld({
    config: `agent: a
budget_monthly_usd: 0.60
alerts: [{ threshold: 1.0, action: throttle_to_50_percent }, { threshold: 9.0, action: hard_stop }]
`,
  })
  const key = await world.key({ agent: 'a' })
  // 600 calls within the hour are 10 a minute; half of that is 5.
  for (let i = 0; i < 60; i += 1)
    await Promise.all(Array.from({ length: 10 }, () => send(world, key)))
  const [row] = (await world.api('/budgets')) as { throttled_to_per_minute: string }[]
  expect(row?.throttled_to_per_minute).toBe('5.00')
  const start = Date.now()
  let served = 0
  const caller = async (): Promise<void> => {
    while (Date.now() - start < 60_000) {
      const { status } = await send(world, key)
      if (status === 200 && Date.now() - start < 60_000) served += 1
      if (status !== 200) await new Promise((resolve) => setTimeout(resolve, 250))
    }
  }
  await Promise.all([caller(), caller(), caller()])
  expect(served).toBeGreaterThanOrEqual(4)
  expect(served).toBeLessThanOrEqual(6)
}, 180_000)

test('alerts reach a webhook, signed, and again after a failure', async () => {
  const { createServer } = await import('node:http')
  const { createHmac } = await import('node:crypto')
  const seen: { id: string; ok: boolean; type: string }[] = []
  const secret = Buffer.from('a secret of some length').toString('base64')
  const receiver = createServer((request, response) => {
    let text = ''
    request.on('data', (chunk) => {
      text += chunk
    })
    request.on('end', () => {
      const {
        'webhook-id': id,
        'webhook-timestamp': at,
        'webhook-signature': signature,
      } = request.headers
      const expected = createHmac('sha256', Buffer.from(secret, 'base64'))
        .update(`${id}.${at}.${text}`)
        .digest('base64')
      const { type } = JSON.parse(text) as { type: string }
      // The first delivery fails: it is tried again, and counts once.
      const first = !seen.some((one) => one.id === id)
      seen.push({ id: String(id), ok: signature === `v1,${expected}`, type })
      response.writeHead(first ? 500 : 200).end()
    })
  })
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
  const address = receiver.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  await using world = await startWorld({
    config: `budgets:
  - budget_monthly_usd: 0.01
    alerts:
      - { threshold: 0.5, action: notify_webhook:ops }
      - { threshold: 5, action: hard_stop }
notify: { webhooks: { ops: { url: "http://127.0.0.1:${port}/hook", secret: whsec_${secret} } } }
`,
  })
  const key = await world.key()
  for (let i = 0; i < 12; i += 1) await send(world, key)
  // The first delivery fails: it is tried again under the same id, some seconds later.
  await until('both deliveries', () => seen.length > 1, 12_000)
  const same = { id: seen[0]?.id, ok: true, type: 'budget.threshold' }
  expect(seen).toEqual([same, same])
  const [delivery] = (await world.api('/deliveries')) as { state: string; attempts: number }[]
  await until('it is recorded', async () => {
    const [now] = (await world.api('/deliveries')) as { state: string }[]
    return now?.state === 'delivered'
  })
  expect(delivery).toBeDefined()
  receiver.close()
  receiver.closeAllConnections()
})
