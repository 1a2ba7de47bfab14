/** The makers' own SDKs, unchanged, at default settings: only the base URL and the key differ. */
import Anthropic from '@anthropic-ai/sdk'
import { createAnthropic } from '@ai-sdk/anthropic'
import { createGoogleGenerativeAI } from '@ai-sdk/google'
import { createOpenAI } from '@ai-sdk/openai'
import { GoogleGenAI, Type } from '@google/genai'
import { embed, generateText, jsonSchema, streamText, tool } from 'ai'
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startWorld, type World } from '#test/support/bursar.ts'

const config = `organization: acme
budgets:
  - { name: everything, budget_yearly_usd: 1000 }
  - { agent: broke, budget_daily_usd: 0 }
  - agent: slow
    budget_daily_usd: 0.012
    alerts: [{ threshold: 1.0, action: throttle_to_100_percent }, { threshold: 500, action: hard_stop }]
policy: { max_wait: 3s }
`
let world: World
let key = ''
let broke = ''
let slow = ''

beforeAll(async () => {
  world = await startWorld({ config })
  key = await world.key()
  broke = await world.key({ agent: 'broke' })
  slow = await world.key({ agent: 'slow' })
})
afterAll(() => world[Symbol.asyncDispose]())

const weather = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
} as const

/** Requests that reached us while `work` ran. */
async function requestsOf(work: () => Promise<unknown>): Promise<number> {
  const before = await refused()
  await work()
  return (await refused()) - before
}

async function refused(): Promise<number> {
  const answer = await fetch(`${world.url}/metrics`, {
    headers: { authorization: 'Bearer adm_test' },
  })
  const text = await answer.text()
  return [...text.matchAll(/^bursar_refused_total\{.*\} (\d+)$/gm)].reduce(
    (sum, [, count]) => sum + Number(count),
    0,
  )
}

describe('openai', () => {
  const client = (apiKey = key): OpenAI => new OpenAI({ apiKey, baseURL: `${world.url}/v1` })

  test('chat, with its cost in a header', async () => {
    const { data, response } = await client()
      .chat.completions.create({
        model: 'gpt-5-mini',
        messages: [{ role: 'user', content: 'hello' }],
      })
      .withResponse()
    expect(data.choices[0]?.message.content).toMatch(/\w+/)
    expect(data.usage?.total_tokens).toBeGreaterThan(0)
    expect(response.headers.get('bursar-cost-usd')).toMatch(/^0\.000\d{6}$/)
  })

  test('chat stream, without a usage chunk that nobody asked for', async () => {
    const stream = await client().chat.completions.create({
      model: 'gpt-5-mini',
      stream: true,
      messages: [{ role: 'user', content: 'hello' }],
    })
    let text = ''
    let empty = 0
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? ''
      if (chunk.choices.length === 0) empty += 1
    }
    expect(text).toMatch(/\w+ \w+/)
    expect(empty).toBe(0)
  })

  test('chat stream, with the usage chunk that was asked for', async () => {
    const stream = await client().chat.completions.create({
      model: 'gpt-5-mini',
      stream: true,
      stream_options: { include_usage: true },
      messages: [{ role: 'user', content: 'hello' }],
    })
    const usages = []
    for await (const chunk of stream) if (chunk.usage) usages.push(chunk.usage)
    expect(usages).toHaveLength(1)
  })

  test('tools', async () => {
    const answer = await client().chat.completions.create({
      model: 'gpt-5',
      messages: [{ role: 'user', content: 'use the tool: weather?' }],
      tools: [{ type: 'function', function: { name: 'weather', parameters: weather } }],
    })
    const [called] = answer.choices[0]?.message.tool_calls ?? []
    expect(called).toMatchObject({ type: 'function', function: { name: 'weather' } })
  })

  test('responses, streamed and not', async () => {
    const answer = await client().responses.create({ model: 'gpt-5-mini', input: 'hello' })
    expect(answer.output_text).toMatch(/\w+/)
    const stream = await client().responses.create({
      model: 'gpt-5-mini',
      input: 'hello',
      stream: true,
    })
    const types = []
    for await (const event of stream) types.push(event.type)
    expect(types.at(-1)).toBe('response.completed')
  })

  test('embeddings', async () => {
    const { data, usage } = await client().embeddings.create({
      model: 'text-embedding-3-small',
      input: ['one', 'two'],
    })
    expect(data).toHaveLength(2)
    expect(data[0]?.embedding.length).toBeGreaterThan(8)
    expect(usage.total_tokens).toBeGreaterThan(0)
  })

  test('a hard stop is one request and a sentence', async () => {
    const stopped = client(broke).chat.completions.create({
      model: 'gpt-5-mini',
      messages: [{ role: 'user', content: 'hello' }],
    })
    const requests = await requestsOf(() =>
      expect(stopped).rejects.toMatchObject({
        status: 402,
        code: 'budget_exceeded',
        type: 'insufficient_quota',
        message: expect.stringContaining('Budget "broke a day"'),
      }),
    )
    expect(requests).toBe(1)
  })

  test('a throttle recovers: refused once or twice, answered in the end', async () => {
    const ask = (): Promise<OpenAI.ChatCompletion> =>
      client(slow).chat.completions.create({
        model: 'gpt-5-mini',
        max_tokens: 10,
        messages: [{ role: 'user', content: 'hello' }],
      })
    // 600 calls in the hour are one in six seconds: more than is waited for here.
    for (let i = 0; i < 59; i += 1) await Promise.all(Array.from({ length: 10 }, ask))
    const state = async (): Promise<string | undefined> => {
      const rows = (await world.api('/budgets')) as { name: string; state: string }[]
      return rows.find(({ name }) => name.startsWith('slow'))?.state
    }
    while ((await state()) !== 'throttled') await ask()
    let answer: OpenAI.ChatCompletion | null = null
    const requests = await requestsOf(async () => {
      answer = await ask()
    })
    expect(answer).toMatchObject({ object: 'chat.completion' })
    expect(requests).toBeGreaterThanOrEqual(1)
    expect(requests).toBeLessThanOrEqual(2)
  })
})

describe('@anthropic-ai/sdk', () => {
  const client = (apiKey = key): Anthropic => new Anthropic({ apiKey, baseURL: world.url })
  const messages = [{ role: 'user' as const, content: 'hello' }]

  test('messages, streamed and not, and count_tokens', async () => {
    const asked = { model: 'claude-haiku-4-5', max_tokens: 100, messages }
    const { data, response } = await client().messages.create(asked).withResponse()
    expect(data.content[0]).toMatchObject({ type: 'text' })
    expect(response.headers.get('bursar-cost-usd')).toMatch(/^0\.000\d{6}$/)
    const final = await client().messages.stream(asked).finalMessage()
    expect(final.usage.output_tokens).toBeGreaterThan(0)
    const counted = await client().messages.countTokens({ model: 'claude-haiku-4-5', messages })
    expect(counted.input_tokens).toBeGreaterThan(0)
  })

  test('tools', async () => {
    const { content, stop_reason } = await client().messages.create({
      model: 'claude-sonnet-4-5',
      max_tokens: 100,
      tool_choice: { type: 'any' },
      messages,
      tools: [{ name: 'weather', input_schema: { ...weather, required: ['city'] } }],
    })
    expect(stop_reason).toBe('tool_use')
    expect(content[0]).toMatchObject({ type: 'tool_use', input: { city: 'Berlin' } })
  })

  test('a hard stop is one request and a sentence', async () => {
    const stopped = client(broke).messages.create({
      model: 'claude-haiku-4-5',
      max_tokens: 100,
      messages,
    })
    const requests = await requestsOf(() =>
      expect(stopped).rejects.toMatchObject({
        status: 402,
        message: expect.stringContaining('Budget'),
      }),
    )
    expect(requests).toBe(1)
  })
})

describe('@google/genai', () => {
  const client = (apiKey = key): GoogleGenAI =>
    new GoogleGenAI({ apiKey, httpOptions: { baseUrl: world.url } })
  const asked = { model: 'gemini-2.5-flash', contents: 'hello' }

  test('generateContent, streamed and not', async () => {
    const answer = await client().models.generateContent(asked)
    expect(answer.text).toMatch(/\w+/)
    let text = ''
    for await (const chunk of await client().models.generateContentStream(asked)) text += chunk.text
    expect(text).toMatch(/\w+/)
  })

  test('tools and embeddings', async () => {
    const answer = await client().models.generateContent({
      ...asked,
      contents: 'use the tool: weather?',
      config: {
        tools: [
          {
            functionDeclarations: [
              {
                name: 'weather',
                parameters: {
                  type: Type.OBJECT,
                  properties: { city: { type: Type.STRING } },
                  required: ['city'],
                },
              },
            ],
          },
        ],
      },
    })
    expect(answer.functionCalls?.[0]).toMatchObject({ name: 'weather', args: { city: 'Berlin' } })
    const { embeddings } = await client().models.embedContent({
      model: 'gemini-embedding-001',
      contents: 'hello',
    })
    expect(embeddings?.[0]?.values?.length).toBeGreaterThan(8)
  })

  test('a hard stop is one request', async () => {
    const requests = await requestsOf(() =>
      expect(client(broke).models.generateContent(asked)).rejects.toMatchObject({ status: 402 }),
    )
    expect(requests).toBe(1)
  })
})

test('each SDK lists the models it can call, and no others', async () => {
  const openai = await new OpenAI({ apiKey: key, baseURL: `${world.url}/v1` }).models.list()
  const anthropic = await new Anthropic({ apiKey: key, baseURL: world.url }).models.list()
  const genai = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: world.url } })
  const google: (string | undefined)[] = []
  for await (const { name } of await genai.models.list()) google.push(name)
  expect(openai.data.map(({ id }) => id)).toContain('gpt-5-mini')
  expect(anthropic.data.map(({ id }) => id)).toContain('claude-haiku-4-5')
  expect(google).toContain('models/gemini-2.5-flash')
})

describe('ai', () => {
  const models = (apiKey = key) => ({
    openai: createOpenAI({ apiKey, baseURL: `${world.url}/v1` })('gpt-5-mini'),
    'openai chat': createOpenAI({ apiKey, baseURL: `${world.url}/v1` }).chat('gpt-5-mini'),
    anthropic: createAnthropic({ apiKey, baseURL: world.url })('claude-haiku-4-5'),
    google: createGoogleGenerativeAI({ apiKey, baseURL: `${world.url}/v1beta` })(
      'gemini-2.5-flash',
    ),
  })
  const names = ['openai', 'openai chat', 'anthropic', 'google'] as const

  test.each(names)('%s: generateText and streamText', async (name) => {
    const { text, usage } = await generateText({ model: models()[name], prompt: 'hello' })
    expect(text).toMatch(/\w+/)
    expect(usage.outputTokens).toBeGreaterThan(0)
    const streamed = streamText({ model: models()[name], prompt: 'hello' })
    expect(await streamed.text).toMatch(/\w+/)
  })

  test.each(names)('%s: tools', async (name) => {
    const { toolCalls } = await generateText({
      model: models()[name],
      prompt: 'use the tool: weather?',
      tools: { weather: tool({ description: 'weather', inputSchema: jsonSchema(weather) }) },
    })
    expect(toolCalls[0]).toMatchObject({ toolName: 'weather' })
  })

  test('embeddings', async () => {
    const provider = createOpenAI({ apiKey: key, baseURL: `${world.url}/v1` })
    const { embedding } = await embed({
      model: provider.embeddingModel('text-embedding-3-small'),
      value: 'hello',
    })
    expect(embedding.length).toBeGreaterThan(8)
  })

  test.each(names)('%s: a hard stop is one request', async (name) => {
    const requests = await requestsOf(() =>
      expect(generateText({ model: models(broke)[name], prompt: 'hello' })).rejects.toMatchObject({
        statusCode: 402,
      }),
    )
    expect(requests).toBe(1)
  })
})
