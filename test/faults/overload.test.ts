/** More than Bursar takes: what is refused, what is not touched, and that it ends. */
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { auditBooks, call, chatBody, startWorld, until } from '#test/support/bursar.ts'
import { raw, requestText } from '#test/support/raw.ts'

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

test('who is refused and has sent more ahead is not heard for a second', async () => {
  await using world = await startWorld({ config, limits: { callsMax: 1 } })
  const key = await world.key()
  const first = call(world, key, path, chatBody('hi'), slow)
  await until('a hold', async () => (await world.bursar.store.openHolds()) === 1)
  const body = JSON.stringify(chatBody('hi'))
  const lines = ['host: x', `x-api-key: ${key}`, `content-length: ${body.length}`]
  const request = requestText(`POST ${path} HTTP/1.1`, lines, body)
  const began = performance.now()
  const heard = await raw(world.url, request.repeat(2), { answers: 2, waitMs: 5000 })
  expect(performance.now() - began).toBeGreaterThanOrEqual(1000)
  expect(heard.statuses[0]).toBe(503)
  expect(heard.statuses.length).toBe(2)
  expect((await first).status).toBe(200)
})

test('one key cannot take all the room', async () => {
  await using world = await startWorld({ config, limits: { callsPerKeyMax: 2 } })
  const [loud, quiet] = [await world.key(), await world.key()]
  const first = [1, 2].map((no) => call(world, loud, path, chatBody(`call ${no}`), slow))
  await until('2 holds', async () => (await world.bursar.store.openHolds()) === 2)

  for (const text of ['hi', long]) {
    const beyond = await call(world, loud, path, chatBody(text))
    expect(beyond.status).toBe(429)
    expect(beyond.text).toContain('"code":"rate_limited"')
    expect(Number(beyond.headers.get('retry-after'))).toBeGreaterThan(0)
    expect((await call(world, quiet, path, chatBody(text))).status).toBe(200)
  }
  // A wrong key is told that it is wrong, not that another is busy.
  expect((await call(world, 'vk_wrong', path, chatBody('hi'))).status).toBe(401)
  expect((await Promise.all(first)).map(({ status }) => status)).toEqual([200, 200])
  expect(await auditBooks(world)).toBe(0)
})

test('bodies are held up to a bound, and their room comes back', async () => {
  await using world = await startWorld({ config, limits: { bodiesBytesMax: 100_000 } })
  const key = await world.key()
  const first = call(world, key, path, chatBody(long), slow)
  await until('a hold', async () => (await world.bursar.store.openHolds()) === 1)
  const beyond = await call(world, key, path, chatBody(long))
  expect(beyond.status).toBe(503)
  expect(beyond.text).toContain('"code":"overloaded"')
  expect((await call(world, key, path, chatBody('hi'))).status).toBe(200)
  expect((await first).status).toBe(200)

  // Whoever hangs up amid a body, again and again, keeps none of it.
  for (let i = 0; i < 10; i += 1) {
    const { hostname, port } = new URL(world.url)
    const socket = connect(Number(port), hostname)
    const head = `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\n`
    socket.write(`${head}content-type: application/json\r\ncontent-length: 90000\r\n\r\n`)
    await new Promise<void>((resolve) => socket.write('x'.repeat(70_000), () => resolve()))
    socket.destroy()
  }
  await until('the room is back', async () => {
    return (await call(world, key, path, chatBody(long))).status === 200
  })
  expect(await auditBooks(world)).toBe(0)
})

test('bodies that strangers announce and never send shut nobody out', async () => {
  const limits = { bodiesBytesMax: 300_000, bodiesBytesStrangersMax: 65_050 }
  await using world = await startWorld({ config, limits })
  const key = await world.key()
  const { hostname, port } = new URL(world.url)
  const sockets = Array.from({ length: 20 }, () => connect(Number(port), hostname))
  for (const socket of sockets) {
    socket.on('error', () => {})
    socket.write(
      `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer vk_no\r\n` +
        'content-type: application/json\r\ncontent-length: 65000\r\n\r\n{',
    )
  }
  // They are all read once another who came after them is answered.
  expect((await call(world, 'vk_wrong', path, chatBody('hi'))).status).toBe(503)
  expect((await call(world, key, path, chatBody('x'.repeat(60_000)))).status).toBe(200)
  for (const socket of sockets) socket.destroy()
})

test('what a turn of the loop has no time for begins later, and all of it begins', async () => {
  await using world = await startWorld({ config, limits: { turnMs: 0 } })
  const key = await world.key()
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, no) => call(world, key, path, chatBody(`call ${no}`))),
  )
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
  expect(world.simulator.requests()).toBe(50)
  expect(await auditBooks(world)).toBe(0)
})

test('calls that would wait too long are refused, unsent, and nobody else is', async () => {
  await using world = await startWorld({ config, limits: { turnMs: 0, queueMax: 5 } })
  const [loud, quiet] = [await world.key(), await world.key()]
  const flood = Array.from({ length: 200 }, (_, no) =>
    call(world, loud, path, chatBody(`call ${no}`)),
  )
  const others = Array.from({ length: 3 }, () => call(world, quiet, path, chatBody('hi')))
  const statuses = (await Promise.all(flood)).map(({ status }) => status)
  expect(statuses.filter((status) => status !== 200 && status !== 503)).toEqual([])
  expect((await Promise.all(others)).map(({ status }) => status)).toEqual([200, 200, 200])
  const served = statuses.filter((status) => status === 200).length
  expect(world.simulator.requests()).toBe(served + 3)
  expect((await call(world, loud, path, chatBody('hi'))).status).toBe(200)
  expect(await auditBooks(world)).toBe(0)
})
