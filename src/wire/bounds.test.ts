/** What a body says that bounds a call, and who it says that it is for. */
import { expect, test } from 'vitest'
import type { ParsedCall, WireProblem } from './dialect.ts'
import { dialectOf } from './dialects.ts'
import { matchEndpoint } from './routes.ts'

function read(path: string, body: unknown): ParsedCall | WireProblem {
  const matched = matchEndpoint('POST', path)
  if (matched.kind !== 'endpoint') throw new Error(path)
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const parsed = dialectOf(matched.endpoint.dialect).parse(matched.endpoint, Buffer.from(text))
  return parsed.ok ? parsed.value : parsed.problem
}

const said = (found: ParsedCall | WireProblem): string =>
  'code' in found ? `${found.code} ${found.param}` : JSON.stringify(found.shape.tools)

const user = { messages: [{ role: 'user', content: 'x' }] }
const chat = (more: object) => read('/v1/chat/completions', { model: 'gpt-5', ...user, ...more })
const responses = (more: object) => read('/v1/responses', { model: 'gpt-5', input: 'x', ...more })
const claude = (more: object) =>
  read('/v1/messages', { model: 'c', max_tokens: 9, ...user, ...more })
const gemini = (more: object) =>
  read('/v1beta/models/g:generateContent', { contents: [{ parts: [{ text: 'x' }] }], ...more })

const search = { type: 'web_search' }
const hosted = { type: 'shell', environment: { type: 'container_auto' } }
const local = { type: 'shell', environment: { type: 'local' } }
const fn = { type: 'function', name: 'f' }
const nested = (tool: object) => ({ type: 'namespace', name: 'n', tools: [tool] })
const brought = (tool: object) => [{ type: 'additional_tools', role: 'developer', tools: [tool] }]

test.each<[object, string]>([
  [{ tools: [fn, local, nested(fn), { type: 'tool_search', execution: 'client' }] }, '[]'],
  [{ tools: [{ type: 'computer_use_preview' }, { type: 'apply_patch' }] }, '[]'],
  [{ tools: [search] }, 'unbounded_cost max_tool_calls'],
  [{ tools: [search], max_tool_calls: 3 }, '[{"meter":"web_search","maxUses":3}]'],
  [{ tools: [hosted], max_tool_calls: 3 }, 'unbounded_cost tools[0]'],
  [{ tools: [{ type: 'shell' }] }, 'unbounded_cost tools[0]'],
  [{ tools: [{ type: 'tool_search' }] }, 'unbounded_cost tools[0]'],
  [{ tools: [{ type: 'constructor' }] }, 'unbounded_cost tools[0]'],
  [{ tools: [fn, nested(search)] }, 'unbounded_cost max_tool_calls'],
  [{ input: brought(search) }, 'unbounded_cost max_tool_calls'],
  [{ input: brought({ type: 'mcp' }) }, 'unbounded_cost input[0].tools[0]'],
  [{ input: brought(nested(hosted)) }, 'unbounded_cost input[0].tools[0].tools[0]'],
  [{ input: brought(fn) }, '[]'],
  [{ context_management: [{ type: 'compaction' }] }, 'unbounded_cost context_management'],
  [{ context_management: [], prompt_cache_options: { ttl: '30m' } }, '[]'],
])('responses %j', (more, wanted) => {
  expect(said(responses(more))).toBe(wanted)
})

test.each<[object, string]>([
  [{ tools: [{ type: 'function', function: { name: 'f' } }, { type: 'custom' }] }, '[]'],
  [{ tools: [search] }, 'unbounded_cost tools[0]'],
  [{ tools: ['x'] }, 'unbounded_cost tools[0]'],
  [{ prompt_cache_options: { mode: 'explicit' } }, '[]'],
  [
    { stream: true, stream_options: { include_usage: 'yes' } },
    'invalid_request stream_options.include_usage',
  ],
])('chat %j', (more, wanted) => {
  expect(said(chat(more))).toBe(wanted)
})

const edits = (type: string) => ({ edits: [{ type, exclude_tools: ['compact'] }] })

test.each<[object, string]>([
  [{ tools: [{ type: 'browser_toolset_20260801' }, { type: 'custom', name: 'f' }] }, '[]'],
  [{ tools: [{ type: 'customer_search_1' }] }, 'unbounded_cost tools[0]'],
  [{ context_management: edits('clear_tool_uses_20250919') }, '[]'],
  [{ context_management: edits('compact_20260112') }, 'unbounded_cost context_management'],
])('messages %j', (more, wanted) => {
  expect(said(claude(more))).toBe(wanted)
})

const config = (generationConfig: object) => ({ generationConfig })
const thinking = (thinkingBudget: unknown) => config({ thinkingConfig: { thinkingBudget } })

test.each<[object, string]>([
  [config({ candidateCount: 1, candidate_count: 8 }), 'generationConfig.candidateCount'],
  [{ serviceTier: 'standard', service_tier: 'priority' }, 'serviceTier'],
  [{ model: 'models/other' }, 'model'],
  [thinking('9000'), 'generationConfig.thinkingConfig.thinkingBudget'],
  [thinking(-2), 'generationConfig.thinkingConfig.thinkingBudget'],
])('generate refuses %j', (more, param) => {
  expect(said(gemini(more))).toBe(`invalid_request ${param}`)
})

test('generate: routing to other models is not allowed; the documented fields are', () => {
  const routed = gemini(config({ routing_config: { autoMode: {} } }))
  expect(said(routed)).toBe('not_allowed generationConfig.routing_config')
  expect(said(gemini({ model: 'models/g', ...thinking(-1) }))).toBe('[]')
  expect(said(gemini({ generation_config: { max_output_tokens: 9, top_p: 1 } }))).toBe('[]')
})

test('a prompt of many tokens as numbers is read', () => {
  const input = Array.from({ length: 100 }, () => Array<number>(2000).fill(1000))
  const call = read('/v1/embeddings', { model: 'text-embedding-3-small', input })
  if ('code' in call) throw new Error(call.message)
  expect(call.shape.textTokensMax).toBeGreaterThan(200_000)
})

function rewritten(path: string, body: string, model: string, outputCap: number | null): string {
  const call = read(path, body)
  if ('code' in call) throw new Error(call.message)
  const { path: to, body: bytes } = dialectOf(call.endpoint.dialect).rewrite(call, {
    model,
    outputCap,
  })
  return `${to} ${Buffer.from(bytes).toString()}`
}

test('what is rewritten inside an object leaves its other bytes alone', () => {
  const path = '/v1beta/models/g:generateContent'
  const inner = '"temperature":1.0, "responseSchema":{"properties":{"b":{},"1":{}}}'
  const body = (config: string) => `{"contents":[{}],"generationConfig":{${config}}}`
  expect(rewritten(path, body(inner), 'g', 9)).toBe(
    `${path} ${body(`"maxOutputTokens":9,${inner}`)}`,
  )
  expect(rewritten(path, body(`"maxOutputTokens": 10,${inner}`), 'g', 9)).toBe(
    `${path} ${body(`"maxOutputTokens": 9,${inner}`)}`,
  )
  expect(rewritten(path, '{"contents":[{}]}', 'g', 9)).toBe(
    `${path} {"generationConfig":{"maxOutputTokens":9},"contents":[{}]}`,
  )
  const streamed = (options: string) =>
    `{"model":"m","messages":[{}],"stream":true,"stream_options":{${options}}}`
  const asked = '"include_obfuscation" : false'
  expect(rewritten('/v1/chat/completions', streamed(asked), 'm', null)).toBe(
    `/v1/chat/completions ${streamed(`"include_usage":true,${asked}`)}`,
  )
})

test('a model repeated in the body is renamed with the path', () => {
  const embed = '{"requests":[{"model":"models/g","content":{}},{"content":{}}]}'
  expect(rewritten('/v1beta/models/g:batchEmbedContents', embed, 'h', null)).toBe(
    `/v1beta/models/h:batchEmbedContents ${embed.replace('models/g', 'models/h')}`,
  )
  expect(
    rewritten(
      '/v1beta/models/g:generateContent',
      '{"model":"models/g","contents":[{}]}',
      'h',
      null,
    ),
  ).toBe('/v1beta/models/h:generateContent {"model":"models/h","contents":[{}]}')
})

test('Claude Code says who it is in two ways, and neither is taken for a name', () => {
  const device = 'ab'.repeat(32)
  const [account, session] = [
    'c0ffee00-0000-4000-8000-000000000001',
    'c0ffee00-0000-4000-8000-000000000002',
  ]
  const claimed = (user_id: string): unknown => {
    const found = claude({ metadata: { user_id } })
    return 'code' in found ? found : [found.claims.user, found.claims.conversation]
  }
  const object = { device_id: device, account_uuid: account, session_id: session }
  expect(claimed(JSON.stringify(object))).toEqual([account, session])
  expect(claimed(JSON.stringify({ ...object, account_uuid: '' }))).toEqual([device, session])
  expect(claimed(`user_${device}_account_${account}_session_${session}`)).toEqual([
    account,
    session,
  ])
  expect(claimed(`user_${device}_account__session_${session}`)).toEqual([device, session])
  expect(claimed('user_ann_account_1')).toEqual(['user_ann_account_1', null])
})
