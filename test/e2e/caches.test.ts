import { expect, test } from 'vitest'
import { call, startWorld, type World } from '#test/support/bursar.ts'

const config = 'budgets: [{ name: all, budget_yearly_usd: 1000 }]\n'
/** More than the 1,024 tokens below which no provider caches. */
const long = 'a prefix that is the same in every call. '.repeat(200)

async function usageOf(world: World, answer: Awaited<ReturnType<typeof call>>) {
  const id = answer.headers.get('bursar-call-id')
  return ((await world.api(`/calls/${id}`)) as { usage: Record<string, number> }).usage
}

test('prompt caches of the three providers are metered and priced as they are billed', async () => {
  await using world = await startWorld({ config })
  const key = await world.key()
  const claude = (ttl?: string) =>
    call(world, key, '/v1/messages', {
      model: 'claude-sonnet-4-6',
      max_tokens: 50,
      messages: [{ role: 'user', content: 'hi' }],
      system: [
        {
          type: 'text',
          text: ttl === undefined ? long : `${ttl} ${long}`,
          cache_control: { type: 'ephemeral', ...(ttl === undefined ? {} : { ttl }) },
        },
      ],
    })
  const written = await usageOf(world, await claude())
  expect(written.cache_write_5m).toBeGreaterThan(1024)
  expect(await usageOf(world, await claude())).toMatchObject({ cache_read: written.cache_write_5m })
  const hour = await usageOf(world, await claude('1h'))
  expect(hour.cache_write_1h).toBeGreaterThan(1024)

  const gpt = () =>
    call(world, key, '/v1/chat/completions', {
      model: 'gpt-6-sol',
      messages: [{ role: 'user', content: long }],
    })
  expect((await usageOf(world, await gpt())).cache_write_5m).toBeGreaterThan(1024)
  const read = await usageOf(world, await gpt())
  expect(read.cache_read).toBeGreaterThan(1024)
  expect((read.cache_read ?? 0) % 128).toBe(0)

  const gemini = () =>
    call(world, key, '/v1beta/models/gemini-2.5-flash:generateContent', {
      contents: [{ role: 'user', parts: [{ text: long }] }],
    })
  expect((await usageOf(world, await gemini())).cache_read).toBe(0)
  expect((await usageOf(world, await gemini())).cache_read).toBeGreaterThan(1024)

  const [row] = (await world.api('/budgets')) as { posted_usd: string }[]
  expect(row?.posted_usd).toBe(world.simulator.bill().total_usd)
  const holds = await world.bursar.store.recentHolds(100)
  expect(holds.every(({ cost, amount }) => cost !== null && cost <= amount)).toBe(true)
})

test('a prompt above the step is held and charged at the dearer band', async () => {
  await using world = await startWorld({ config })
  const key = await world.key()
  for (const tokens of [200_000, 200_001]) {
    await call(
      world,
      key,
      '/v1beta/models/gemini-2.5-pro:generateContent',
      {
        contents: [{ role: 'user', parts: [{ text: 'x'.repeat(tokens + 10) }] }],
        generationConfig: { maxOutputTokens: 1000 },
      },
      { 'bursar-sim': `input=${tokens}; tokens=1000` },
    )
  }
  expect(world.simulator.bill().lines.map(({ cost_usd }) => cost_usd)).toEqual([
    '0.260000000',
    '0.515002500',
  ])
  const [row] = (await world.api('/budgets')) as { posted_usd: string }[]
  expect(row?.posted_usd).toBe(world.simulator.bill().total_usd)
})
