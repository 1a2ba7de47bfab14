import { request } from 'node:http'
import { expect, test } from 'vitest'
import {
  auditBooks,
  call,
  chatBody,
  startWorld,
  trueUp,
  until,
  type World,
} from '#test/support/bursar.ts'

const config = `organization: acme
budgets:
  - name: everything
    budget_yearly_usd: 1000000
  - agent: poor
    budget_yearly_usd: 0
quotas: [{ per: user, max_calls_per_day: 1000000 }]
`
const user = [{ role: 'user', content: 'please write something of some length' }]

/** Every way into a provider. */
const routes: Readonly<Record<string, readonly [path: string, body: unknown]>> = {
  chat: ['/v1/chat/completions', chatBody('hello', { max_tokens: 60 })],
  'chat stream': ['/v1/chat/completions', chatBody('hello', { max_tokens: 60, stream: true })],
  responses: ['/v1/responses', { model: 'gpt-5-mini', input: 'hello', max_output_tokens: 60 }],
  'responses stream': [
    '/v1/responses',
    { model: 'gpt-5-mini', input: 'hello', max_output_tokens: 60, stream: true },
  ],
  embeddings: ['/v1/embeddings', { model: 'text-embedding-3-small', input: 'hello' }],
  messages: ['/v1/messages', { model: 'claude-haiku-4-5', max_tokens: 60, messages: user }],
  'messages stream': [
    '/v1/messages',
    { model: 'claude-haiku-4-5', max_tokens: 60, messages: user, stream: true },
  ],
  generate: [
    '/v1beta/models/gemini-2.5-flash:generateContent',
    { contents: [{ role: 'user', parts: [{ text: 'hello' }] }] },
  ],
  'generate stream': [
    '/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse',
    { contents: [{ role: 'user', parts: [{ text: 'hello' }] }] },
  ],
}

type Exit = (world: World, key: string, path: string, body: unknown) => Promise<unknown>

const told =
  (directive: string): Exit =>
  (world, key, path, body) =>
    call(world, key, path, body, { 'bursar-sim': directive }).catch(() => null)

/** Every way out of a call. */
const exits: Readonly<Record<string, Exit>> = {
  answered: told('tokens=5'),
  'refused by the provider, 400': told('status=400'),
  'refused by the provider, 429': told('status=429'),
  'broken provider, 500': told('status=500'),
  'overloaded provider, 529': told('status=529'),
  'connection reset before the answer': told('reset=1'),
  'answer cut short': told('cut=after:1'),
  'answer that is not JSON': told('malformed=1; tokens=5'),
  'usage missing': told('usage=missing; tokens=5'),
  'more billed than the cap': told('overbill=500; tokens=60'),
  'caller hangs up': (world, key, path, body) => hangUp(world, key, path, body),
  'out of budget': (world, key, path, body) =>
    call(world, key, path, body, { 'bursar-agent': 'poor' }),
}

/** Breaks the connection as soon as the request is written. */
function hangUp({ url }: World, key: string, path: string, body: unknown): Promise<void> {
  return new Promise((resolve) => {
    const text = JSON.stringify(body)
    const sent = request(url + path, {
      method: 'POST',
      agent: false,
      headers: {
        authorization: `Bearer ${key}`,
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(text),
        'bursar-sim': 'tokens=5; delay=15',
      },
    })
    sent.on('error', () => resolve())
    sent.on('close', () => resolve())
    sent.end(text)
    setTimeout(() => sent.destroy(), 5)
  })
}

const times = 100

for (const [name, [path, body]] of Object.entries(routes)) {
  test(`${name}: ${Object.keys(exits).length} ways out, ${times} times each, leak nothing`, async () => {
    await using world = await startWorld({ config })
    const key = await world.key()
    for (const exit of Object.values(exits)) {
      await Promise.all(Array.from({ length: times }, () => exit(world, key, path, body)))
    }
    await until('no open hold', async () => (await world.bursar.store.openHolds()) === 0, 1000)
    expect(await auditBooks(world)).toBe(0)
    await trueUp(world)
    expect(await auditBooks(world)).toBe(0)
    const rows = (await world.api('/budgets')) as { name: string; posted_usd: string }[]
    const everything = rows.find((row) => row.name.startsWith('everything'))
    expect(everything?.posted_usd).toBe(world.simulator.bill().total_usd)
  })
}
