/** Bedrock's documented shapes: body, headers, and the binary stream split at every byte. */
import { readFileSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { expect, test } from 'vitest'
import type { UsageReport } from '#core/usage.ts'
import { EventStreamMeter, readConverseUsage, readInvokeUsage } from '#wire/bedrock-usage.ts'

const fixture = (name: string): Record<string, Record<string, unknown>> =>
  JSON.parse(readFileSync(new URL(`bedrock/${name}.json`, import.meta.url), 'utf8'))

/** One frame as AWS writes it: prelude, its checksum, headers, payload, checksum. */
function frame(type: string, payload: unknown): Buffer {
  const name = ':event-type'
  const value = Buffer.from(type)
  const head = Buffer.concat([
    Buffer.from([name.length]),
    Buffer.from(name),
    Buffer.from([7, 0, value.length]),
    value,
  ])
  const body = Buffer.from(JSON.stringify(payload))
  const prelude = Buffer.alloc(8)
  prelude.writeUInt32BE(16 + head.length + body.length, 0)
  prelude.writeUInt32BE(head.length, 4)
  const start = Buffer.concat([prelude, checksum(prelude), head, body])
  return Buffer.concat([start, checksum(start)])
}

function checksum(bytes: Buffer): Buffer {
  const out = Buffer.alloc(4)
  out.writeUInt32BE(crc32(bytes))
  return out
}

function expectCounts(report: UsageReport, expected: Record<string, unknown> | undefined): void {
  expect(report.usage?.counts).toMatchObject({
    input: expected?.input_fresh,
    cache_read: expected?.cache_read,
    cache_write_5m: expected?.cache_write_5m,
    output: expected?.output,
  })
  expect(report.usage?.counts.cache_write_1h ?? 0).toBe(expected?.cache_write_1h)
}

test('Converse, and ConverseStream split at every byte: one reading', () => {
  const { body, expected } = fixture('bedrock_converse')
  const report = readConverseUsage(Buffer.from(JSON.stringify(body)))
  expectCounts(report, expected)
  expect(report.tier).toBe('standard')
  const stream = Buffer.concat([
    frame('contentBlockDelta', { delta: { text: 'the word usage' } }),
    frame('messageStop', { stopReason: 'end_turn' }),
    frame('metadata', { usage: body?.usage, metrics: {}, serviceTier: body?.serviceTier }),
  ])
  for (let i = 0; i <= stream.length; i += 1) {
    const meter = new EventStreamMeter()
    meter.push(stream.subarray(0, i))
    meter.push(stream.subarray(i))
    expect(meter.end()).toEqual({ report, complete: true })
  }
  const cut = new EventStreamMeter()
  cut.push(stream.subarray(0, stream.length - 1))
  expect(cut.end().complete).toBe(false)
})

test('InvokeModel counts in headers', () => {
  const { headers, expected } = fixture('bedrock_invoke_headers')
  const report = readInvokeUsage(headers as Record<string, string>)
  expectCounts(report, expected)
  expect(report.tier).toBe('flex')
  expect(readInvokeUsage({}).usage).toBeNull()
})
