import fc from 'fast-check'
import { expect, test } from 'vitest'
import { dialectOf } from './dialects.ts'
import { matchEndpoint } from './routes.ts'
import { readEvent, SseSplitter } from './sse.ts'

function split(chunks: readonly Uint8Array[]): { data: string[]; out: string } {
  const splitter = new SseSplitter()
  const events = chunks.flatMap((chunk) => splitter.push(chunk))
  const rest = splitter.take()
  const all = [...events, rest].map(({ bytes }) => bytes).filter(({ length }) => length > 0)
  return {
    data: all.map((event) => readEvent(event).data).filter((data) => data !== ''),
    out: Buffer.concat(all).toString(),
  }
}

const lines = fc.constantFrom('data: a', 'data:b', ': comment', 'event: e', 'id: 1', 'data: \u4e16')
const ends = fc.constantFrom('\n', '\r\n', '\r')

test('any chunking gives the same events, and every byte comes out', () => {
  const stream = fc.tuple(
    fc.array(fc.array(lines, { minLength: 1, maxLength: 4 }), { maxLength: 6 }),
    ends,
    fc.array(fc.nat(12), { maxLength: 40 }),
  )
  fc.assert(
    fc.property(stream, ([events, end, sizes]) => {
      const text = events.map((event) => event.map((line) => line + end).join('') + end).join('')
      const bytes = Buffer.from(text)
      const chunks: Uint8Array[] = []
      let from = 0
      for (const size of sizes) {
        chunks.push(bytes.subarray(from, from + size))
        from = Math.min(bytes.length, from + size)
      }
      chunks.push(bytes.subarray(from))
      const wanted = events
        .map((event) =>
          event
            .filter((line) => line.startsWith('data:'))
            .map((line) => line.replace(/^data: ?/, ''))
            .join('\n'),
        )
        .filter((data) => data !== '')
      const found = split(chunks)
      expect(found.out).toBe(text)
      expect(found.data).toEqual(wanted)
    }),
    { numRuns: 500 },
  )
})

test('a long event in small pieces is looked at once', () => {
  const splitter = new SseSplitter()
  const piece = Buffer.from('x'.repeat(16))
  const started = performance.now()
  for (let i = 0; i < 60_000; i += 1) splitter.push(piece)
  // Reading all of it again for each piece would take minutes.
  expect(performance.now() - started).toBeLessThan(5_000)
  expect(splitter.push(Buffer.from('\n\n')).map(({ bytes }) => bytes.length)).toEqual([960_002])
})

function metered(path: string, body: object, text: string, size = text.length) {
  const matched = matchEndpoint('POST', path)
  if (matched.kind !== 'endpoint') throw new Error(path)
  const dialect = dialectOf(matched.endpoint.dialect)
  const parsed = dialect.parse(matched.endpoint, Buffer.from(JSON.stringify(body)))
  if (!parsed.ok) throw new Error(parsed.problem.message)
  const meter = dialect.meterStream(parsed.value)
  const bytes = Buffer.from(text)
  const out: Uint8Array[] = []
  for (let i = 0; i < bytes.length; i += size) out.push(meter.push(bytes.subarray(i, i + size)))
  const { rest, report, complete } = meter.end()
  return { out: Buffer.concat([...out, rest]).toString(), report, complete }
}

const event = (value: object): string => `data: ${JSON.stringify(value)}\n\n`
const gemini = (text: string, output: number, more: object = {}): string =>
  event({
    candidates: [{ content: { parts: [{ text }] }, ...more }],
    usageMetadata: {
      promptTokenCount: 5,
      candidatesTokenCount: output,
      totalTokenCount: 5 + output,
    },
  })
const geminiPath = '/v1beta/models/g:streamGenerateContent?alt=sse'
const contents = { contents: [{ parts: [{ text: 'x' }] }] }
const chatBody = { model: 'm', stream: true, messages: [{ role: 'user', content: 'x' }] }

test('what a model writes about the end of a stream does not end it', () => {
  const talk = '"finishReason": "STOP" and data: [DONE]'
  expect(metered(geminiPath, contents, gemini(talk, 3)).complete).toBe(false)
  const ended = gemini(talk, 3) + gemini('', 9, { finishReason: 'STOP' })
  expect(metered(geminiPath, contents, ended)).toMatchObject({
    complete: true,
    report: { usage: { counts: { input: 5, output: 9 } } },
  })
  const chunk = event({ id: 'r', model: 'm', choices: [{ delta: { content: talk } }] })
  expect(metered('/v1/chat/completions', chatBody, chunk).complete).toBe(false)
  expect(metered('/v1/chat/completions', chatBody, `${chunk}data: [DONE]\n\n`).complete).toBe(true)
})

test('a blocked prompt is an end', () => {
  const blocked = event({
    promptFeedback: { blockReason: 'SAFETY' },
    usageMetadata: { promptTokenCount: 5, totalTokenCount: 5 },
  })
  expect(metered(geminiPath, contents, blocked)).toMatchObject({
    complete: true,
    report: { usage: { counts: { input: 5, output: 0 } } },
  })
})

test('an event too long to keep passes, is said, and leaves the stream unmetered', () => {
  const long = gemini('x'.repeat(1_200_000), 1300, { finishReason: 'STOP' })
  const text = gemini('a', 3) + long
  const found = metered(geminiPath, contents, text, 65_536)
  expect(found.out === text).toBe(true)
  expect(found.complete).toBe(false)
  expect(found.report.oddities).toEqual(['an event is longer than 1048576 bytes: not metered'])
})
