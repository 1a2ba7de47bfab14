/** Telemetry from anybody: decoders answer with what they read or a problem, and never throw. */
import { readFileSync } from 'node:fs'
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readGenAi } from '#wire/genai.ts'
import { decodeJson } from '#wire/otlp-json.ts'
import { decodeProto } from '#wire/otlp-proto.ts'
import { type Decoded, isWanted, type Signal, valueMax } from '#wire/telemetry.ts'

const runs = { numRuns: process.env.BURSAR_LONG === '1' ? 20_000 : 2000 }
const signals = fc.constantFrom<Signal>('traces', 'logs')

/** Whatever was read is small, and nothing but counts, names and ids. */
function check({ records }: Decoded): void {
  for (const record of records) {
    for (const [key, value] of record.attributes) {
      expect(isWanted(key)).toBe(true)
      if (typeof value === 'string') expect(value.length).toBeLessThanOrEqual(valueMax)
    }
    const found = readGenAi(record)
    if (!found.ok || found.value === null) continue
    const { usage, startMs, id } = found.value
    expect(Number.isFinite(startMs)).toBe(true)
    expect(id).not.toBe('')
    for (const n of Object.values(usage.counts)) {
      expect(Number.isSafeInteger(n) && n >= 0).toBe(true)
    }
  }
}

const names = ['genai_span', 'claude_code_api_request_log']
const samples = names.map((name) =>
  readFileSync(new URL(`../support/otlp/${name}.json`, import.meta.url), 'utf8'),
)

test('JSON: noise, other shapes, and samples that were bent', () => {
  const shapes = fc.constantFrom('resourceSpans', 'scopeSpans', 'spans', 'attributes', 'key')
  const nested = fc.letrec((tie) => ({
    node: fc.oneof(
      { depthSize: 'medium' },
      fc.jsonValue(),
      fc.array(tie('node'), { maxLength: 3 }),
      fc.dictionary(shapes, tie('node'), { maxKeys: 3 }),
    ),
  }))
  const bent = fc
    .tuple(fc.constantFrom(...samples), fc.nat(), fc.nat({ max: 40 }), fc.string({ maxLength: 8 }))
    .map(([text, at, cut, more]) => {
      const i = at % text.length
      return text.slice(0, i) + more + text.slice(i + cut)
    })
  const texts = fc.oneof(
    nested.node.map((value) => JSON.stringify(value)),
    bent,
    fc.string(),
  )
  fc.assert(
    fc.property(signals, texts, (signal, text) => {
      const decoded = decodeJson(signal, text)
      if (decoded.ok) check(decoded.value)
      else expect(decoded.problem).not.toBe('')
    }),
    runs,
  )
})

/** Fields that nest as OTLP does, with numbers and types of any kind. */
const message: fc.Memo<Uint8Array> = fc.memo((depth) => {
  const leaf = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc
      .constantFrom('gen_ai.usage.input_tokens', 'gen_ai.request.model', 'chat')
      .map((text) => Buffer.from(text)),
  )
  const inner = depth <= 1 ? leaf : fc.oneof(leaf, message(depth - 1), message(depth - 1))
  const field = fc.tuple(
    fc.integer({ min: 1, max: 13 }),
    fc.nat({ max: 3 }),
    inner,
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  )
  return fc.array(field, { maxLength: 4 }).map((fields) => {
    const writer = new BinaryWriter()
    for (const [number, kind, bytes, value] of fields) {
      if (kind === 0) writer.tag(number, WireType.Varint).int64(value)
      else if (kind === 1) writer.tag(number, WireType.Bit64).sfixed64(value)
      else writer.tag(number, WireType.LengthDelimited).bytes(bytes)
    }
    return writer.finish()
  })
})

test('protobuf: noise, messages of other shapes, cut and bent', () => {
  const bent = fc
    .tuple(message(6), fc.nat(), fc.uint8Array({ maxLength: 3 }))
    .map(([bytes, at, more]) => {
      const i = at % (bytes.length + 1)
      return Buffer.concat([bytes.subarray(0, i), more, bytes.subarray(i)])
    })
  fc.assert(
    fc.property(signals, fc.oneof(bent, message(6), fc.uint8Array()), (signal, bytes) => {
      const decoded = decodeProto(signal, bytes)
      if (decoded.ok) check(decoded.value)
      else expect(decoded.problem).not.toBe('')
    }),
    runs,
  )
})

test('so many groups that reading them would be recursion are a problem, and so are they alone', () => {
  const groups = new Uint8Array(1_000_000).fill(0x0b)
  expect(decodeProto('traces', groups)).toMatchObject({ ok: false })
})
