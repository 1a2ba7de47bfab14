import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type JsonObject, scanJson } from './json-scan.ts'
import { splice } from './splice.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text)
const problemOf = (text: string): string => {
  const scanned = scanJson(bytes(text))
  return scanned.ok ? 'fine' : scanned.problem.message
}

const values = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 5 },
    fc.string({ unit: 'grapheme' }),
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).filter((n) => Math.abs(n) < 1e15),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 5 }),
    tie('object'),
  ),
  object: fc.dictionary(
    fc
      .string({ unit: 'grapheme' })
      .filter((name) => !/^(__proto__|constructor|prototype)$/.test(name)),
    tie('value'),
    { maxKeys: 6 },
  ),
}))

test('reads what JSON.parse reads, and knows where each member stands', () => {
  fc.assert(
    fc.property(values.object, fc.constantFrom(0, 1, 2), (object, indent) => {
      const text = JSON.stringify(object, null, indent)
      const scanned = scanJson(bytes(text))
      if (!scanned.ok) throw new Error(scanned.problem.message)
      expect(scanned.value.value).toEqual(JSON.parse(text))
      const buffer = Buffer.from(text)
      for (const [name, { start, end, keyStart }] of scanned.value.members) {
        const value = JSON.parse(buffer.toString('utf8', start, end)) as unknown
        expect(value).toEqual((JSON.parse(text) as JsonObject)[name])
        expect(buffer[keyStart]).toBe(0x22)
      }
      expect(scanned.value.members.size).toBe(Object.keys(JSON.parse(text) as object).length)
    }),
    { numRuns: 500 },
  )
})

test('a spliced body differs in what was spliced, and in nothing else', () => {
  fc.assert(
    fc.property(values.object, fc.string(), fc.integer(), (object, model, cap) => {
      const text = JSON.stringify(object)
      const scanned = scanJson(bytes(text))
      if (!scanned.ok) throw new Error(scanned.problem.message)
      const changes = new Map<string, string | number>([
        ['model', model],
        ['max_tokens', cap],
      ])
      const out = Buffer.from(splice(bytes(text), scanned.value, changes)).toString()
      expect(JSON.parse(out)).toEqual({ ...(JSON.parse(text) as object), model, max_tokens: cap })
    }),
    { numRuns: 300 },
  )
})

test.each([
  ['{"a":1,"a":2}', 'a appears twice.'],
  ['{"a":1,"\\u0061":2}', 'a appears twice.'],
  ['{"m":[{"b":1},{"b":1,"b":2}]}', 'm[1].b appears twice.'],
  ['{"__proto__":1}', '__proto__ is not allowed as a name.'],
  ['{"n":1e999}', 'n is too large a number.'],
  ['{"n":9007199254740993}', 'n is too large a number.'],
  ['{"c":{"n":9007199254740993}}', 'c.n is too large a number.'],
  ['{"c":{"d":{"int64":9223372036854775807}}}', 'fine'],
  ['{"c":{"d":{"n":1e999}}}', 'c.d.n is too large a number.'],
  ['{"\u00e9":1,"\\u00e9":2}', '\u00e9 appears twice.'],
  [`{"d":${'['.repeat(64)}${']'.repeat(64)}}`, /nested deeper than 64/],
  [`{"l":[${'1,'.repeat(20_001)}1]}`, /more than 20000 elements/],
  [`{${Array.from({ length: 50_001 }, (_, i) => `"k${i}":1`).join()}}`, /more than 50000 values/],
  ['[1]', 'The body must be a JSON object.'],
  ['null', 'The body must be a JSON object.'],
  ['{', /not valid JSON/],
  ['{"a":1} x', /not valid JSON/],
  ['\ufeff{}', 'The body starts with a byte order mark.'],
])('%s', (text, message) => {
  if (typeof message === 'string') expect(problemOf(text)).toBe(message)
  else expect(problemOf(text)).toMatch(message)
})

test('bytes that are no UTF-8 are refused', () => {
  const scanned = scanJson(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))
  expect(scanned.ok).toBe(false)
})

test('quotes, backslashes and brackets inside strings are text', () => {
  expect(problemOf('{"a":"\\\\","b":"\\"}{[","c":{"x":"]"}}')).toBe('fine')
})
