/**
 * Config and price files, mangled: each is read whole, or refused with problems that say where.
 * Nothing throws, and nothing is half read.
 */
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { loadSnapshot } from '#config/load.ts'
import { parsePriceBook } from '#config/price-file.ts'
import { loadPriceBook } from '#system/price-files.ts'

const long = process.env.BURSAR_LONG === '1' ? 5 : 1
const root = new URL('../../', import.meta.url)
const priceBook = loadPriceBook()
const json = fc.jsonValue({ maxDepth: 6 }).map((value) => JSON.stringify(value))

/** Lines of a file that is good, some gone, doubled, moved or with noise in them. */
function mangled(text: string): fc.Arbitrary<string> {
  const lines = text.split('\n')
  const noise = fc.constantFrom(
    ...[
      '&a',
      '*a',
      '!!x',
      '!x y',
      '<<: {}',
      '__proto__: {}',
      '- ',
      ': ',
      '{',
      ']',
      '"',
      "'",
      '|',
      '>',
    ],
    ...[
      '\t',
      '${X}',
      '${file:/x}',
      '.inf',
      '1e9',
      '-5',
      '\ue000',
      '%YAML 9',
      '---',
      '...',
      '? ',
      '\0',
    ],
  )
  const edit = fc.tuple(
    fc.constantFrom('drop', 'double', 'insert', 'append'),
    fc.nat(),
    noise,
    fc.nat(9),
  )
  return fc.array(edit, { maxLength: 5 }).map((edits) => {
    const out = [...lines]
    for (const [how, at, what, indent] of edits) {
      const i = at % Math.max(1, out.length)
      if (how === 'drop') out.splice(i, 1)
      else if (how === 'double') out.splice(i, 0, out[i] ?? '')
      else if (how === 'insert') out.splice(i, 0, ' '.repeat(indent) + what)
      else out[i] = `${out[i]} ${what}`
    }
    return out.join('\n')
  })
}

test('config: any file is a snapshot, or problems that say where', () => {
  const good = readFileSync(new URL('bursar.example.yaml', root), 'utf8')
  const files = fc.oneof(
    { arbitrary: mangled(good), weight: 4 },
    { arbitrary: fc.string({ unit: 'binary', maxLength: 200 }), weight: 1 },
    { arbitrary: json, weight: 1 },
  )
  fc.assert(
    fc.property(files, (text) => {
      const loaded = loadSnapshot({
        files: [{ name: 'f.yaml', text }],
        env: () => 'x',
        readFile: () => null,
        priceBook,
      })
      if (loaded.ok) return
      expect(loaded.problem.length).toBeGreaterThan(0)
      for (const { line, column, message } of loaded.problem) {
        expect(line * column).toBeGreaterThan(0)
        expect(message).not.toBe('')
      }
    }),
    { numRuns: 1500 * long },
  )
})

test('prices: any file is a price book without a negative price, or problems', () => {
  const good = readFileSync(new URL('prices/anthropic.yaml', root), 'utf8')
  const files = fc.oneof(mangled(good), fc.string({ unit: 'binary', maxLength: 200 }), json)
  fc.assert(
    fc.property(files, (text) => {
      const parsed = parsePriceBook([{ name: 'f.yaml', text }])
      if (!parsed.ok) {
        expect(parsed.problem.length).toBeGreaterThan(0)
        return
      }
      const rates = parsed.value.rows.flatMap(({ bands }) =>
        bands.flatMap((band) => Object.values(band.rates)),
      )
      for (const rate of rates) expect(rate).toBeGreaterThanOrEqual(0n)
    }),
    { numRuns: 600 * long },
  )
})
