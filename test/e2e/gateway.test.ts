import { connect } from 'node:http2'
import { request } from 'node:http'
import { expect, test } from 'vitest'
import { apiAt, auditBooks, call, chatBody, startWorld, until } from '#test/support/bursar.ts'

const config = 'budgets: [{ name: all, budget_yearly_usd: 1000 }]\n'
const path = '/v1/chat/completions'

test('a failed try is followed by another, each with a hold of its own', async () => {
  await using world = await startWorld({ config, providers: ['one', 'two'] })
  const key = await world.key()
  const answer = await call(world, key, path, chatBody('hi'), {
    'bursar-sim': 'status=529; times=1',
  })
  expect(answer.status).toBe(200)
  const id = answer.headers.get('bursar-call-id')
  const shown = (await world.api(`/calls/${id}`)) as { attempts: Record<string, unknown>[] }
  expect(shown.attempts).toMatchObject([
    { provider: 'one', state: 'voided', basis: 'nothing', cost_usd: '0.000000000' },
    { provider: 'two', state: 'settled', basis: 'actual' },
  ])
  expect(await auditBooks(world)).toBe(0)
  expect(await world.postedUsd(await onlyBudget(world))).toBe(world.simulator.bill().total_usd)
})

test("when all tries fail, the provider's own error is passed on, and nothing is charged", async () => {
  await using world = await startWorld({ config, retries: 2 })
  const answer = await call(world, await world.key(), path, chatBody('hi'), {
    'bursar-sim': 'status=503',
  })
  expect(answer.status).toBe(503)
  expect(answer.headers.get('bursar-origin')).toBe('upstream')
  expect(answer.text).toContain('the simulator was asked to fail')
  expect(world.simulator.requests()).toBe(3)
  expect(await world.postedUsd(await onlyBudget(world))).toBe('0.000000000')
})

async function onlyBudget(world: { api(path: string): Promise<unknown> }): Promise<string> {
  const [row] = (await world.api('/budgets')) as { id: string }[]
  return row?.id ?? ''
}

test('HTTP/2 without TLS on the same port', async () => {
  await using world = await startWorld({ config })
  const key = await world.key()
  const session = connect(world.url)
  const text = await new Promise<string>((resolve, reject) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      authorization: `Bearer ${key}`,
      'content-type': 'application/json',
    })
    let body = ''
    let status = 0
    stream.on('response', (headers) => {
      status = Number(headers[':status'])
    })
    stream.on('data', (chunk) => {
      body += chunk
    })
    stream.on('end', () => resolve(`${status} ${body}`))
    stream.on('error', reject)
    stream.end(JSON.stringify(chatBody('hi')))
  })
  session.close()
  expect(text).toMatch(/^200 \{"id":"chatcmpl/)
})

test('a call that no budget covers is refused where policy says so', async () => {
  await using world = await startWorld({
    config: 'budgets: [{ agent: a, budget_daily_usd: 5 }]\npolicy: { no_budget: deny }\n',
  })
  const covered = await call(world, await world.key({ agent: 'a' }), path, chatBody('hi'))
  expect(covered.status).toBe(200)
  const stranger = await call(world, await world.key({ agent: 'b' }), path, chatBody('hi'))
  expect(stranger.status).toBe(403)
  expect(stranger.json()).toMatchObject({ error: { code: 'not_allowed' } })
})

test('an agent that only a budget names is in the team of its key', async () => {
  const by = 'budgets: [{ agent: a, budget_daily_usd: 5 }, { team: t, budget_daily_usd: 5 }]\n'
  await using world = await startWorld({ config: by })
  const key = await world.key({ team: 't', agent: 'a' })
  expect((await call(world, key, path, chatBody('hi'))).status).toBe(200)
  const billed = world.simulator.bill().total_usd
  for (const { id } of (await world.api('/budgets')) as { id: string }[]) {
    expect(await world.postedUsd(id)).toBe(billed)
  }
})

test('stopping waits for the stream that is open, and settles it', async () => {
  const world = await startWorld({ config })
  const key = await world.key()
  const streamed = call(world, key, path, chatBody('hi', { stream: true, max_tokens: 400 }), {
    'bursar-sim': 'tokens=400; chunks=40; pace=20',
  })
  await until('it has begun', async () => (await world.bursar.store.openHolds()) === 1)
  const stopped = world.bursar.stop('test')
  const { text } = await streamed
  expect(text).toContain('[DONE]')
  const said = /: bursar (\{.*\})/.exec(text)?.[1] ?? '{}'
  expect(JSON.parse(said)).toMatchObject({ cost_usd: world.simulator.bill().total_usd })
  await stopped
  await world.simulator.close()
})

test('a slow reader holds the provider back, not our memory', async () => {
  await using world = await startWorld({ config })
  const key = await world.key()
  const body = JSON.stringify(chatBody('hi', { stream: true, max_tokens: 20_000 }))
  const bytes = await new Promise<number>((resolve, reject) => {
    let read = 0
    const sent = request(
      world.url + path,
      {
        method: 'POST',
        headers: {
          'x-api-key': key,
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          'bursar-sim': 'tokens=20000; chunks=20000; pace=0',
        },
      },
      (answer) => {
        answer.pause()
        setTimeout(() => answer.resume(), 300)
        answer.on('data', (chunk: Buffer) => {
          read += chunk.byteLength
        })
        answer.on('end', () => resolve(read))
      },
    )
    sent.on('error', reject)
    sent.end(body)
  })
  expect(bytes).toBeGreaterThan(3_000_000)
  expect(await auditBooks(world)).toBe(0)
})

test('the API describes itself, and answers with problems that say what to do', async () => {
  await using world = await startWorld({ config })
  const described = (await (await fetch(`${world.url}/api/openapi.json`)).json()) as {
    openapi: string
    paths: Record<string, unknown>
  }
  expect(described.openapi).toBe('3.1.0')
  expect(Object.keys(described.paths)).toContain('/api/v1/overrides/{id}/approve')
  expect((await fetch(`${world.url}/api/v1/keys`)).status).toBe(401)
  await expect(
    world.api('/overrides', { budget: 'bud_x', reason: 'why not', extra_usd: 5 }),
  ).rejects.toThrow(/There is no budget/)
  await expect(world.api('/keys', { agnt: 'x' })).rejects.toThrow(/400/)
  const again = { 'idempotency-key': 'k1', authorization: 'Bearer adm_test' }
  const make = async (agent: string): Promise<[number, string]> => {
    const answer = await fetch(`${world.url}/api/v1/keys`, {
      method: 'POST',
      headers: again,
      body: JSON.stringify({ agent }),
    })
    return [answer.status, await answer.text()]
  }
  const first = await make('a')
  expect(await make('a')).toEqual(first)
  expect((await make('b'))[0]).toBe(422)
  expect((await world.api('/keys')) as unknown[]).toHaveLength(1)
})

test('another person must approve; a denied request gives nothing', async () => {
  await using world = await startWorld({ config })
  const budget = await onlyBudget(world)
  const ask = async (): Promise<string> => {
    const body = { budget, extra_usd: '5', reason: 'please', requested_by: 'ann' }
    return ((await world.api('/overrides', body)) as { id: string }).id
  }
  const first = await ask()
  await expect(world.api(`/overrides/${first}/approve`, { by: 'ann' })).rejects.toThrow(
    /Somebody else/,
  )
  const made = await world.api('/tokens', { name: 'bob', role: 'finops' })
  const bob = apiAt(world.url, (made as { token: string }).token)
  expect(await bob(`/overrides/${first}/approve`, {})).toMatchObject({
    state: 'approved',
    approved_by: 'bob',
    self: false,
    in_force: true,
  })
  await expect(bob(`/overrides/${first}/deny`, {})).rejects.toThrow(/already/)
  const second = await ask()
  expect(await bob(`/overrides/${second}/deny`, {})).toMatchObject({
    state: 'denied',
    in_force: false,
  })
  const [row] = (await world.api('/budgets')) as { override_usd: string }[]
  expect(row?.override_usd).toBe('5.000000000')
})

test('config is loaded anew: a new budget counts what was spent, a bad file changes nothing', async () => {
  let text = config
  const options = {
    get config() {
      return text
    },
  }
  await using world = await startWorld(options)
  const key = await world.key({ agent: 'a' })
  await call(world, key, path, chatBody('hi'))
  text = `${config}`.replace(']', ', { agent: a, budget_daily_usd: 1 }]')
  expect(await world.bursar.reload()).toBeNull()
  const rows = (await world.api('/budgets')) as { posted_usd: string }[]
  expect(rows.map(({ posted_usd }) => posted_usd)).toEqual(
    Array(2).fill(world.simulator.bill().total_usd),
  )
  text = 'budgets: [{ agent: a }]'
  expect(await world.bursar.reload()).toMatch(/a budget needs an amount/)
  expect((await world.api('/budgets')) as unknown[]).toHaveLength(2)
})

test('a repeated Idempotency-Key gets the first answer, and costs nothing', async () => {
  await using world = await startWorld({ config })
  const key = await world.key()
  const other = await world.key()
  const again = { 'idempotency-key': 'order-1' }
  const first = await call(world, key, path, chatBody('hi'), again)
  const second = await call(world, key, path, chatBody('hi'), again)
  expect(second.status).toBe(200)
  expect(second.text).toBe(first.text)
  expect(second.headers.get('idempotent-replayed')).toBe('true')
  expect(second.headers.get('bursar-call-id')).toBe(first.headers.get('bursar-call-id'))
  expect((await call(world, key, path, chatBody('ho'), again)).status).toBe(422)
  expect((await call(world, other, path, chatBody('hi'), again)).text).not.toBe(first.text)
  const bobs = await call(world, key, path, chatBody('hi'), { ...again, 'bursar-user': 'bob' })
  expect([bobs.status, bobs.headers.get('idempotent-replayed')]).toEqual([200, null])
  const slow = { 'idempotency-key': 'order-2', 'bursar-sim': 'delay=200' }
  const [one, two] = await Promise.all([
    call(world, key, path, chatBody('hi'), slow),
    call(world, key, path, chatBody('hi'), slow),
  ])
  expect([one.status, two.status].sort()).toEqual([200, 409])
  const failed = { 'idempotency-key': 'order-3', 'bursar-sim': 'status=500; times=1' }
  expect((await call(world, key, path, chatBody('x'), failed)).status).toBe(500)
  expect((await call(world, key, path, chatBody('x'), failed)).status).toBe(200)
  const streamed = { 'idempotency-key': 'order-4' }
  const body = chatBody('hi', { stream: true })
  expect((await call(world, key, path, body, streamed)).status).toBe(200)
  expect((await call(world, key, path, body, streamed)).status).toBe(409)
  expect(world.simulator.requests()).toBe(7)
  expect(await auditBooks(world)).toBe(0)
})

test('a call that its caller left before it was sent may be made again', async () => {
  const tight = `organization: acme
budgets: [{ budget_monthly_usd: 0.961, alerts: [{ threshold: 1.0, action: hard_stop }] }]
policy: { max_wait: 5s }
`
  await using world = await startWorld({ config: tight })
  const key = await world.key()
  const messages = [{ role: 'user', content: 'x' }]
  // It may cost all that there is, and does not.
  const dear = { model: 'claude-sonnet-4-5', max_tokens: 64_000, messages }
  const sim = { 'bursar-sim': 'delay=700; tokens=10' }
  const under = call(world, key, '/v1/messages', dear, sim)
  await until('a hold', async () => (await world.bursar.store.openHolds()) === 1)
  // It waits for room, and its caller does not.
  const ask = (signal: AbortSignal): Promise<number> =>
    fetch(`${world.url}/v1/messages`, {
      method: 'POST',
      signal,
      body: JSON.stringify(dear),
      headers: { 'x-api-key': key, 'idempotency-key': 'again', 'bursar-sim': 'tokens=10' },
    }).then(({ status }) => status)
  await expect(ask(AbortSignal.timeout(200))).rejects.toThrow()
  expect((await under).status).toBe(200)
  expect(await ask(AbortSignal.timeout(5000))).toBe(200)
  expect(world.simulator.requests()).toBe(2)
  expect(await auditBooks(world)).toBe(0)
})

test('an answer that was packed all the same is unpacked, metered and passed on', async () => {
  await using world = await startWorld({ config })
  const key = await world.key()
  const answer = await call(world, key, path, chatBody('hi'), { 'bursar-sim': 'gzip=1' })
  expect(answer.status).toBe(200)
  expect(answer.json()).toMatchObject({ object: 'chat.completion' })
  expect(answer.headers.get('bursar-cost-usd')).toBe(world.simulator.bill().total_usd)
})

test('a Gemini stream that is no SSE, and a tier nobody knows', async () => {
  await using world = await startWorld({ config })
  const key = await world.key()
  const list = '/v1beta/models/gemini-2.5-flash:streamGenerateContent'
  const body = { contents: [{ role: 'user', parts: [{ text: 'hi' }] }] }
  const answer = await call(world, key, list, body)
  expect(JSON.parse(answer.text)).toBeInstanceOf(Array)
  expect(answer.headers.get('bursar-cost-usd')).toBe(world.simulator.bill().total_usd)
  const odd = await call(world, key, path, chatBody('hi', { max_tokens: 20 }), {
    'bursar-sim': 'tier=gold',
  })
  expect(odd.status).toBe(200)
  const [hold] = await world.bursar.store.recentHolds(1)
  expect(hold).toMatchObject({ basis: 'presumed', cost: hold?.amount })
})

test('a cap beyond what the model can do is lowered, and said', async () => {
  await using world = await startWorld({ config })
  const answer = await call(
    world,
    await world.key(),
    path,
    chatBody('hi', { max_tokens: 10_000_000 }),
  )
  expect(answer.status).toBe(200)
  expect(answer.headers.get('bursar-clamped-max-tokens')).toBe('128000')
})
