/**
 * The provider every target is measured against: as little as can answer like one, so that what is
 * measured is the proxy. Raw sockets, prebuilt answers.
 *
 *   node bench/upstream.ts PORT
 *
 * A body with `"stream":true` gets 100 events; `"slow":N` in the user field spaces them N ms apart.
 */
import { createServer, type Socket } from 'node:net'

const port = Number(process.argv[2] ?? 4011)

const answer = Buffer.from(
  JSON.stringify({
    id: 'chatcmpl-bench',
    object: 'chat.completion',
    created: 1_790_000_000,
    model: 'gpt-5-mini-2025-08-07',
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: 'word '.repeat(320), refusal: null },
        finish_reason: 'stop',
      },
    ],
    usage: {
      prompt_tokens: 420,
      completion_tokens: 60,
      total_tokens: 480,
      prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
      completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
    },
    service_tier: 'default',
  }),
)
const whole = Buffer.concat([
  Buffer.from(
    `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${answer.length}\r\n\r\n`,
  ),
  answer,
])

const event = (delta: object, finish: string | null): string =>
  `data: ${JSON.stringify({
    id: 'chatcmpl-bench',
    object: 'chat.completion.chunk',
    created: 1_790_000_000,
    model: 'gpt-5-mini-2025-08-07',
    choices: [{ index: 0, delta, finish_reason: finish }],
    usage: null,
  })}\n\n`
const usage = `data: ${JSON.stringify({
  id: 'chatcmpl-bench',
  object: 'chat.completion.chunk',
  created: 1_790_000_000,
  model: 'gpt-5-mini-2025-08-07',
  choices: [],
  usage: { prompt_tokens: 420, completion_tokens: 100, total_tokens: 520 },
})}\n\n`
const events = [
  ...Array.from({ length: 97 }, (_, i) => event({ content: `word${i} and some more text` }, null)),
  event({}, 'stop'),
  usage,
  'data: [DONE]\n\n',
].map((text) => Buffer.from(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`))
const streamHead = Buffer.from(
  'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n',
)
const lastChunk = Buffer.from('0\r\n\r\n')
const allEvents = Buffer.concat([streamHead, ...events, lastChunk])

function reply(socket: Socket, body: string): void {
  if (!body.includes('"stream":true')) {
    socket.write(whole)
    return
  }
  const slow = Number(/"slow-(\d+)"/.exec(body)?.[1] ?? 0)
  if (slow === 0) {
    socket.write(allEvents)
    return
  }
  socket.write(streamHead)
  let next = 0
  const timer = setInterval(() => {
    const chunk = events[next++]
    if (chunk !== undefined && !socket.destroyed) return void socket.write(chunk)
    clearInterval(timer)
    if (!socket.destroyed) socket.write(lastChunk)
  }, slow)
}

const server = createServer({ noDelay: true }, (socket) => {
  let kept = Buffer.alloc(0)
  socket.on('error', () => socket.destroy())
  socket.on('data', (chunk) => {
    kept = kept.length === 0 ? (chunk as Buffer) : Buffer.concat([kept, chunk as Buffer])
    for (;;) {
      const end = kept.indexOf('\r\n\r\n')
      if (end < 0) return
      const head = kept.toString('latin1', 0, end)
      const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0)
      if (kept.length < end + 4 + length) return
      reply(socket, kept.toString('latin1', end + 4, end + 4 + length))
      kept = kept.subarray(end + 4 + length)
    }
  })
})
server.listen({ port, host: '127.0.0.1', backlog: 4096 }, () => {
  process.stdout.write('ready\n')
})
