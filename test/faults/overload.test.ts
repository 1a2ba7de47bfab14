/** More than Bursar takes: what is refused, what is not touched, and that it ends. */
import { expect, test } from 'vitest'
import { auditBooks, call, chatBody, startWorld, until } from '#test/support/bursar.ts'

const config = 'budgets: [{ name: all, budget_yearly_usd: 100000 }]\n'
const path = '/v1/chat/completions'
const slow = { 'bursar-sim': 'delay=1500' }
/** Above what goes the short way, so that it is refused before it is read. */
const long = 'x'.repeat(80_000)

test.each([
  ['a plain call', 'hi'],
  ['a large one', long],
])('as many calls as there is room for; %s beyond is refused, unsent', async (_name, text) => {
  await using world = await startWorld({ config, limits: { callsMax: 2 } })
  const key = await world.key()
  const first = [1, 2].map((no) => call(world, key, path, chatBody(`call ${no}`), slow))
  await until('2 holds', async () => (await world.bursar.store.openHolds()) === 2)

  const beyond = await call(world, key, path, chatBody(text))
  expect(beyond.status).toBe(503)
  expect(beyond.text).toContain('"code":"overloaded"')
  expect(Number(beyond.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(await world.bursar.store.openHolds()).toBe(2)
  // The admin side is not counted: an operator gets in while callers do not.
  expect(await world.api('/budgets')).toMatchObject([{ name: 'all a year' }])

  expect((await Promise.all(first)).map(({ status }) => status)).toEqual([200, 200])
  expect((await call(world, key, path, chatBody(text))).status).toBe(200)
  expect(world.simulator.requests()).toBe(3)
  expect(await auditBooks(world)).toBe(0)
})
