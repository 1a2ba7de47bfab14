import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Client, ClientRequest } from '#ports/client.ts'
import { matchEndpoint } from '#wire/routes.ts'
import { PlainClient } from './plain-client.ts'
import { PlainConnection, type PlainDoor } from './plain-http.ts'

const server = createServer({ noDelay: true })
beforeAll(() => once(server.listen(0, '127.0.0.1'), 'listening'))
afterAll(() => server.close())

/** Two ends of a connection. */
async function pair(): Promise<{ caller: Socket; socket: Socket }> {
  const accepted = once(server, 'connection')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not listening')
  const caller = connect(address.port, '127.0.0.1')
  const [socket] = (await accepted) as [Socket]
  for (const end of [caller, socket]) end.on('error', () => {})
  return { caller, socket }
}

interface Served {
  readonly request: ClientRequest
  /** Answers it, and is done with it. */
  readonly finish: () => void
}

/** Calls wait until told to finish. */
function door(served: Served[]): PlainDoor {
  const matched = matchEndpoint('POST', '/v1/chat/completions')
  if (matched.kind !== 'endpoint') throw new Error('a call is a call')
  return {
    bodyBytesMax: 64 * 1024,
    stalledMs: 1000,
    takeBytes: () => true,
    giveBytes: () => {},
    open: () => ({ endpoint: matched.endpoint, caller: 'a' }),
    serve: (_opening, request, client) =>
      new Promise((resolve) => {
        const finish = (): void => {
          answer(client)
          resolve(0)
        }
        served.push({ request, finish })
      }),
  }
}

function answer(client: Client): void {
  client.start(200, { 'content-length': '2' })
  client.write(Buffer.from('ok'))
  client.end()
}

const limits = { requestMs: 1000, keepAliveMs: 1000 }

/** Bytes of one request, its number the body. */
function request(no: number): Buffer {
  const body = String(no)
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}`
  return Buffer.from(`${head}\r\nx-padding: ${'x'.repeat(900)}\r\n\r\n${body}`)
}

test('what is sent ahead is served in order, one at a time, and little of it is read', async () => {
  const { caller, socket } = await pair()
  const served: Served[] = []
  const all = Array.from({ length: 1000 }, (_, no) => request(no))
  let hasLeft = false
  new PlainConnection(socket, door(served), limits, () => {
    hasLeft = true
  })
  caller.resume()
  caller.write(Buffer.concat(all))
  let readBytes = 0
  // Until one is cut in two by where a read ends: that one is for the long way.
  for (let no = 0; !hasLeft && no < all.length; no += 1) {
    const came = (): boolean => served.length > no || hasLeft
    await expect.poll(came, { interval: 1, timeout: 5000 }).toBe(true)
    if (hasLeft) break
    // What the kernel has is there to be read: a turn is enough for who would.
    for (let turn = 0; turn < 3; turn += 1) await setImmediate()
    expect(Buffer.from(served[no]?.request.body ?? '').toString()).toBe(String(no))
    readBytes += all[no]?.length ?? 0
    // What may be kept, the read that went beyond it, and what a paused socket keeps of its own.
    expect(socket.bytesRead - readBytes).toBeLessThan(5 * 64 * 1024)
    served[no]?.finish()
  }
  expect(served.length).toBeGreaterThan(60)
  caller.destroy()
})

test('a reader that leaves no more than the last bytes of an answer has hung up too', async () => {
  const { caller, socket } = await pair()
  caller.pause()
  const client = new PlainClient(socket, () => {})
  client.start(200, {})
  client.write(Buffer.from('first'))
  const full = Buffer.alloc(1 << 20)
  while (!socket.writableNeedDrain) client.write(full)
  const before = Date.now()
  // As if what was written so far had been taken just now, and the end of it had not.
  client.drained()
  client.end()
  client.check(before + 30_000, 60_000)
  expect(socket.destroyed).toBe(false)
  client.check(Date.now() + 60_001, 60_000)
  expect(socket.destroyed).toBe(true)
  caller.destroy()
})
