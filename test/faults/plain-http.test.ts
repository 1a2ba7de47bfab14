/**
 * The short way against `node:http`: whatever bytes a connection brings, in whatever pieces, both
 * must read the same requests in them, or the short way must have left them to the other.
 */
import { connect } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { headersOf, readBody } from '#gateway/node-http.ts'
import { type Listener, listen, type RequestHandler } from '#gateway/listener.ts'
import type { PlainDoor } from '#gateway/plain-http.ts'
import type { ClientRequest } from '#ports/client.ts'
import { matchEndpoint } from '#wire/routes.ts'

const runs = process.env.BURSAR_LONG === '1' ? 100_000 : 4000

/** What a reader understood of a request: its answer says so. */
function echoed({ method, target, headers, body }: ClientRequest): Buffer {
  return Buffer.from(
    JSON.stringify({
      method,
      target,
      headers: Object.entries(headers),
      body: Buffer.from(body).toString('latin1'),
    }),
  )
}

const handle: RequestHandler = async (request, response) => {
  const body = await readBody(request, 100_000, () => true)
  if (typeof body === 'string') return void response.destroy()
  const { method = '', url: target = '' } = request
  const text = echoed({ method, target, headers: headersOf(request), body })
  response.writeHead(200, { 'content-length': text.length })
  response.end(text)
}

let plainCalls = 0
const endpoint = matchEndpoint('POST', '/v1/chat/completions')
const plain: PlainDoor = {
  bodyBytesMax: 64 * 1024,
  stalledMs: 60_000,
  takeBytes: () => true,
  giveBytes: () => {},
  open: () => (endpoint.kind === 'endpoint' ? { endpoint: endpoint.endpoint, caller: 'a' } : null),
  serve: async (_opening, request, client) => {
    plainCalls += 1
    const text = echoed(request)
    // As a call does: not in the turn in which it arrived.
    await new Promise((resolve) => setImmediate(resolve))
    client.start(200, { 'content-length': String(text.length) })
    client.write(text)
    client.end()
    return 0
  },
}

/** Long beside what a whole request takes here: only those that never end meet a limit. */
const limits = { headersMs: 2000, requestMs: 2000, keepAliveMs: 2000, checkMs: 50 }
const atOnce = 500
let full: Listener
let short: Listener
beforeAll(async () => {
  full = await listen({ host: '127.0.0.1', port: 0, handle, limits })
  short = await listen({ host: '127.0.0.1', port: 0, handle, plain, limits })
})
afterAll(() => Promise.all([full.close(0), short.close(0)]))

interface Heard {
  readonly answers: readonly string[]
  readonly rest: string
}

/** Status and body of each answer, until the server closes: every one of ours does. */
function exchange(port: number, pieces: readonly Buffer[]): Promise<Heard> {
  return new Promise((resolve) => {
    let text = ''
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(answersIn(text)))
    socket.on('connect', async () => {
      for (const piece of pieces) {
        socket.write(piece)
        await new Promise((next) => setImmediate(next))
      }
    })
  })
}

function answersIn(text: string): Heard {
  const answers: string[] = []
  let rest = text
  for (;;) {
    const end = rest.indexOf('\r\n\r\n')
    const status = /^HTTP\/1\.1 (\d{3}) /.exec(rest)?.[1]
    if (end === -1 || status === undefined) return { answers, rest }
    const head = rest.slice(0, end)
    // Node's own refusals have an empty body in chunks.
    const chunked = /\r\ntransfer-encoding: chunked/i.test(head)
    const length = chunked ? 5 : Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0)
    // Which of two reasons a refusal has may depend on what came in one piece.
    const body = status === '200' ? rest.slice(end + 4, end + 4 + length) : ''
    answers.push(`${status} ${body}`)
    rest = rest.slice(end + 4 + length)
  }
}

// Not `expect`: of a request sent ahead `node:http` writes its 100 into the answer under way.
const header = fc.constantFrom(
  'authorization: Bearer vk_x',
  'X-Api-Key: vk_y',
  'content-type: application/json',
  'Content-Type:application/json',
  'connection: keep-alive',
  'Connection: close',
  'connection: upgrade, keep-alive',
  'transfer-encoding: chunked',
  'Transfer-Encoding: identity',
  'transfer-encoding : chunked',
  'content-length: 3',
  'content-length: +3',
  'content-length: 3, 3',
  'content-length: 0x3',
  'upgrade: h2c',
  'host: other',
  'bursar-user: a b',
  'x-space:   padded  ',
  'x-empty:',
  'x-tab: a\tb',
  'x-high: caf\u00e9',
  'x-nul: a\0b',
  ' folded: yes',
  'no colon',
  ': no name',
  'bad name: x',
  'x-bare: a\rb',
  'x-line: a\nb',
)
const line = fc.constantFrom(
  'POST /v1/chat/completions HTTP/1.1',
  'POST /v1/messages?beta=true HTTP/1.1',
  'POST / HTTP/1.1',
  'POST http://x/v1/messages HTTP/1.1',
  'POST /a b HTTP/1.1',
  'POST /caf\u00e9 HTTP/1.1',
  'POST /v1 HTTP/1.0',
  'POST /v1 HTTP/1.2',
  'POST /v1  HTTP/1.1',
  'POST\t/v1 HTTP/1.1',
  'GET /v1/models HTTP/1.1',
  'post /v1 HTTP/1.1',
  'PUT /v1 HTTP/1.1',
)
const body = fc.string({
  unit: fc.constantFrom('a', '{', '\r', '\n', ' ', '0', 'P'),
  maxLength: 40,
})

const plainRequest = fc
  .tuple(body, fc.array(fc.constantFrom('x-a: 1', 'X-B:2', 'x-a: 3'), { maxLength: 3 }))
  .map(
    ([text, more]) =>
      request('POST /v1/chat/completions HTTP/1.1', [
        'host: x',
        ...more,
        `content-length: ${text.length}`,
      ]) + text,
  )
const oddRequest = fc
  .tuple(line, fc.array(header, { maxLength: 3 }), body, fc.nat(3), fc.boolean())
  .map(([first, more, text, off, hasHost]) => {
    const length = `content-length: ${off === 0 ? text.length + 1 : text.length}`
    return request(first, [...(hasHost ? ['host: x'] : []), ...more, length]) + text
  })

function request(first: string, headers: readonly string[]): string {
  return `${[first, ...headers].join('\r\n')}\r\n\r\n`
}

/** A byte changed, left out or doubled somewhere. */
const damaged = fc
  .tuple(plainRequest, fc.nat(), fc.nat(255), fc.constantFrom('change', 'drop', 'double'))
  .map(([text, where, byte, how]) => {
    const at = where % text.length
    const put = how === 'drop' ? '' : how === 'double' ? text.charAt(at).repeat(2) : chr(byte)
    return text.slice(0, at) + put + text.slice(at + 1)
  })
const chr = (code: number): string => String.fromCharCode(code)

const last = request('POST /last HTTP/1.1', ['host: x', 'connection: close', 'content-length: 0'])
const connection = fc.record({
  requests: fc.array(fc.oneof({ weight: 3, arbitrary: plainRequest }, oddRequest, damaged), {
    minLength: 1,
    maxLength: 4,
  }),
  cuts: fc.array(fc.nat(400), { maxLength: 3 }),
})

function piecesOf(bytes: Buffer, cuts: readonly number[]): readonly Buffer[] {
  const places = [0, ...cuts.toSorted((a, b) => a - b), bytes.length].map((at) =>
    Math.min(at, bytes.length),
  )
  return places.slice(1).map((to, i) => bytes.subarray(places[i], to))
}

/**
 * Where rubbish comes, a connection is given up, sooner or later: `node:http` forgets answers that
 * are not written yet. Then neither has read the last request, and what both have read is the same.
 */
function comparable(byUs: Heard, byNode: Heard): Heard {
  const served = ({ answers }: Heard): readonly string[] =>
    answers.filter((answer) => answer.startsWith('200'))
  const [ours, nodes] = [served(byUs), served(byNode)]
  const isToTheEnd = [...ours, ...nodes].some((answer) => answer.includes('"target":"/last"'))
  const isAlike = nodes.every((answer, i) => answer === (ours[i] ?? answer))
  return !isToTheEnd && isAlike ? byNode : byUs
}

test(`${runs} connections are read alike by the short way and by node:http`, async () => {
  const cases = fc.sample(connection, { numRuns: runs, seed: 20_261_125 })
  const one = async ({ requests, cuts }: (typeof cases)[number]): Promise<void> => {
    const bytes = Buffer.from(requests.join('') + last, 'latin1')
    const pieces = piecesOf(bytes, cuts)
    const [byNode, byUs] = await Promise.all([
      exchange(full.port, pieces),
      exchange(short.port, pieces),
    ])
    expect(comparable(byUs, byNode), JSON.stringify({ requests, cuts })).toEqual(byNode)
  }
  for (let from = 0; from < cases.length; from += atOnce) {
    await Promise.all(cases.slice(from, from + atOnce).map(one))
  }
  expect(plainCalls).toBeGreaterThan(runs / 4)
})
