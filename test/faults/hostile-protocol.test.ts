/** Rows B of the threat model that a well-behaved HTTP client can send: bodies, names, headers. */
import { expect, test } from 'vitest'
import { auditBooks, call, chatBody, startWorld, type World } from '#test/support/bursar.ts'
import { chatAnswer, goodAnswer, httpAnswer, startRawProvider } from '#test/support/provider.ts'
import { raw } from '#test/support/raw.ts'

const config = `budgets: [{ name: all, budget_yearly_usd: 100000 }]
quotas: [{ per: user, max_calls_per_day: 1000000 }]
`
const chat = '/v1/chat/completions'
const rest = '"messages":[{"role":"user","content":"hi"}],"max_tokens":5'
const plain = `{"model":"gpt-5-mini",${rest}}`

type Body = string | Uint8Array<ArrayBuffer>

async function post(
  world: World,
  key: string,
  body: Body,
  headers: Readonly<Record<string, string>> = {},
): Promise<number> {
  const answer = await fetch(world.url + chat, {
    method: 'POST',
    body,
    headers: { 'x-api-key': key, 'content-type': 'application/json', ...headers },
  })
  await answer.text()
  return answer.status
}

/** Each body in a world of its own: its status, and that it was sent on only where it is 200. */
async function expectStatus(
  status: number,
  body: Body,
  headers: Readonly<Record<string, string>> = {},
): Promise<void> {
  await using world = await startWorld({ config })
  const key = await world.key()
  expect(await post(world, key, body, headers)).toBe(status)
  expect(world.simulator.requests()).toBe(status === 200 ? 1 : 0)
  expect(await auditBooks(world)).toBe(0)
  // The next caller on the next connection is served as ever.
  expect(await post(world, key, plain)).toBe(200)
}

const encodings = 'gzip br deflate zstd compress x-gzip IDENTITY gzip,identity aws-chunked'.split(
  ' ',
)

test.each(encodings)('B5: a body in encoding %s is 415 before it is read', (encoding) =>
  expectStatus(415, plain, { 'content-encoding': encoding }),
)

const bomb = (text: string): Body => `{"model":"gpt-5-mini",${rest},"metadata":${text}}`

const deep: Readonly<Record<string, Body>> = {
  '65 lists': bomb('['.repeat(64) + ']'.repeat(64)),
  '65 objects': bomb(`${'{"a":'.repeat(64)}1${'}'.repeat(64)}`),
  'five million lists that never close': bomb('['.repeat(5_000_000)),
  'a million objects': bomb(`${'{"a":'.repeat(1_000_000)}1${'}'.repeat(1_000_000)}`),
}

test.each(Object.entries(deep))('B8: a body with %s is 400', (_name, body) =>
  expectStatus(400, body),
)

const large: Readonly<Record<string, readonly [status: number, body: Body]>> = {
  '20,001 elements': [400, bomb(`[${'1,'.repeat(20_000)}1]`)],
  'five million elements': [400, bomb(`[${'1,'.repeat(5_000_000 - 100)}1]`)],
  '50,001 values': [400, bomb(`[${`[${'1,'.repeat(9999)}1],`.repeat(6)}1]`)],
  '600,000 members': [
    400,
    bomb(`{${Array.from({ length: 600_000 }, (_, i) => `"${i}":1`).join(',')}}`),
  ],
  'more than 10 MiB': [413, plain + ' '.repeat(10 * 1024 * 1024)],
  '10 MiB of spaces': [200, plain + ' '.repeat(10 * 1024 * 1024 - plain.length)],
}

test.each(Object.entries(large))('B9: a body with %s', (_name, [status, body]) =>
  expectStatus(status, body),
)

test('B9: bombs of ten MiB stop nobody else for long', async () => {
  await using world = await startWorld({ config })
  const key = await world.key()
  const bodies = [deep['five million lists that never close'], large['five million elements']?.[1]]
  const bombs = bodies.flatMap((body) => [
    post(world, key, body ?? ''),
    post(world, key, body ?? ''),
  ])
  let over = false
  const all = Promise.all(bombs).finally(() => {
    over = true
  })
  const waits: number[] = []
  while (!over) {
    const began = performance.now()
    expect(await post(world, key, plain)).toBe(200)
    waits.push(performance.now() - began)
  }
  expect(await all).toEqual([400, 400, 400, 400])
  // One bomb after another takes tens of milliseconds; it took seconds to build what it asks for.
  expect(Math.max(0, ...waits)).toBeLessThan(1500)
})

test('B9: a stranger is told so before its large body is read', async () => {
  await using world = await startWorld({ config })
  const head = (line: string): string =>
    `POST ${chat} HTTP/1.1\r\nhost: x\r\nx-api-key: vk_wrong\r\n${line}\r\n\r\n`
  for (const line of ['content-length: 9000000', 'transfer-encoding: chunked']) {
    // Nothing of the body is ever sent.
    const { statuses, closed } = await raw(world.url, head(line), { waitMs: 5000 })
    expect(statuses, line).toEqual([401])
    expect(closed).toBe(true)
  }
})

const odd: Readonly<Record<string, readonly [status: number, body: Body]>> = {
  'the name __proto__': [400, `{"model":"gpt-5-mini",${rest},"__proto__":{}}`],
  'the name constructor': [400, `{"model":"gpt-5-mini",${rest},"constructor":{}}`],
  'the name prototype': [400, `{"model":"gpt-5-mini",${rest},"prototype":{}}`],
  '__proto__ in escapes': [400, `{"model":"gpt-5-mini",${rest},"\\u005f_proto__":{}}`],
  'toString as a field': [403, `{"model":"gpt-5-mini",${rest},"toString":1}`],
  'hasOwnProperty as a field': [403, `{"model":"gpt-5-mini",${rest},"hasOwnProperty":1}`],
  'a name of metadata': [200, bomb('{"__proto__":"x","constructor":"y"}')],
  'a name in a message': [
    200,
    '{"model":"gpt-5-mini","messages":[{"role":"user","content":"hi","__proto__":{"role":"system"}}]}',
  ],
}

test.each(Object.entries(odd))('B11: %s', async (_name, [status, body]) => {
  const before = Object.getOwnPropertyNames(Object.prototype)
  await expectStatus(status, body)
  expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(before)
  expect(({} as Record<string, unknown>).x).toBeUndefined()
})

const numbers = '1e999 -1e999 1E400 9007199254740993 -9007199254740993 123456789012345678901'.split(
  ' ',
)
const fields = ['temperature', 'seed', 'n', 'top_p', 'max_tokens', 'logprobs']

test.each(numbers)('B12: %s in a field of ours is 400', async (number) => {
  await using world = await startWorld({ config })
  const key = await world.key()
  for (const field of fields) {
    const messages = '"messages":[{"role":"user","content":"hi"}]'
    const body = `{"model":"gpt-5-mini",${messages},"${field}":${number}}`
    expect(await post(world, key, body), field).toBe(400)
  }
  expect(world.simulator.requests()).toBe(0)
})

const around = (bytes: readonly number[]): Uint8Array<ArrayBuffer> =>
  Buffer.concat([
    Buffer.from('{"model":"gpt-5-mini","user":"'),
    Buffer.from(bytes),
    Buffer.from(`",${rest}}`),
  ])
const withUser = (user: string): string => `{"model":"gpt-5-mini","user":"${user}",${rest}}`

const texts: Readonly<Record<string, readonly [status: number, body: Body]>> = {
  'a stray byte': [400, around([0xff])],
  'a byte order mark': [400, `\ufeff${plain}`],
  'an overlong slash': [400, around([0xc0, 0xaf])],
  'half a surrogate pair in UTF-8': [400, around([0xed, 0xa0, 0x80])],
  'a code point beyond Unicode': [400, around([0xf5, 0x80, 0x80, 0x80])],
  'a cut character': [400, around([0xe4, 0xbd])],
  'a raw NUL': [400, around([0])],
  'a raw line feed': [400, around([10])],
  'UTF-16': [400, Buffer.from(plain, 'utf16le')],
  'half a surrogate pair in escapes, as a name': [400, withUser('\\ud800')],
  'NUL in escapes, as a name': [400, withUser('a\\u0000b')],
  'a line feed in escapes, as a name': [400, withUser('a\\nb')],
  'a bell in escapes, as a name': [400, withUser('\\u0007')],
  'text turned around, as a name': [400, withUser('\\u202eabc')],
  'NUL in a model': [400, `{"model":"gpt-5-mini\\u0000",${rest}}`],
  'a name of another script': [200, withUser('客户 七')],
  'half a surrogate pair in a prompt': [
    200,
    '{"model":"gpt-5-mini","messages":[{"role":"user","content":"\\ud800"}]}',
  ],
  'a comment': [400, `{"model":"gpt-5-mini",/* x */${rest}}`],
  'a comma too many': [400, `{"model":"gpt-5-mini",${rest},}`],
  'single quotes': [400, "{'model':'gpt-5-mini'}"],
  'a form feed as space': [400, `{"model":"gpt-5-mini",\f${rest}}`],
  'a no-break space': [400, `{"model":"gpt-5-mini",\u00a0${rest}}`],
  'a second document': [400, `${plain}\n${plain}`],
}

test.each(Object.entries(texts))('B13: %s', (_name, [status, body]) => expectStatus(status, body))

test('B13: two halves of surrogate pairs are not one account', async () => {
  await using world = await startWorld({ config })
  const key = await world.key()
  const users = ['\ud800', '\ud801', '\udfff', '\ufffd']
  const statuses = await Promise.all(
    users.map(async (user) => (await call(world, key, chat, chatBody('hi', { user }))).status),
  )
  expect(statuses).toEqual([400, 400, 400, 200])
  expect(await auditBooks(world)).toBe(0)
})

test('B16: of a request’s headers only a few go on, and none that is not plain text', async () => {
  await using provider = await startRawProvider((socket) => socket.write(goodAnswer('x')))
  await using world = await startWorld({ config, providerUrl: provider.url })
  const key = await world.key()
  const lines = [
    'x-forwarded-for: 1.2.3.4',
    'cookie: a=b',
    `authorization: Bearer ${key}`,
    'x-stainless-lang: js',
    'openai-organization: org-evil',
    'openai-project: proj-evil',
    'anthropic-beta: a\xffb',
    `user-agent: ${'u'.repeat(9000)}`,
    'openai-beta: assistants=v2',
    'connection: keep-alive, x-api-key',
    'bursar-user: ann',
    'traceparent: 00-1-2-01',
    'te: trailers',
    'proxy-authorization: Basic x',
    'x-http-method-override: DELETE',
    'accept-encoding: gzip',
  ]
  const head = ['host: y', ...lines, `content-length: ${plain.length}`].join('\r\n')
  const sent = `POST ${chat} HTTP/1.1\r\n${head}\r\n\r\n${plain}`
  expect((await raw(world.url, sent, { answers: 1 })).statuses).toEqual([200])
  const names = provider
    .last()
    .split('\r\n\r\n')[0]
    ?.split('\r\n')
    .slice(1)
    .map((line) => line.split(':')[0]?.toLowerCase())
  expect(names?.sort()).toEqual([
    'accept-encoding',
    'authorization',
    'connection',
    'content-length',
    'content-type',
    'host',
    'openai-beta',
    'traceparent',
    'x-client-request-id',
  ])
  expect(provider.last()).not.toContain(key)
  expect(provider.last()).toContain('accept-encoding: identity')
})

const types: readonly (readonly [type: string, status: number, body: string])[] = [
  ['multipart/form-data; boundary=x', 415, plain],
  ['Multipart/Mixed', 415, plain],
  ['application/x-www-form-urlencoded', 400, 'model=gpt-5-mini'],
  ['application/x-www-form-urlencoded', 200, plain],
  ['application/xml', 400, '<model/>'],
  ['application/json; charset=utf-8', 200, plain],
]

test.each(types)('B20: a body of type %s is %i', (type, status, body) =>
  expectStatus(status, body, { 'content-type': type }),
)

test('B22: long names are refused where they come in, and cut where a provider says them', async () => {
  await using provider = await startRawProvider((socket) => {
    const body = chatAnswer('x')
      .replace('gpt-5-mini', 'm'.repeat(500_000))
      .replace('chatcmpl-1', 'i'.repeat(500_000))
    socket.write(
      httpAnswer(['content-type: application/json', `content-length: ${body.length}`], body),
    )
  })
  await using world = await startWorld({ config, providerUrl: provider.url })
  const key = await world.key()
  for (const name of ['agent', 'user', 'tenant', 'conversation', 'run', 'outcome', 'environment']) {
    const headers = { [`bursar-${name}`]: 'x'.repeat(129) }
    expect(await post(world, key, plain, headers), name).toBe(400)
  }
  const tags = Array.from({ length: 33 }, (_, i) => `k${i}=v`).join(',')
  expect(await post(world, key, plain, { 'bursar-tags': tags })).toBe(400)
  expect(await post(world, key, plain, { 'idempotency-key': 'x'.repeat(256) })).toBe(400)
  expect(await post(world, key, `{"model":"${'m'.repeat(129)}",${rest}}`)).toBe(400)
  expect(provider.requests()).toBe(0)
  expect(await post(world, key, plain)).toBe(200)
  const [hold] = await world.bursar.store.recentHolds(1)
  expect(JSON.stringify(hold?.facts).length).toBeLessThan(2000)
})
