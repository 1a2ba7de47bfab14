/**
 * Rows B6, B7, B14, B18 and B19 of the threat model, the other way round: a provider whose answers
 * no HTTP server would give. Each ends its call once, the caller gets an answer it can read, memory
 * stays bounded, and the next call gets its own answer and nothing of the one before.
 */
import type { Socket } from 'node:net'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { auditBooks, call, chatBody, startWorld, until } from '#test/support/bursar.ts'
import { growthOf } from '#test/support/memory.ts'
import {
  chatAnswer,
  goodAnswer,
  httpAnswer,
  type Script,
  startRawProvider,
} from '#test/support/provider.ts'

const config = 'budgets: [{ name: all, budget_yearly_usd: 100000 }]\n'
const timeouts = { firstByteMs: 400, idleMs: 400, totalMs: 1500 }
const path = '/v1/chat/completions'
const answer = chatAnswer('first call')
const size = answer.length
const json = 'content-type: application/json'
const sse = 'content-type: text/event-stream'
const length = `content-length: ${size}`
const chunked = 'transfer-encoding: chunked'
const chunk = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`
const chunks = `${chunk(answer)}0\r\n\r\n`
const event = (value: string): string => `data: ${value}\n\n`
const delta = '{"id":"c","model":"gpt-5-mini","choices":[{"index":0,"delta":{"content":"x"}}]}'
const usage =
  '{"id":"c","model":"gpt-5-mini","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":5}}'

const says =
  (bytes: string | Uint8Array): Script =>
  (socket) =>
    socket.write(bytes)
const ends =
  (bytes: string | Uint8Array): Script =>
  (socket) =>
    socket.end(bytes)
const headed = (lines: readonly string[], body: Uint8Array, line = 'HTTP/1.1 200 OK'): Uint8Array =>
  Buffer.concat([
    Buffer.from(httpAnswer([...lines, `content-length: ${body.length}`], '', line)),
    body,
  ])

/** Writes `piece` without end, as fast as it is read. */
const endless =
  (head: string, piece: string): Script =>
  (socket: Socket) => {
    socket.write(head)
    const more = (): void => {
      if (!socket.destroyed) socket.write(piece, () => setImmediate(more))
    }
    more()
  }

const zeros = Buffer.alloc(200 * 1024 * 1024, 32)
const gzipBomb = gzipSync(zeros, { level: 9 })
const brotliBomb = brotliCompressSync(zeros)
const deepList = '['.repeat(100_000) + ']'.repeat(100_000)

interface Case {
  readonly script: Script
  /** What the caller gets; 'cut' where a stream that began is broken off. */
  readonly status: number | 'cut'
  readonly basis: 'actual' | 'presumed' | 'nothing'
  readonly stream?: boolean
}

const broken = (script: Script): Case => ({ script, status: 502, basis: 'presumed' })
const late = (script: Script): Case => ({ script, status: 504, basis: 'presumed' })
const whole = (script: Script): Case => ({ script, status: 200, basis: 'actual' })
const doubtful = (script: Script): Case => ({ script, status: 200, basis: 'presumed' })
const refusal = (script: Script, status: number): Case => ({ script, status, basis: 'nothing' })
const streamed = (script: Script, status: Case['status'], basis: Case['basis']): Case => ({
  script,
  status,
  basis,
  stream: true,
})

const framing: Readonly<Record<string, Case>> = {
  'B14: both lengths': broken(says(httpAnswer([json, length, chunked], chunks))),
  'B14: both lengths, chunked first': broken(says(httpAnswer([json, chunked, length], chunks))),
  'B14: a length twice': broken(says(httpAnswer([json, length, length], answer))),
  'B14: two different lengths': broken(
    says(httpAnswer([json, 'content-length: 3', length], answer)),
  ),
  'B14: a length that is no number': broken(says(httpAnswer([json, 'content-length: x'], answer))),
  'B14: a chunk size that is no number': broken(
    says(httpAnswer([json, chunked], `zz\r\n${answer}\r\n0\r\n\r\n`)),
  ),
  'B14: a chunk size beyond 64 bits': broken(
    says(httpAnswer([json, chunked], `fffffffffffffffff\r\n${answer}\r\n0\r\n\r\n`)),
  ),
  'B14: a chunk longer than it says': broken(
    says(httpAnswer([json, chunked], `5\r\n${answer}\r\n0\r\n\r\n`)),
  ),
  'B14: a transfer encoding nobody knows': late(
    says(httpAnswer([json, 'transfer-encoding: xchunked'], chunks)),
  ),
  'B14: a length that is too small, and the rest': whole(
    says(httpAnswer([json, length], `${answer}HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad`)),
  ),
  'B14: a length that is too large': broken(
    ends(httpAnswer([json, `content-length: ${size + 10}`], answer)),
  ),
  'B14: two answers to one request': whole(says(goodAnswer('a') + goodAnswer('NOT ASKED FOR'))),
  'B14: bare line feeds': broken(says(httpAnswer([json, length], answer).replaceAll('\r\n', '\n'))),
  'B14: no HTTP': broken(says('hello world\r\n\r\n')),
  'B14: TLS': broken(says('\x15\x03\x01\x00\x02\x02\x28')),
  'B14: HTTP/1.0, ended by closing': whole(ends(httpAnswer([json], answer, 'HTTP/1.0 200 OK'))),
  'B14: the connection is closed at once': broken((socket) => socket.destroy()),
  'B14: the connection is closed behind the headers': broken(ends(httpAnswer([json, length], ''))),
  'B14: no answer': late(() => {}),
  'B14: a byte at a time, too slowly': late((socket) => {
    socket.write(httpAnswer([json, length], ''))
    const drip = setInterval(() => {
      if (socket.destroyed) clearInterval(drip)
      else socket.write('x')
    }, 100)
  }),
}

const head: Readonly<Record<string, Case>> = {
  'B19: a header of 40 kB': broken(
    says(httpAnswer([json, `x-a: ${'a'.repeat(40_000)}`, length], answer)),
  ),
  'B19: headers without end': broken(
    endless('HTTP/1.1 200 OK\r\n', `x-a: ${'a'.repeat(2000)}\r\n`),
  ),
  'B19: three early hints': whole(
    says('HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n'.repeat(3) + goodAnswer('a')),
  ),
  'B19: early hints without end': broken(
    endless('', 'HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n'),
  ),
  'B19: eleven early hints at once': broken(
    says('HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n'.repeat(11) + goodAnswer('a')),
  ),
  'B19: a switch of protocols': broken(
    says('HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n'),
  ),
  'B19: status 000': broken(says(httpAnswer(['content-length: 0'], '', 'HTTP/1.1 000 X'))),
  'B19: status 999': refusal(says(httpAnswer(['content-length: 0'], '', 'HTTP/1.1 999 X')), 502),
  'B19: status 204': { ...doubtful(says('HTTP/1.1 204 No Content\r\n\r\n')), status: 204 },
  'B19: a request id in Chinese': whole(
    says(Buffer.from(httpAnswer([json, 'x-request-id: 你好', length], answer))),
  ),
  'B19: a content type in Chinese': whole(
    says(Buffer.from(httpAnswer([`${json}; x=你`, length], answer))),
  ),
  'B19: a control character in a header': broken(
    says(httpAnswer([json, 'x-request-id: a\x01b', length], answer)),
  ),
  'B18: a redirect to another host': refusal(
    says(httpAnswer(['location: http://127.0.0.1:9/', 'content-length: 0'], '', 'HTTP/1.1 307 X')),
    502,
  ),
  'B18: a redirect with 302': refusal(
    says(httpAnswer(['location: /v1/other', 'content-length: 0'], '', 'HTTP/1.1 302 Found')),
    502,
  ),
  'B18: not modified': refusal(says('HTTP/1.1 304 Not Modified\r\n\r\n'), 502),
}

const packed: Readonly<Record<string, Case>> = {
  'B6: 200 MB packed by gzip': broken(says(headed([json, 'content-encoding: gzip'], gzipBomb))),
  'B6: 200 MB packed by brotli': broken(says(headed([json, 'content-encoding: br'], brotliBomb))),
  'B6: a packed stream of 200 MB': streamed(
    says(headed([sse, 'content-encoding: gzip'], gzipBomb)),
    502,
    'presumed',
  ),
  'B6: a packed error of 200 MB': refusal(
    says(headed([json, 'content-encoding: gzip'], gzipBomb, 'HTTP/1.1 400 No')),
    400,
  ),
  'B6: packed as it should not be, but small': whole(
    says(headed([json, 'content-encoding: gzip'], gzipSync(answer))),
  ),
  'B6: packed twice': broken(
    says(headed([json, 'content-encoding: gzip, gzip'], gzipSync(gzipSync(answer)))),
  ),
  'B6: an encoding called toString': broken(
    says(httpAnswer([json, 'content-encoding: toString', length], answer)),
  ),
  'B6: an encoding called constructor': broken(
    says(httpAnswer([json, 'content-encoding: constructor', length], answer)),
  ),
  'B6: an answer without end': broken(
    endless(httpAnswer([json, chunked], ''), chunk('x'.repeat(65_536))),
  ),
  'B6: an error without end': refusal(
    endless(httpAnswer([json, chunked], '', 'HTTP/1.1 400 No'), chunk('x'.repeat(65_536))),
    400,
  ),
  'B6: lists in lists': doubtful(says(headed([json], Buffer.from(deepList)))),
  'B6: a tier of lists in lists': doubtful(
    says(
      headed([json], Buffer.from(answer.replace('"model"', `"service_tier":${deepList},"model"`))),
    ),
  ),
  'B6: a tier called constructor': doubtful(
    says(
      headed(
        [json],
        Buffer.from(answer.replace('"model"', '"service_tier":"constructor","model"')),
      ),
    ),
  ),
  'B6: no JSON': doubtful(says(headed([json], Buffer.from('hello')))),
  'B6: nothing': doubtful(says(headed([json], Buffer.alloc(0)))),
}

const streams: Readonly<Record<string, Case>> = {
  'B7: a stream without a line': streamed(
    endless(httpAnswer([sse, chunked], ''), chunk('x'.repeat(65_536))),
    'cut',
    'presumed',
  ),
  'B7: comments without end': streamed(
    endless(httpAnswer([sse, chunked], ''), chunk(': ping\n\n'.repeat(5000))),
    'cut',
    'presumed',
  ),
  'B7: tiny events without end': streamed(
    endless(httpAnswer([sse, chunked], ''), chunk('data: {}\n\n'.repeat(5000))),
    'cut',
    'presumed',
  ),
  'B7: odd usage without end': streamed(
    endless(
      httpAnswer([sse, chunked], ''),
      chunk('data: {"usage":{"prompt_tokens":-1}}\n\n'.repeat(500)),
    ),
    'cut',
    'presumed',
  ),
  'B7: lines ended by CR': streamed(
    says(
      httpAnswer(
        [sse, chunked],
        `${chunk([delta, usage, '[DONE]'].map((one) => `data: ${one}\r\r`).join(''))}0\r\n\r\n`,
      ),
    ),
    200,
    'actual',
  ),
  'B7: a byte order mark first': streamed(
    says(
      httpAnswer([sse, chunked], `${chunk(`\ufeff${event(usage)}${event('[DONE]')}`)}0\r\n\r\n`),
    ),
    200,
    'actual',
  ),
  'B7: no JSON in any event': streamed(
    says(httpAnswer([sse, chunked], `${chunk(event('hello').repeat(10))}0\r\n\r\n`)),
    200,
    'presumed',
  ),
  'B7: it ends in the middle': streamed(
    ends(httpAnswer([sse, chunked], chunk(event(delta)))),
    'cut',
    'presumed',
  ),
  'B7: it stops in the middle': streamed(
    says(httpAnswer([sse, chunked], chunk(event(delta)))),
    'cut',
    'presumed',
  ),
}

const all = { ...framing, ...head, ...packed, ...streams }

/** Reads a stream to its end and keeps nothing of it. */
async function readOn(url: string, key: string): Promise<void> {
  const answer = await fetch(url + path, {
    method: 'POST',
    body: JSON.stringify(chatBody('hi', { max_tokens: 50, stream: true })),
    headers: { 'x-api-key': key },
  })
  for await (const _ of answer.body ?? []);
}

test.each(Object.entries(all))('%s', async (_name, { script, status, basis, stream = false }) => {
  await using provider = await startRawProvider((socket, no, request) =>
    no === 1 ? script(socket, no, request) : socket.write(goodAnswer('second call')),
  )
  await using world = await startWorld({
    config,
    providerUrl: provider.url,
    limits: { timeouts, answerBytesMax: 8 * 1024 * 1024 },
  })
  const key = await world.key()
  const grown = await growthOf(async () => {
    if (status === 'cut') await expect(readOn(world.url, key)).rejects.toThrow()
    else {
      const body = chatBody('hi', { max_tokens: 50, stream })
      const { status: got, text, headers } = await call(world, key, path, body)
      expect(got).toBe(status)
      expect(text).not.toContain('NOT ASKED FOR')
      expect(headers.get('bursar-call-id')).toMatch(/^call_/)
      if (basis === 'nothing') expect(headers.get('bursar-origin')).toBe('upstream')
    }
    await until('its hold has ended', async () => (await world.bursar.store.openHolds()) === 0)
  })
  const [hold] = await world.bursar.store.recentHolds(2)
  expect(hold?.basis).toBe(basis)
  expect(hold?.state).toBe(basis === 'nothing' ? 'voided' : 'settled')
  if (basis === 'presumed') expect(hold?.cost).toBe(hold?.amount)
  // A bomb here is 200 MB, or without end.
  expect(grown).toBeLessThan(48 * 1024 * 1024)

  const second = await call(world, key, path, chatBody('hi again', { max_tokens: 50 }))
  expect(second.status).toBe(200)
  expect(second.text).toBe(chatAnswer('second call'))
  expect(provider.requests()).toBe(2)
  expect(await auditBooks(world)).toBe(0)
})

test('B18: the host a redirect names hears nothing', async () => {
  await using other = await startRawProvider((socket) => socket.write(goodAnswer('stolen')))
  const codes = [301, 302, 303, 307, 308]
  await using provider = await startRawProvider((socket, no) => {
    const location = `location: ${other.url}/v1/chat/completions`
    socket.write(httpAnswer([location, 'content-length: 0'], '', `HTTP/1.1 ${codes[no - 1]} Moved`))
  })
  await using world = await startWorld({ config, providerUrl: provider.url })
  const key = await world.key()
  for (const code of codes) {
    const { status, headers } = await call(world, key, path, chatBody('hi'))
    expect(status, String(code)).toBe(502)
    expect(headers.get('location')).toBeNull()
  }
  expect(other.requests()).toBe(0)
})

test('B19: cookies and what else a provider adds stay behind', async () => {
  const lines = [
    json,
    'set-cookie: a=b',
    'x-evil: 1',
    'server: x',
    'access-control-allow-origin: *',
    'x-request-id: r1',
    length,
  ]
  await using provider = await startRawProvider(says(httpAnswer(lines, answer)))
  await using world = await startWorld({ config, providerUrl: provider.url })
  const { headers } = await call(world, await world.key(), path, chatBody('hi'))
  expect(headers.get('x-request-id')).toBe('r1')
  for (const name of ['set-cookie', 'x-evil', 'server', 'access-control-allow-origin']) {
    expect(headers.get(name), name).toBeNull()
  }
})

test('B14: answers of calls under way at once are never swapped', async () => {
  await using provider = await startRawProvider((socket, _no, request) => {
    const asked = /"content":"(call \d+)"/.exec(request)?.[1] ?? ''
    const extra = Number(asked.slice(5)) % 3 === 0 ? goodAnswer('NOT ASKED FOR') : ''
    setTimeout(() => socket.write(goodAnswer(asked) + extra), Number(asked.slice(5)) % 7)
  })
  await using world = await startWorld({ config, providerUrl: provider.url })
  const key = await world.key()
  for (let round = 0; round < 10; round += 1) {
    const names = Array.from({ length: 40 }, (_, i) => `call ${round * 40 + i}`)
    const answers = await Promise.all(names.map((name) => call(world, key, path, chatBody(name))))
    expect(answers.map(({ text }) => text)).toEqual(names.map(chatAnswer))
  }
  expect(await auditBooks(world)).toBe(0)
})
