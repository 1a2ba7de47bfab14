/**
 * Rows B1 to B4 of the threat model: callers that take their time. The limits are those of the
 * program, shortened: what takes a minute there takes a fraction of a second here.
 */
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { auditBooks, call, chatBody, startWorld, until, type World } from '#test/support/bursar.ts'
import { growthOf } from '#test/support/memory.ts'
import { chatAnswer, httpAnswer, startRawProvider } from '#test/support/provider.ts'
import { open, raw, statusesOf } from '#test/support/raw.ts'

const config = 'budgets: [{ name: all, budget_yearly_usd: 100000 }]\n'
const connections = { headersMs: 300, requestMs: 600, keepAliveMs: 300, checkMs: 30 }
const path = '/v1/chat/completions'
const body = JSON.stringify(chatBody('hi', { max_tokens: 5 }))
const line = `POST ${path} HTTP/1.1\r\n`

/** Sends `first`, then `drip` every 20 ms until the server closes; what it said, and when. */
async function dripping(
  world: World,
  first: string,
  drip: string,
): Promise<{ statuses: readonly number[]; ms: number }> {
  const began = performance.now()
  const socket = open(world.url)
  let text = ''
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
  })
  socket.on('error', () => {})
  socket.write(first)
  const timer = setInterval(() => socket.write(drip), 20)
  await once(socket, 'close').finally(() => clearInterval(timer))
  return { statuses: statusesOf(text), ms: performance.now() - began }
}

const slow: Readonly<Record<string, readonly [first: string, drip: string, statuses: number[]]>> = {
  'B1: a request line a byte at a time': ['POST /', 'v', [408]],
  'B1: headers without end': [`${line}host: x\r\n`, 'x-a: b\r\n', [408]],
  'B1: a header a byte at a time': [`${line}host: x\r\nx-a: `, 'b', [408]],
  'B2: a body a byte at a time': [
    `${line}host: x\r\nx-api-key: KEY\r\ncontent-length: 500\r\n\r\n`,
    ' ',
    [408],
  ],
  'B2: chunks of a byte': [
    `${line}host: x\r\nx-api-key: KEY\r\ntransfer-encoding: chunked\r\n\r\n`,
    '1\r\n \r\n',
    [408],
  ],
}

test.each(Object.entries(slow))('%s is 408', async (_name, [first, drip, statuses]) => {
  await using world = await startWorld({ config, connections })
  const key = await world.key()
  const answer = await dripping(world, first.replace('KEY', key), drip)
  expect(answer.statuses).toEqual(statuses)
  expect(answer.ms).toBeLessThan(3000)
  expect(world.simulator.requests()).toBe(0)
  // There is no hold before the body is whole.
  expect(await world.bursar.store.recentHolds(1)).toEqual([])
})

test('B1: connections that say nothing are closed', async () => {
  await using world = await startWorld({ config, connections })
  expect(await raw(world.url, '', { waitMs: 3000 })).toMatchObject({ closed: true, text: '' })
  const key = await world.key()
  const head = `${line}host: x\r\nx-api-key: ${key}\r\ncontent-length: ${body.length}\r\n\r\n`
  const after = await raw(world.url, head + body, { waitMs: 3000 })
  expect(after).toMatchObject({ closed: true, statuses: [200] })
})

test('B1, B2: HTTP/2 has the same limits', async () => {
  await using world = await startWorld({ config, connections })
  const key = await world.key()
  const idle = connectHttp2(world.url)
  await once(idle, 'close')
  const session = connectHttp2(world.url)
  const stream = session.request({ ':method': 'POST', ':path': path, 'x-api-key': key })
  stream.on('error', () => {})
  const drip = setInterval(() => stream.write(' '), 20)
  await once(stream, 'close').finally(() => clearInterval(drip))
  session.close()
  expect(await world.bursar.store.recentHolds(1)).toEqual([])
  // A preface and nothing behind it.
  const bytes = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
  expect((await raw(world.url, bytes, { waitMs: 3000 })).closed).toBe(true)
})

test('B1: two thousand slow connections do not stop a good one', async () => {
  await using world = await startWorld({ config, connections: { headersMs: 60_000 } })
  const key = await world.key()
  const sockets = Array.from({ length: 2000 }, () => open(world.url))
  await Promise.all(sockets.map((socket) => once(socket, 'connect')))
  for (const socket of sockets) socket.write(`${line}host: x\r\n`)
  for (let i = 0; i < 50; i += 1) {
    expect((await call(world, key, path, chatBody('hi'))).status).toBe(200)
  }
  for (const socket of sockets) socket.destroy()
})

test('B4: idle connections beyond the number that is served give way, calls do not', async () => {
  const connections = { connectionsMax: 10, givesWayMs: 100 }
  await using world = await startWorld({ config, connections })
  const key = await world.key()
  const idle = Array.from({ length: 30 }, () => open(world.url))
  for (const socket of idle) socket.on('error', () => {})
  const no = (): boolean => false
  const isUp = (): Promise<boolean> => fetch(`${world.url}/healthz`).then(({ ok }) => ok, no)
  await until('10 are left', () => idle.filter(({ destroyed }) => destroyed).length >= 20)
  await until('they give way', isUp)
  // What has just come or been used is not idle yet: so long it has a claim to its place.
  const idleFrom = async (at: number): Promise<void> =>
    until('they are idle', () => Date.now() - at > 2 * connections.givesWayMs)
  await idleFrom(Date.now())
  // Some that have spoken, and were served by node:http.
  const spoken = Array.from({ length: 8 }, () => open(world.url))
  for (const socket of spoken) {
    socket.on('error', () => {})
    socket.write('GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n')
  }
  await Promise.all(spoken.map((socket) => once(socket, 'data')))
  expect(await isUp()).toBe(true)

  await idleFrom(Date.now())
  // Ten calls under way fill it: the eleventh connection finds no room.
  const calls = Array.from({ length: 10 }, () =>
    call(world, key, path, chatBody('hi'), { 'bursar-sim': 'delay=1000' }),
  )
  await until('10 holds', async () => (await world.bursar.store.openHolds()) === 10)
  expect(await isUp()).toBe(false)
  expect((await Promise.all(calls)).map(({ status }) => status)).toEqual(calls.map(() => 200))
  await until('there is room again', isUp)
  for (const socket of [...idle, ...spoken]) socket.destroy()
})

test('B4: answers that HTTP/2 callers have no window for give way, and end', async () => {
  const connections = { connectionsMax: 10, givesWayMs: 100 }
  await using world = await startWorld({ config, connections, limits: { stalledMs: 700 } })
  const no = (): boolean => false
  const isUp = (): Promise<boolean> => fetch(`${world.url}/healthz`).then(({ ok }) => ok, no)
  const open = async (): Promise<ClientHttp2Session> => {
    const session = connectHttp2(world.url, { settings: { initialWindowSize: 0 } })
    session.on('error', () => {})
    const stream = session.request({ ':method': 'POST', ':path': path, 'content-length': '2' })
    stream.on('error', () => {})
    stream.end('{}')
    // Its head has come: its answer, that it has no key, is complete but for being taken.
    await once(stream, 'response')
    return session
  }
  const sessions = await Promise.all(Array.from({ length: 10 }, open))
  await until('they give way', isUp)
  const last = await open()
  const stalled = last.request({ ':method': 'POST', ':path': path, 'content-length': '2' })
  stalled.on('error', () => {})
  stalled.end('{}')
  await once(stalled, 'close')
  for (const session of [...sessions, last]) session.destroy()
})

test.each([
  ['half a plain call', `${line}host: x\r\ncontent-length: 100\r\n\r\n{`],
  ['half a call by the long way', `${line}host: x\r\nte: x\r\ncontent-length: 100\r\n\r\n{`],
  ['half a head', `${line}host: x\r\nx-`],
  ['HTTP/2 without a request', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0'],
])('B4: a crowd of %s gives way to an operator', async (_name, text) => {
  const connections = { connectionsMax: 10, givesWayMs: 100 }
  await using world = await startWorld({ config, connections })
  const crowd = Array.from({ length: 10 }, () => open(world.url))
  for (const socket of crowd) {
    socket.on('error', () => {})
    socket.write(text, 'latin1')
  }
  await until('they give way', () =>
    fetch(`${world.url}/healthz`).then(
      ({ ok }) => ok,
      () => false,
    ),
  )
  // And a call gets in, of whoever has a key. An operator's connection that rests gives way too:
  // who meets that asks again.
  await until('a call is served', async () => {
    try {
      const key = await world.key()
      return (await call(world, key, path, chatBody('hi'))).status === 200
    } catch {
      return false
    }
  })
  for (const socket of crowd) socket.destroy()
})

test('B2: a body a byte at a time costs its bytes, not an object for each', async () => {
  await using world = await startWorld({ config })
  const key = await world.key()
  const bytes = 60_000
  const body = JSON.stringify(chatBody('x')).padEnd(bytes)
  const chunks = `${[...body].map((byte) => `1\r\n${byte}\r\n`).join('')}0\r\n\r\n`
  const who = `host: x\r\nauthorization: Bearer ${key}\r\n`
  const head = `${line}${who}transfer-encoding: chunked\r\n\r\n`
  const sockets: ReturnType<typeof open>[] = []
  const grown = await growthOf(async () => {
    for (let no = 0; no < 20; no += 1) {
      const socket = open(world.url)
      socket.on('error', () => {})
      sockets.push(socket)
      // All but its end: the body is held meanwhile.
      await new Promise<void>((done) => socket.write(head + chunks.slice(0, -5), () => done()))
    }
    for (const socket of sockets) {
      socket.write(chunks.slice(-5))
      const [said] = await once(socket, 'data')
      expect(String(said)).toMatch(/^HTTP\/1.1 200 /)
    }
  })
  expect(grown / (sockets.length * bytes)).toBeLessThan(50)
  for (const socket of sockets) socket.destroy()
})

const streamed = JSON.stringify(chatBody('hi', { max_tokens: 50, stream: true }))

/** Asks for a stream and reads nothing of it. */
function deaf(world: World, key: string, text: string): ReturnType<typeof open> {
  const socket = open(world.url)
  socket.on('error', () => {})
  const head = `${line}host: x\r\nx-api-key: ${key}\r\ncontent-length: ${text.length}\r\n\r\n`
  socket.write(head + text)
  socket.pause()
  return socket
}

test('B3: who stops reading holds the provider back, and is dropped; the call ends', async () => {
  let written = 0
  await using provider = await startRawProvider((socket) => {
    const chunk = `data: {"choices":[{"delta":{"content":"${'x'.repeat(60_000)}"}}]}\n\n`
    const piece = `${chunk.length.toString(16)}\r\n${chunk}\r\n`
    socket.write(httpAnswer(['content-type: text/event-stream', 'transfer-encoding: chunked'], ''))
    const more = (): void => {
      if (socket.destroyed) return
      written += piece.length
      socket.write(piece, () => setImmediate(more))
    }
    more()
  })
  await using world = await startWorld({
    config,
    providerUrl: provider.url,
    limits: { stalledMs: 3000, drainMs: 200 },
  })
  const key = await world.key()
  const sockets: ReturnType<typeof open>[] = []
  const grown = await growthOf(async () => {
    for (let i = 0; i < 4; i += 1) sockets.push(deaf(world, key, streamed))
    await until('all are under way', async () => (await world.bursar.store.openHolds()) === 4)
    // Once the pipes are full the provider can write no more.
    await until('nothing moves', async () => {
      const before = written
      await new Promise((resolve) => setTimeout(resolve, 100))
      return written === before
    })
    await until('all have ended', async () => (await world.bursar.store.openHolds()) === 0, 30_000)
  })
  expect(grown).toBeLessThan(64 * 1024 * 1024)
  const holds = await world.bursar.store.recentHolds(100)
  expect(holds.map(({ basis }) => basis)).toEqual(Array(4).fill('presumed'))
  expect(await auditBooks(world)).toBe(0)
  for (const socket of sockets) socket.destroy()
})

test('B3: who stops reading a long document is dropped too', async () => {
  await using provider = await startRawProvider((socket) => {
    const text = chatAnswer('x'.repeat(20 * 1024 * 1024))
    socket.write(
      httpAnswer(['content-type: application/json', `content-length: ${text.length}`], text),
    )
  })
  await using world = await startWorld({
    config,
    providerUrl: provider.url,
    limits: { stalledMs: 300 },
    connections: { checkMs: 30 },
  })
  const key = await world.key()
  const socket = deaf(world, key, body)
  // Unread bytes keep a connection's end from being seen: what is left of it is looked at at last.
  await until(
    'it is settled',
    async () => (await world.bursar.store.recentHolds(1))[0]?.basis === 'actual',
  )
  await new Promise((resolve) => setTimeout(resolve, 600))
  let bytes = 0
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length
  })
  socket.resume()
  await once(socket, 'close')
  expect(bytes).toBeLessThan(20 * 1024 * 1024)
})

test('B3: who reads slowly but steadily gets it all', async () => {
  await using world = await startWorld({ config, limits: { stalledMs: 500 } })
  const key = await world.key()
  const text = JSON.stringify(chatBody('hi', { stream: true, max_tokens: 20_000 }))
  const socket = open(world.url)
  const sim = 'bursar-sim: tokens=20000; chunks=20000; pace=0'
  const head = `${line}host: x\r\nx-api-key: ${key}\r\n${sim}\r\nconnection: close\r\n`
  socket.write(`${head}content-length: ${text.length}\r\n\r\n${text}`)
  let tail = ''
  let sum = 0
  socket.on('data', (chunk: Buffer) => {
    tail = (tail + chunk.toString('latin1')).slice(-500)
    sum += chunk.length
    if (sum < 250_000) return
    sum = 0
    socket.pause()
    setTimeout(() => socket.resume(), 50)
  })
  await once(socket, 'close')
  expect(tail).toContain('[DONE]')
  expect(tail).toContain(': bursar ')
  expect(await auditBooks(world)).toBe(0)
})
