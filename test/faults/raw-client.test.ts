/**
 * Rows A4, B4, B14, B15, B17 and B23 of the threat model: requests that no HTTP client would send.
 * What two readers could take for two different requests is answered 4xx, its connection is closed,
 * and nothing of it reaches a provider.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { auditBooks, chatBody, startWorld, until, type World } from '#test/support/bursar.ts'
import { raw } from '#test/support/raw.ts'

const config = 'budgets: [{ name: all, budget_yearly_usd: 100000 }]\n'
const body = JSON.stringify(chatBody('hi', { max_tokens: 5 }))
const size = body.length
const hex = size.toString(16)
const chunks = `${hex}\r\n${body}\r\n0\r\n\r\n`
const line = 'POST /v1/chat/completions HTTP/1.1'
const length = `content-length: ${size}`
const chunked = 'transfer-encoding: chunked'

let world: World
let key = ''

beforeAll(async () => {
  world = await startWorld({ config })
  key = await world.key()
})

afterAll(() => world[Symbol.asyncDispose]())

/** A request with our key and host, these lines, and this after the blank line. */
const request = (lines: readonly string[], rest = body, first = line): string =>
  [first, 'host: x', 'x-api-key: KEY', ...lines, '', rest].join('\r\n')

interface Case {
  readonly bytes: string
  /** Empty: the connection is closed without a word. */
  readonly statuses: readonly number[]
  /** Whether the server closes the connection. */
  readonly closed: boolean
  readonly sent: number
}

const refused = (bytes: string, ...statuses: readonly number[]): Case => ({
  bytes,
  statuses: statuses.length === 0 ? [400] : statuses,
  closed: true,
  sent: 0,
})
const cut = (bytes: string): Case => ({ bytes, statuses: [], closed: true, sent: 0 })
/** No framing is in doubt: the answer is no, and the connection may be used again. */
const kept = (bytes: string, status: number): Case => ({
  bytes,
  statuses: [status],
  closed: false,
  sent: 0,
})
const served = (bytes: string, closed = false, times = 1): Case => ({
  bytes,
  statuses: Array(times).fill(200),
  closed,
  sent: times,
})

const framing: Readonly<Record<string, Case>> = {
  'B14: both lengths, length first': refused(request([length, chunked], chunks)),
  'B14: both lengths, chunked first': refused(request([chunked, length], chunks)),
  'B14: both lengths, length 0': refused(request(['content-length: 0', chunked], chunks)),
  'B14: a space before the colon of transfer-encoding': refused(
    request(['transfer-encoding : chunked', length]),
  ),
  'B14: a transfer encoding nobody knows': refused(
    request(['transfer-encoding: xchunked'], chunks),
  ),
  'B14: identity as transfer encoding': refused(request(['transfer-encoding: identity'], chunks)),
  'B14: gzip before chunked': refused(request(['transfer-encoding: gzip, chunked'], chunks)),
  'B14: gzip after chunked': refused(request(['transfer-encoding: chunked, gzip'], chunks)),
  'B14: chunked twice': refused(request([chunked, chunked], chunks)),
  'B14: chunked twice in one line': refused(request([`${chunked}, chunked`], chunks)),
  'B14: chunked, then identity': refused(request([chunked, 'transfer-encoding: identity'], chunks)),
  'B14: a vertical tab before chunked': refused(request(['transfer-encoding:\vchunked'], chunks)),
  'B14: chunked in quotes': refused(request(['transfer-encoding: "chunked"'], chunks)),
  'B14: chunked and a comma': refused(request([`${chunked},`], chunks)),
  'B14: chunked with a parameter': refused(request([`${chunked};q=1`], chunks)),
  'B14: chunked on a folded line': refused(request(['transfer-encoding:\r\n chunked'], chunks)),
  'B14: chunked and NUL': refused(request([`${chunked}\0`], chunks)),
  'B14: chunked in HTTP/1.0': refused(request([chunked], chunks, line.replace('1.1', '1.0'))),
  'B14: two equal lengths': refused(request([length, length])),
  'B14: two different lengths': refused(request([length, 'content-length: 0'])),
  'B14: two lengths in one line': refused(request([`${length}, ${size}`])),
  'B14: a length with a plus': refused(request([`content-length: +${size}`])),
  'B14: a negative length': refused(request(['content-length: -1'])),
  'B14: a hexadecimal length': refused(request(['content-length: 0x10'])),
  'B14: a length beyond 64 bits': refused(request(['content-length: 99999999999999999999999'])),
  'B14: a length with a space in it': refused(request([`content-length: ${size} 5`])),
  'B14: an empty length': refused(request(['content-length: '])),
  'B14: a space before the colon of content-length': refused(request([`content-length : ${size}`])),
  'B14: a length far beyond what is read': refused(request(['content-length: 99999999999']), 413),
  'B14: bare line feeds': refused(request([length]).replaceAll('\r\n', '\n')),
  'B14: one bare line feed': refused(request(['x-a: b\nx-c: d', length])),
  'B14: a bare carriage return': refused(request(['x-a: b\rtransfer-encoding: chunked', length])),
  'B14: an end of headers by line feeds': refused(request(['x-a: b\n', length])),
  'B14: a folded header': refused(request([length, 'x-a: 1\r\n 2'])),
  'B14: a fold before the first header': refused(
    `${line}\r\n x: y\r\nhost: x\r\n${length}\r\n\r\n`,
  ),
  'B14: a negative chunk': refused(request([chunked], `-1\r\n${body}\r\n0\r\n\r\n`)),
  'B14: a chunk size with 0x': refused(request([chunked], `0x${chunks}`)),
  'B14: a chunk size beyond 64 bits': refused(
    request([chunked], `fffffffffffffffff\r\n${body}\r\n`),
  ),
  'B14: a space before a chunk size': refused(request([chunked], ` ${chunks}`)),
  'B14: a space behind a chunk size': refused(request([chunked], chunks.replace('\r', ' \r'))),
  'B14: a chunk size ended by a line feed': refused(request([chunked], chunks.replace('\r', ''))),
  'B14: a chunk that goes on': refused(request([chunked], `${hex}\r\n${body}XX0\r\n\r\n`)),
  'B14: a chunk longer than it says': refused(request([chunked], `1\r\n${body}\r\n0\r\n\r\n`)),
  'B14: no chunk size': refused(request([chunked], `\r\n${body}\r\n0\r\n\r\n`)),
  'B14: a line feed in a chunk extension': refused(
    request([chunked], `${hex};a\n=b\r\n${body}\r\n0\r\n\r\n`),
  ),
  'B14: a chunk extension of 20 kB': refused(
    request([chunked], `${hex};${'a'.repeat(20_000)}\r\n${body}\r\n0\r\n\r\n`),
  ),
  'B14: a length among the trailers': refused(
    request([chunked], `${hex}\r\n${body}\r\n0\r\ncontent-length: 5\r\n\r\n`),
  ),
  'B14: trailers of 40 kB': refused(
    request([chunked], `${hex}\r\n${body}\r\n0\r\nx: ${'a'.repeat(40_000)}\r\n\r\n`),
    431,
  ),
  'B14: a request behind a refused one is not read': refused(
    request([length, chunked], chunks) + request([length]),
  ),
}

const headers: Readonly<Record<string, Case>> = {
  'B15: Host twice': refused(request(['host: y', length])),
  'B15: the same Host twice': refused(request(['host: x', length])),
  'B15: no Host': refused(`${line}\r\nx-api-key: KEY\r\n${length}\r\n\r\n${body}`),
  'B15: Content-Type twice': refused(
    request(['content-type: application/json', 'content-type: text/plain', length]),
  ),
  'B15: Content-Encoding twice': refused(
    request(['content-encoding: identity', 'content-encoding: gzip', length]),
  ),
  'B15: Idempotency-Key twice': refused(
    request(['idempotency-key: a', 'idempotency-key: b', length]),
  ),
  'B15: Authorization twice': kept(
    request(['authorization: Bearer KEY', 'authorization: Bearer KEY', length]),
    400,
  ),
  'B15: a key twice': kept(request(['x-api-key: KEY', length]), 400),
  'B15: a claim twice': kept(request(['bursar-user: a', 'bursar-user: b', length]), 400),
  'A4: a Host that is a path': refused(request([length]).replace('host: x', 'host: x/../y@z')),
  'A4: an absolute target': kept(request([length], body, line.replace('/v1', 'http://x/v1')), 400),
  'A4: a fragment': kept(request([length], body, line.replace(' HTTP', '#x HTTP')), 400),
  'A4: a target of an authority': refused(request([length], body, 'POST x:80 HTTP/1.1')),
  'A4: a byte beyond ASCII in the path': refused(
    request([length], body, line.replace(' HTTP', '\xff HTTP')),
  ),
  'A4: NUL in the path': refused(request([length], body, line.replace('chat', 'ch\0at'))),
  'A4: a path of 40 kB': refused(
    request([length], body, `POST /v1/${'a'.repeat(40_000)} HTTP/1.1`),
    431,
  ),
  'B14: NUL in a value': refused(request(['x-a: a\0b', length])),
  'B14: NUL in a name': refused(request(['x\0a: b', length])),
  'B14: a control character in a value': refused(request(['x-a: a\x01b', length])),
  'B14: DEL in a value': refused(request(['x-a: a\x7fb', length])),
  'B14: no name': refused(request([': b', length])),
  'B14: no colon': refused(request(['abc', length])),
  'B14: a space in a name': refused(request(['x a: b', length])),
  'B14: a space before a colon': refused(request(['x-a : b', length])),
  'B14: HTTP/1.2': refused(request([length], body, line.replace('1.1', '1.2'))),
  'B14: HTTP/2.0 in words': refused(request([length], body, line.replace('1.1', '2.0'))),
  'B14: HTTP/0.9': refused(request([length], body, line.replace(' HTTP/1.1', ''))),
  'B14: tabs in the request line': refused(request([length], body, line.replaceAll(' ', '\t'))),
  'B14: a space before the request line': refused(` ${request([length])}`),
  'B14: a method nobody knows': refused(request([length], body, line.replace('POST', 'P@ST'))),
  'B14: a method in small letters': refused(request([length], body, line.replace('POST', 'post'))),
  'B14: TLS on a plain port': refused('\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'),
  'B14: a preface of HTTP/2 and rubbish': cut(`PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${'x'.repeat(99)}`),
  'B4: a header of 40 kB': refused(request([`x-a: ${'a'.repeat(40_000)}`, length]), 431),
  'B4: 300 headers': refused(request([...Array(300).fill('a: b'), length]), 431),
  'B4: 100,000 headers': refused(request([...Array(100_000).fill('a: b'), length]), 431),
  'B4: a key behind 210 headers': refused(
    [line, 'host: x', ...Array(210).fill('a: b'), 'x-api-key: KEY', length, '', body].join('\r\n'),
    431,
  ),
  'B17: TRACE': kept(request(['content-length: 0'], '', line.replace('POST', 'TRACE')), 404),
  'B17: CONNECT': cut(request(['content-length: 0'], '', 'CONNECT evil:443 HTTP/1.1')),
  'B17: OPTIONS *': kept(request(['content-length: 0'], '', 'OPTIONS * HTTP/1.1'), 400),
  'B17: an expectation nobody knows': kept(request(['expect: 200-maybe', length]), 417),
  'B23: a WebSocket': refused(request(['connection: upgrade', 'upgrade: websocket', length]), 426),
  'B23: h2c by upgrade': refused(
    request(['connection: upgrade, http2-settings', 'upgrade: h2c', 'http2-settings: AA', length]),
    426,
  ),
}

const fine: Readonly<Record<string, Case>> = {
  'B14: a length': served(request([length])),
  'B14: chunks': served(request([chunked], chunks)),
  'B14: chunks in capitals': served(request(['Transfer-Encoding: CHUNKED'], chunks)),
  'B14: a chunk extension': served(request([chunked], `${hex};a=b\r\n${body}\r\n0\r\n\r\n`)),
  'B14: a key among the trailers counts for nothing': served(
    request([chunked], `${hex}\r\n${body}\r\n0\r\nx-api-key: other\r\n\r\n`),
  ),
  'B14: empty lines first': served(`\r\n\r\n${request([length])}`),
  'B14: HTTP/1.0': served(request([length], body, line.replace('1.1', '1.0')), true),
  'B14: two requests at once': served(request([length]) + request([length]), false, 2),
  'B14: ten requests at once': served(request([length]).repeat(10), false, 10),
  'B17: Connection names our key': served(request(['connection: x-api-key', length])),
  'B17: the connection is closed where asked': served(request(['connection: close', length]), true),
  'B17: nothing is read behind what was to be the last': served(
    request(['connection: close', length]) + request([length]).repeat(3),
    true,
  ),
  'B4: 150 headers': served(request([...Array(150).fill('a: b'), length])),
}

const all = { ...framing, ...headers, ...fine }

test.each(Object.entries(all))('%s', async (_name, { bytes, statuses, closed, sent }) => {
  const before = world.simulator.requests()
  const answers = closed ? {} : { answers: statuses.length }
  const answer = await raw(world.url, bytes.replaceAll('KEY', key), { waitMs: 5000, ...answers })
  expect(answer.statuses).toEqual(statuses)
  expect(answer.closed).toBe(closed)
  expect(world.simulator.requests() - before).toBe(sent)
  expect(await auditBooks(world)).toBe(0)
})

test('there are at least 40 of these', () => {
  expect(Object.keys(all).length).toBeGreaterThanOrEqual(40)
})

test('B14: answers of requests sent at once come in their order, each with its own call', async () => {
  const texts = ['first', 'second', 'third'].map((word) => JSON.stringify(chatBody(word)))
  const directives = ['delay=60', 'delay=1', 'delay=20']
  const bytes = texts.map((text, i) =>
    request(
      [`content-length: ${text.length}`, `bursar-sim: ${directives[i]}; tokens=${i + 5}`],
      text,
    ),
  )
  const all = bytes.join('').replaceAll('KEY', key)
  const { text, statuses } = await raw(world.url, all, { waitMs: 5000, answers: 3 })
  expect(statuses).toEqual([200, 200, 200])
  const counts = [...text.matchAll(/"completion_tokens":(\d+)/g)].map(([, count]) => Number(count))
  expect(counts).toEqual([5, 6, 7])
  expect(new Set(text.match(/bursar-call-id: \w+/g)).size).toBe(3)
})

test('B14: rubbish behind a call does not get into its answer', async () => {
  const streamed = JSON.stringify(chatBody('hi', { max_tokens: 50, stream: true }))
  const slow = ['bursar-sim: tokens=50; chunks=10; pace=5', `content-length: ${streamed.length}`]
  const bytes = `${request(slow, streamed).replaceAll('KEY', key)}\x00 rubbish\r\n\r\n`
  const { text, statuses, closed } = await raw(world.url, bytes, { waitMs: 5000 })
  expect(closed).toBe(true)
  // Whole, and then the refusal of what came behind it.
  expect(statuses).toEqual([200, 400])
  expect(text.split('HTTP/1.1 400')[0]).toMatch(/data: \[DONE\][\s\S]*0\r\n\r\n$/)
  await until('it is settled', async () => (await auditBooks(world)) === 0)
})

test('B17: a body is waited for with 100 Continue, and counted like any other', async () => {
  const bytes = request(['expect: 100-continue', length]).replaceAll('KEY', key)
  const { statuses } = await raw(world.url, bytes, { waitMs: 5000, answers: 2 })
  expect(statuses).toEqual([100, 200])
})
