/** Rows A of the threat model: money. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { auditBooks, call, chatBody, startWorld, until, type World } from '#test/support/bursar.ts'
import { growthOf } from '#test/support/memory.ts'
import { chatAnswer, goodAnswer, httpAnswer, startRawProvider } from '#test/support/provider.ts'
import { elsewhere, ids, notYet, partly } from './hostile-table.ts'

const root = new URL('../../', import.meta.url)
const config = 'budgets: [{ name: all, budget_yearly_usd: 100000 }]\n'
const chat = '/v1/chat/completions'

async function post(world: World, key: string, path: string, body: string): Promise<Response> {
  return fetch(world.url + path, { method: 'POST', body, headers: { 'x-api-key': key } })
}

const posted = async (world: World): Promise<string> => {
  const [row] = (await world.api('/budgets')) as { posted_usd: string }[]
  return row?.posted_usd ?? ''
}

test('every row of the threat model has a test, a test elsewhere, or a reason why not', () => {
  const folder = new URL('test/faults/', root)
  const texts = readdirSync(folder)
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => readFileSync(new URL(name, folder), 'utf8'))
    .join('\n')
  const isHere = (id: string): boolean => new RegExp(`['\`, ]${id}[,:] `).test(texts)
  expect(ids.filter((id) => !(id in notYet) && !(id in elsewhere) && !isHere(id))).toEqual([])
  expect(Object.keys(notYet).filter((id) => id in elsewhere || id in partly)).toEqual([])
  expect(
    [...Object.keys(notYet), ...Object.keys(partly)].filter((id) => !ids.includes(id)),
  ).toEqual([])
  for (const [id, [file, name]] of Object.entries(elsewhere)) {
    expect(readFileSync(new URL(file, root), 'utf8'), id).toContain(name)
  }
})

const slots = ['authorization', 'x-api-key', 'api-key', 'x-goog-api-key']
const user = [{ role: 'user', content: 'hi' }]
const contents = [{ parts: [{ text: 'hi' }] }]
const bodies: Readonly<Record<string, unknown>> = {
  chat: chatBody('hi', { max_tokens: 5 }),
  responses: { model: 'gpt-5-mini', input: 'hi', max_output_tokens: 5 },
  embeddings: { model: 'text-embedding-3-small', input: 'hi' },
  messages: { model: 'claude-haiku-4-5', max_tokens: 5, messages: user },
  generate: { contents },
}
const ways: readonly (readonly [path: string, body: string])[] = [
  ...['/v1', '', '/openai/v1', '/openai'].flatMap((prefix) => [
    [`${prefix}/chat/completions`, 'chat'] as const,
    [`${prefix}/responses`, 'responses'] as const,
    [`${prefix}/embeddings`, 'embeddings'] as const,
  ]),
  ...['/v1', '', '/anthropic/v1', '/anthropic'].map((p) => [`${p}/messages`, 'messages'] as const),
  ...['/v1beta', '/v1', '/gemini/v1beta', ''].map(
    (p) => [`${p}/models/gemini-2.5-flash:generateContent`, 'generate'] as const,
  ),
]

test('A2: every slot on every path reaches the same budget, and two keys reach none', async () => {
  await using world = await startWorld({ config })
  const key = await world.key()
  const other = await world.key()
  for (const [path, name] of ways) {
    for (const slot of slots) {
      const body = JSON.stringify(bodies[name])
      const send = (headers: Record<string, string>): Promise<Response> =>
        fetch(world.url + path, { method: 'POST', body, headers })
      const value = (secret: string): string =>
        slot.startsWith('a') && slot !== 'api-key' ? `Bearer ${secret}` : secret
      expect((await send({ [slot]: value(key) })).status, `${slot} ${path}`).toBe(200)
      const rival = slot === 'x-api-key' ? 'api-key' : 'x-api-key'
      expect((await send({ [slot]: value(key), [rival]: other })).status, path).toBe(401)
    }
  }
  expect(world.simulator.requests()).toBe(ways.length * slots.length)
  expect(ways.length * slots.length).toBeGreaterThanOrEqual(60)
  expect(await posted(world)).toBe(world.simulator.bill().total_usd)
  expect(await auditBooks(world)).toBe(0)
})

/** Paths of the providers' own references that cost something, and are not served. */
const foreign = `completions moderations audio/speech audio/transcriptions audio/translations
  images/generations images/edits images/variations files uploads batches fine_tuning/jobs
  assistants threads threads/runs vector_stores videos containers evals conversations realtime
  realtime/sessions realtime/client_secrets responses/resp_1 responses/resp_1/cancel
  responses/compact chat/completions/id organization/usage/costs edits engines/x/completions
  messages/batches messages/batches/x/cancel complete skills experimental/generate_prompt
  models/x:predict models/x:predictLongRunning models/x:batchGenerateContent models/x:generateImages
  models/x:generateVideos models/x:asyncBatchEmbedContent models/x:generateAnswer
  models/x:bidiGenerateContent tunedModels/x:generateContent cachedContents corpora files:upload
  interactions models/x:countTokens:x
  projects/p/locations/l/publishers/google/models/x:generateContent
  projects/p/locations/l/publishers/anthropic/models/x:rawPredict`.split(/\s+/)

test('A3: a path that is not metered is 404 and reaches no provider', async () => {
  await using world = await startWorld({ config })
  const key = await world.key()
  const paths = [
    ...['/v1/', '/', '/v1beta/', '/openai/v1/'].flatMap((p) => foreign.map((rest) => p + rest)),
    '/model/anthropic.claude/converse',
    '/model/anthropic.claude/invoke',
    '/model/anthropic.claude/invoke-with-response-stream',
    '/openai/deployments/d/chat/completions',
    '/anthropic/v1/chat/completions',
    '/openai/v1/messages',
    '/gemini/v1/chat/completions',
  ]
  for (const path of paths) {
    for (const method of ['POST', 'GET', 'PUT', 'DELETE', 'PATCH']) {
      const body = method === 'GET' ? {} : { body: JSON.stringify(bodies.chat) }
      const headers = { 'x-api-key': key }
      const { status } = await fetch(world.url + path, { method, headers, ...body })
      expect(status, `${method} ${path}`).toBe(404)
    }
  }
  expect(world.simulator.requests()).toBe(0)
})

test('A6: a dearer model that answers is charged at its own price, a cheaper one as asked', async () => {
  const answers = ['gpt-5-pro', 'gpt-5-nano', 'no-such-model']
  await using provider = await startRawProvider((socket, no) => {
    const body = chatAnswer('x').replace('gpt-5-mini', answers[no - 1] ?? '')
    socket.write(
      httpAnswer(['content-type: application/json', `content-length: ${body.length}`], body),
    )
  })
  await using world = await startWorld({ config, providerUrl: provider.url })
  const key = await world.key()
  const costs: (string | null)[] = []
  for (const _ of answers) {
    const { headers } = await call(world, key, chat, chatBody('x', { max_tokens: 50 }))
    costs.push(headers.get('bursar-cost-usd'))
  }
  const [dearer, cheaper, unknown] = costs
  expect(cheaper).toBe('0.000012500')
  expect(Number(dearer)).toBeGreaterThan(10 * Number(cheaper))
  expect(unknown).toBe(cheaper)
})

test('A7, A20: the cap and `include_usage` are written upstream, the extra chunk is taken out', async () => {
  const delta = '{"id":"c","model":"gpt-5-mini","choices":[{"index":0,"delta":{"content":"x"}}]}'
  const extra =
    '{"id":"c","model":"gpt-5-mini","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5}}'
  const events = (all: readonly string[]): string => all.map((one) => `data: ${one}\n\n`).join('')
  await using provider = await startRawProvider((socket) => {
    const body = events([delta, extra, '[DONE]'])
    const type = 'content-type: text/event-stream'
    socket.write(httpAnswer([type, `content-length: ${body.length}`], body))
  })
  await using world = await startWorld({ config, providerUrl: provider.url })
  const key = await world.key()
  for (const asked of [undefined, { include_usage: false }, { include_usage: true }]) {
    const more = asked === undefined ? {} : { stream_options: asked }
    const { text } = await call(world, key, chat, chatBody('x', { stream: true, ...more }))
    const sent = JSON.parse(provider.last().split('\r\n\r\n')[1] ?? '') as Record<string, unknown>
    expect(sent).toMatchObject({ stream_options: { include_usage: true } })
    expect(sent.max_completion_tokens).toBe(128_000)
    const seen = asked?.include_usage === true ? [delta, extra, '[DONE]'] : [delta, '[DONE]']
    expect(text.replace(/: bursar .*\n\n/, '')).toBe(events(seen))
  }
})

/** Written as JSON text: what is no number at all cannot be written otherwise. */
const noCaps = `-1 0 1.5 "100" [] {} true 1e308 -0 1e999 NaN 01 9007199254740993 100000001 0.0 1E400
  +5 .5 5. 0x10 Infinity -Infinity "NaN" [5] {"value":5}`.split(/\s+/)

test.each(noCaps)('A9: %s is no cap, in any dialect', async (value) => {
  await using world = await startWorld({ config })
  const key = await world.key()
  const rest = '"messages":[{"role":"user","content":"hi"}]'
  const places: readonly (readonly [path: string, body: string])[] = [
    [chat, `{"model":"gpt-5-mini",${rest},"max_tokens":${value}}`],
    [chat, `{"model":"gpt-5-mini",${rest},"max_completion_tokens":${value}}`],
    ['/v1/responses', `{"model":"gpt-5-mini","input":"x","max_output_tokens":${value}}`],
    [
      '/v1beta/models/gemini-2.5-flash:generateContent',
      `{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"maxOutputTokens":${value}}}`,
    ],
  ]
  for (const [path, body] of places) {
    expect((await post(world, key, path, body)).status, body).toBe(400)
  }
  if (!/^-?0(\.0)?$/.test(value)) {
    const body = `{"model":"claude-haiku-4-5",${rest},"max_tokens":${value}}`
    expect((await post(world, key, '/v1/messages', body)).status, body).toBe(400)
  }
  expect(world.simulator.requests()).toBe(0)
})

test('A10: four choices are held at four times the output', async () => {
  await using world = await startWorld({ config })
  const key = await world.key()
  for (const n of [1, 4]) {
    const { status } = await call(world, key, chat, chatBody('hi', { n, max_tokens: 1000 }))
    expect(status).toBe(200)
  }
  const [four, one] = await world.bursar.store.recentHolds(2)
  // gpt-5-mini: $2 for a million tokens of output.
  expect((four?.amount ?? 0n) - (one?.amount ?? 0n)).toBe(3n * 1000n * 2000n)
})

const hosted: Readonly<Record<string, readonly string[]>> = {
  '/v1/responses': `code_interpreter file_search mcp image_generation web_search web_search_preview
    shell tool_search toString constructor`.split(/\s+/),
  '/v1/messages': `web_search_20250305 web_fetch_20250910 code_execution_20250825 mcp_toolset
    advisor_20260301 toString`.split(/\s+/),
  '/v1beta/models/gemini-2.5-flash:generateContent': `googleSearch google_search urlContext
    googleSearchRetrieval codeExecution fileSearch googleMaps computerUse
    enterpriseWebSearch retrieval mcpServers toString`.split(/\s+/),
  [chat]: 'web_search web_search_preview mcp code_interpreter toString'.split(' '),
}

test('A12: a tool that runs at the provider needs a bound, else it is 403', async () => {
  await using world = await startWorld({ config })
  const key = await world.key()
  for (const [path, types] of Object.entries(hosted)) {
    const base = path.includes('gemini')
      ? { contents }
      : path.includes('responses')
        ? { model: 'gpt-5-mini', input: 'x' }
        : {
            model: path.includes('chat') ? 'gpt-5-mini' : 'claude-haiku-4-5',
            max_tokens: 9,
            messages: user,
          }
    for (const type of types) {
      const tool = path.includes('gemini') ? { [type]: {} } : { type, name: 'f', input_schema: {} }
      const answer = await call(world, key, path, { ...base, tools: [tool] })
      expect(answer.status, `${path} ${type}`).toBe(403)
      expect(answer.text.toLowerCase()).toContain('unbounded_cost')
    }
  }
  expect(world.simulator.requests()).toBe(0)
})

test('A14: input that is not in the body is held at the whole context window', async () => {
  await using world = await startWorld({ config })
  const key = await world.key()
  const ask = { model: 'gpt-5-mini', input: 'x', max_output_tokens: 16 }
  const hidden: readonly Record<string, unknown>[] = [
    { previous_response_id: 'resp_1' },
    { input: [{ type: 'item_reference', id: 'msg_1' }] },
    { input: [{ role: 'user', content: [{ type: 'input_file', file_id: 'file_1' }] }] },
  ]
  for (const more of hidden) await call(world, key, '/v1/responses', { ...ask, ...more })
  // $0.25 a million for 272,000 tokens of context at the least.
  for (const { amount } of await world.bursar.store.recentHolds(3)) {
    expect(amount).toBeGreaterThan(272_000n * 250n)
  }
})

const usages: Readonly<Record<string, readonly [usage: unknown, basis: string]>> = {
  'zero is zero': [{ prompt_tokens: 0, completion_tokens: 0 }, 'actual'],
  null: [null, 'presumed'],
  empty: [{}, 'presumed'],
  'a list': [[], 'presumed'],
  'a string': [{ prompt_tokens: '5', completion_tokens: 1 }, 'presumed'],
  negative: [{ prompt_tokens: -5, completion_tokens: 1 }, 'presumed'],
  'a fraction': [{ prompt_tokens: 1.5, completion_tokens: 1 }, 'presumed'],
  'beyond any model': [{ prompt_tokens: 2 ** 53 - 1, completion_tokens: 2 ** 53 - 1 }, 'presumed'],
  'only half of it': [{ prompt_tokens: 5 }, 'presumed'],
  nested: [{ prompt_tokens: { value: 5 }, completion_tokens: 1 }, 'presumed'],
}

test.each(Object.entries(usages))('A21: usage that is %s', async (_name, [usage, basis]) => {
  await using provider = await startRawProvider((socket) => {
    const body = JSON.stringify({ ...(JSON.parse(chatAnswer('x')) as object), usage })
    socket.write(
      httpAnswer(['content-type: application/json', `content-length: ${body.length}`], body),
    )
  })
  await using world = await startWorld({ config, providerUrl: provider.url })
  const { status } = await call(world, await world.key(), chat, chatBody('x', { max_tokens: 50 }))
  expect(status).toBe(200)
  const [hold] = await world.bursar.store.recentHolds(1)
  expect(hold).toMatchObject({ basis, cost: basis === 'actual' ? 0n : hold?.amount })
  expect(await auditBooks(world)).toBe(0)
})

test('A23: the first calls of a user nobody has seen share one account', async () => {
  await using world = await startWorld({
    config: `budgets:
  - { per: user, budget_yearly_usd: 1, alerts: [{ threshold: 1.0, action: hard_stop }] }
policy: { on_tight: refuse, max_wait: 1s }
`,
  })
  const key = await world.key()
  const body = { model: 'claude-sonnet-4-5', max_tokens: 19_900, messages: user }
  const headers = { 'bursar-user': 'new', 'bursar-sim': 'tokens=19900; delay=1500' }
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => call(world, key, '/v1/messages', body, headers)),
  )
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(3)
  expect(world.simulator.requests()).toBe(3)
  expect(await auditBooks(world)).toBe(0)
})

test('A24: a hundred answers of a megabyte are not all kept, and none is paid for twice', async () => {
  const text = chatAnswer('x'.repeat(1_000_000))
  const json = 'content-type: application/json'
  await using provider = await startRawProvider((socket) => {
    socket.write(httpAnswer([json, `content-length: ${text.length}`], text))
  })
  await using world = await startWorld({ config, providerUrl: provider.url })
  const key = await world.key()
  const once = (no: number): Promise<number> =>
    call(world, key, chat, chatBody('hi'), { 'idempotency-key': `k${no}` }).then((a) => a.status)
  const grown = await growthOf(async () => {
    for (let no = 0; no < 100; no += 1) expect(await once(no)).toBe(200)
  })
  expect(grown).toBeLessThan(90 * 1024 * 1024)
  expect(await once(99)).toBe(200)
  expect(await once(0)).toBe(409)
  expect(provider.requests()).toBe(100)
})

test('A34: while the ledger cannot commit nothing is sent; when it can, calls go on', async () => {
  await using world = await startWorld({ config })
  const key = await world.key()
  // Somebody else writes to the file: a commit waits for its turn in vain.
  const rival = new DatabaseSync(join(world.dataFolder, 'bursar.db'))
  rival.exec('begin immediate')
  const answer = await call(world, key, chat, bodies.chat)
  expect(answer.status).toBe(503)
  expect(answer.json()).toMatchObject({ error: { code: 'ledger_unavailable' } })
  expect(answer.headers.get('retry-after')).toBe('5')
  expect(world.simulator.requests()).toBe(0)
  rival.exec('rollback')
  rival.close()
  const again = async (): Promise<boolean> =>
    (await call(world, key, chat, bodies.chat)).status === 200
  await until('calls go on', again)
  expect(await auditBooks(world)).toBe(0)
})

test('A35: the calls one may have in flight are a quota, refused beyond it', async () => {
  await using world = await startWorld({
    config: `${config}quotas: [{ per: key, max_concurrent: 4 }]\npolicy: { max_wait: 1s }\n`,
  })
  const key = await world.key()
  const answers = await Promise.all(
    Array.from({ length: 12 }, () =>
      call(world, key, chat, chatBody('hi'), { 'bursar-sim': 'delay=1500; tokens=5' }),
    ),
  )
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(4)
  expect(answers.filter(({ status }) => status === 429)).toHaveLength(8)
})

test('A36, A37: what a caller says it used or achieved changes no cost', async () => {
  await using provider = await startRawProvider((socket) => socket.write(goodAnswer('x')))
  await using world = await startWorld({ config, providerUrl: provider.url })
  const key = await world.key()
  const lies: readonly Record<string, string>[] = [
    { 'x-usage': '{"prompt_tokens":0}', 'x-litellm-response-cost': '0', 'bursar-cost-usd': '0' },
    { 'bursar-outcome': 'solved=1000000', 'x-token-count': '0', 'openai-usage': '0' },
  ]
  for (const headers of lies) {
    const { headers: said } = await call(world, key, chat, chatBody('x'), headers)
    expect(said.get('bursar-cost-usd')).toBe('0.000012500')
    expect(provider.last()).not.toMatch(/x-usage|litellm|bursar-|token-count|openai-usage/)
  }
  const used = await call(world, key, chat, chatBody('x', { usage: { prompt_tokens: 0 } }))
  expect(used.status).toBe(403)
})
