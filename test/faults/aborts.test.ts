import { request } from 'node:http'
import { expect, test } from 'vitest'
import { auditBooks, startWorld, until, type World } from '#test/support/bursar.ts'

const config = `organization: acme
budgets: [{ budget_yearly_usd: 1000000 }]
`
const user = [{ role: 'user', content: 'tell me a long story' }]
const streams: Readonly<Record<string, readonly [path: string, body: unknown]>> = {
  'OpenAI chat': [
    '/v1/chat/completions',
    { model: 'gpt-5-mini', max_tokens: 1600, messages: user, stream: true },
  ],
  'OpenAI responses': [
    '/v1/responses',
    { model: 'gpt-5-mini', max_output_tokens: 1600, input: 'a long story', stream: true },
  ],
  'Anthropic messages': [
    '/v1/messages',
    { model: 'claude-haiku-4-5', max_tokens: 1600, messages: user, stream: true },
  ],
  Gemini: [
    '/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse',
    {
      contents: [{ role: 'user', parts: [{ text: 'a long story' }] }],
      generationConfig: { maxOutputTokens: 1600 },
    },
  ],
}

/** Reads `events` events of the answer, then breaks the connection. Null: reads to the end. */
function readSome(
  { url }: World,
  key: string,
  path: string,
  body: unknown,
  events: number | null,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const text = JSON.stringify(body)
    let seen = 0
    const sent = request(
      url + path,
      {
        method: 'POST',
        agent: false,
        headers: {
          authorization: `Bearer ${key}`,
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(text),
          'bursar-sim': 'tokens=1600; chunks=200; pace=1',
        },
      },
      (answer) => {
        const stop = (): void => {
          sent.destroy()
          resolve(seen)
        }
        if (events === 0) return stop()
        answer.on('data', (chunk: Buffer) => {
          seen += chunk.toString().split('\n\n').length - 1
          if (events !== null && seen >= events) stop()
        })
        answer.on('end', () => resolve(seen))
        answer.on('error', () => resolve(seen))
      },
    )
    sent.on('error', (error) => (seen === 0 && events !== 0 ? reject(error) : resolve(seen)))
    sent.end(text)
  })
}

for (const [name, [path, body]] of Object.entries(streams)) {
  test(`${name}: a caller that hangs up after k of 200 chunks is charged what was billed`, async () => {
    await using world = await startWorld({ config })
    const key = await world.key()
    for (const events of [0, 1, 50, 199, 200, null]) {
      await readSome(world, key, path, body, events)
    }
    await until('all settled', async () => (await world.bursar.store.openHolds()) === 0, 10_000)
    const holds = await world.bursar.store.recentHolds(100)
    expect(holds).toHaveLength(6)
    expect(holds.every(({ state, basis }) => state === 'settled' && basis === 'actual')).toBe(true)
    expect(holds.every(({ cost }) => cost !== null && cost > 0n)).toBe(true)
    expect(await auditBooks(world)).toBe(0)
    const [row] = (await world.api('/budgets')) as { posted_usd: string }[]
    expect(row?.posted_usd).toBe(world.simulator.bill().total_usd)
  })
}

test('callers that hang up one after another are all read on', async () => {
  await using world = await startWorld({ config, limits: { drainsMax: 2 } })
  const key = await world.key()
  const [path, body] = streams['OpenAI chat'] ?? ['', null]
  for (let i = 1; i <= 6; i += 1) {
    await readSome(world, key, path, body, 1)
    await until('it has ended', async () => (await world.bursar.store.openHolds()) === 0)
  }
  const holds = await world.bursar.store.recentHolds(10)
  expect(holds.map(({ basis }) => basis)).toEqual(Array(6).fill('actual'))
})

test('beyond the number that may be read on, the call is cut and presumed at its maximum', async () => {
  await using world = await startWorld({ config, limits: { drainsMax: 0 } })
  const key = await world.key()
  const [path, body] = streams['OpenAI chat'] ?? ['', null]
  await readSome(world, key, path, body, 1)
  await until('it has ended', async () => (await world.bursar.store.openHolds()) === 0)
  const [hold] = await world.bursar.store.recentHolds(1)
  expect(hold?.basis).toBe('presumed')
  expect(hold?.cost).toBe(hold?.amount)
})
