import { expect, test } from 'vitest'
import type { CallShape } from '#core/quote.ts'
import { dialectOf } from './dialects.ts'
import { matchEndpoint } from './routes.ts'

const data = 'A'.repeat(100_000)

function shapeOf(path: string, body: unknown): CallShape {
  const matched = matchEndpoint('POST', path)
  if (matched.kind !== 'endpoint') throw new Error(path)
  const bytes = Buffer.from(JSON.stringify(body))
  const parsed = dialectOf(matched.endpoint.dialect).parse(matched.endpoint, bytes)
  if (!parsed.ok) throw new Error(parsed.problem.message)
  return parsed.value.shape
}

const chat = (content: unknown, more: object = {}): CallShape =>
  shapeOf('/v1/chat/completions', {
    model: 'gpt-5',
    messages: [{ role: 'user', content }],
    ...more,
  })
const claude = (content: unknown, more: object = {}): CallShape =>
  shapeOf('/v1/messages', {
    model: 'claude-haiku-4-5',
    max_tokens: 9,
    messages: [{ role: 'user', content }],
    ...more,
  })
const gemini = (parts: unknown, more: object = {}): CallShape =>
  shapeOf('/v1beta/models/gemini-2.5-flash:generateContent', { contents: [{ parts }], ...more })

test('text is bounded by its bytes', () => {
  for (const shape of [chat(data), claude(data), gemini([{ text: data }])]) {
    expect(shape.textTokensMax).toBeGreaterThan(100_000)
    expect(shape.textTokensMax).toBeLessThan(101_000)
  }
  expect(chat('\u00e9\u4e16'.repeat(1000)).textTokensMax).toBeGreaterThan(5000)
})

const image = { type: 'image_url', image_url: { url: `data:image/png;base64,${data}` } }
const source = { type: 'base64', media_type: 'image/png', data }

test('an image is bounded by a ceiling, not by its base64', () => {
  for (const shape of [
    chat([image]),
    claude([{ type: 'image', source }]),
    gemini([{ inlineData: { mimeType: 'image/png', data } }]),
  ]) {
    expect(shape.textTokensMax).toBeLessThan(1000)
    expect(shape.imageTokensMax).toBe(32_768)
    expect(shape.hiddenInput).toBe(false)
  }
})

test('what only looks like an image is text', () => {
  const schema = { type: 'object', default: image }
  const calls = [{ id: 'c', type: 'function', function: { name: 'f', arguments: data } }]
  const use = { type: 'tool_use', id: 't', name: 'f', input: { a: { type: 'image', source } } }
  const declared = [{ functionDeclarations: [{ name: 'f', parameters: schema }] }]
  for (const shape of [
    chat('x', { tools: [{ type: 'function', function: { name: 'f', parameters: schema } }] }),
    chat('x', { metadata: { a: JSON.stringify(image) } }),
    chat([{ type: 'text', text: 'x', tool_calls: calls }]),
    claude('x', { tools: [{ name: 'f', input_schema: schema }] }),
    claude([use]),
    gemini([{ functionCall: { name: 'f', args: image } }]),
    gemini([{ functionResponse: { name: 'f', response: image } }]),
    gemini([{ text: 'x' }], { tools: declared }),
    gemini([{ inlineData: { mimeType: 'text/plain', data } }]),
  ]) {
    expect(shape.textTokensMax).toBeGreaterThan(100_000)
  }
})

test('what has no length in the body is bounded by the context window', () => {
  for (const shape of [
    chat([{ type: 'file', file: { file_data: data } }]),
    chat([{ type: 'file', file: { file_id: 'file_1' } }]),
    claude([{ type: 'document', source: { type: 'base64', data } }]),
    claude([{ type: 'document', source: { type: 'url', url: 'https://x' } }]),
    gemini([{ inlineData: { mimeType: 'application/pdf', data } }]),
    gemini([{ fileData: { fileUri: 'https://x' } }]),
    gemini([{ text: 'x' }], { cachedContent: 'cachedContents/1' }),
    shapeOf('/v1/responses', { model: 'gpt-5', input: 'x', previous_response_id: 'resp_1' }),
  ]) {
    expect(shape.hiddenInput).toBe(true)
  }
  const audio = { type: 'input_audio', input_audio: { data, format: 'mp3' } }
  expect(chat([audio]).audioTokensMax).toBe(Number.MAX_SAFE_INTEGER)
})

test('a prediction may be billed as output beside the cap', () => {
  const shape = chat('x', { prediction: { type: 'content', content: data } })
  expect(shape.thinkingOutsideCap).toBeGreaterThanOrEqual(100_000)
})

test('cache marks, tiers and tools are read for what they may cost', () => {
  const mark = (ttl?: string) => [
    { type: 'text', text: 'x', cache_control: { type: 'ephemeral', ttl } },
  ]
  expect(claude('x').cacheWrite).toBe('none')
  expect(claude(mark()).cacheWrite).toBe('5m')
  expect(claude(mark('1h')).cacheWrite).toBe('1h')
  expect(claude('x', { speed: 'fast' }).tiers).toEqual(['fast', 'standard'])
  expect(claude('x', { inference_geo: 'us' }).geo).toBe('us')
  expect(chat('x', { service_tier: 'auto' }).tiers).toEqual(['standard', 'priority'])
  expect(chat('x', { n: 3 }).choices).toBe(3)
  const search = [{ type: 'web_search_20250305', name: 'w', max_uses: 4 }]
  expect(claude('x', { tools: search }).tools).toEqual([{ meter: 'web_search', maxUses: 4 }])
})
