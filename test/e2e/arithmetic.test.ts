import { Agent, request } from 'undici'
import { expect, test } from 'vitest'
import { auditBooks, call, startWorld } from '#test/support/bursar.ts'

const config = `organization: acme
budgets: [{ name: everything, budget_yearly_usd: 100000 }]
`
/** 15,000 input tokens need as many bytes of prompt: no tokenizer makes more tokens than bytes. */
const conversation = {
  model: 'claude-sonnet-4-5',
  max_tokens: 1500,
  messages: [{ role: 'user', content: 'a'.repeat(15_000) }],
}
const told = { 'bursar-sim': 'input=15000; tokens=1500; delay=0' }

test('15,000 in and 1,500 out on Claude Sonnet 4.5 cost exactly $0.067500000', async () => {
  await using world = await startWorld({ config })
  const answer = await call(world, await world.key(), '/v1/messages', conversation, told)
  expect(answer.headers.get('bursar-cost-usd')).toBe('0.067500000')
  const id = answer.headers.get('bursar-call-id') ?? ''
  const shown = (await world.api(`/calls/${id}`)) as { cost_usd: string }
  expect(shown.cost_usd).toBe('0.067500000')
  expect(world.simulator.bill().total_usd).toBe('0.067500000')
})

const calls = process.env.BURSAR_LONG === '1' ? 1_000_000 : 100_000

test(`${calls} such conversations cost exactly $${calls * 0.0675}: ledger, API and bill`, async () => {
  await using world = await startWorld({ config })
  const key = await world.key()
  const agent = new Agent({ connections: 64, pipelining: 1 })
  const body = JSON.stringify(conversation)
  const headers = { 'x-api-key': key, 'content-type': 'application/json', ...told }
  let left = calls
  const statuses = new Map<number, number>()
  const worker = async (): Promise<void> => {
    while (left-- > 0) {
      const answer = await request(`${world.url}/v1/messages`, {
        method: 'POST',
        headers,
        body,
        dispatcher: agent,
      })
      await answer.body.dump()
      statuses.set(answer.statusCode, (statuses.get(answer.statusCode) ?? 0) + 1)
    }
  }
  await Promise.all(Array.from({ length: 64 }, worker))
  await agent.close()
  const total = `${(calls * 675) / 10_000}.000000000`
  expect(Object.fromEntries(statuses)).toEqual({ 200: calls })
  const [budget] = (await world.api('/budgets')) as { posted_usd: string; pending_usd: string }[]
  expect(budget?.posted_usd).toBe(total)
  expect(budget?.pending_usd).toBe('0.000000000')
  expect(world.simulator.bill()).toMatchObject({ total_usd: total, calls })
  expect(await auditBooks(world)).toBe(0)
}, 600_000)
