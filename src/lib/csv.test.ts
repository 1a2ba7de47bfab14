import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseCsv } from './csv.ts'

const cells = (text: string): readonly (readonly string[])[] =>
  parseCsv(text).map((row) => row.cells)

test.each<readonly [string, string, readonly (readonly string[])[]]>([
  [
    'plain',
    'a,b\n1,2\n',
    [
      ['a', 'b'],
      ['1', '2'],
    ],
  ],
  [
    'no end of line, and Windows',
    'a,b\r\n1,2',
    [
      ['a', 'b'],
      ['1', '2'],
    ],
  ],
  [
    'a byte order mark',
    '\ufeffa;b\n1;2',
    [
      ['a', 'b'],
      ['1', '2'],
    ],
  ],
  [
    'tabs',
    'a\tb,c\td\n1\t2\t3',
    [
      ['a', 'b,c', 'd'],
      ['1', '2', '3'],
    ],
  ],
  [
    'quotes in quotes',
    'a,b\n"x ""y"", z",2',
    [
      ['a', 'b'],
      ['x "y", z', '2'],
    ],
  ],
  [
    'empty cells at the end',
    'a,b,c\n1,,',
    [
      ['a', 'b', 'c'],
      ['1', '', ''],
    ],
  ],
  ['empty lines', 'a\n\n\n1\n\n', [['a'], ['1']]],
  ['a quote that is never closed', 'a,b\n"1,2\n3', [['a', 'b'], ['1,2\n3']]],
  [
    'text after a quote',
    'a,b\n"1"x,2',
    [
      ['a', 'b'],
      ['1x', '2'],
    ],
  ],
  ['nothing', '', []],
])('%s', (_name, text, rows) => {
  expect(cells(text)).toEqual(rows)
})

test('each row knows its line, whatever its cells hold', () => {
  const text = 'id,note\n1,"two\nlines"\n\n2,"and\n\nmore"\r\n3,x'
  expect(parseCsv(text).map(({ line }) => line)).toEqual([1, 2, 5, 8])
})

test('what was quoted comes back, whatever it is', () => {
  const quoted = (cell: string): string => `"${cell.replaceAll('"', '""')}"`
  const rows = fc.array(fc.array(fc.string({ unit: 'binary' }), { minLength: 2, maxLength: 4 }), {
    maxLength: 6,
  })
  fc.assert(
    fc.property(rows, fc.constantFrom(',', ';', '\t'), (all, separator) => {
      const head = ['a', 'b', 'c', 'd'].join(separator)
      const text = [head, ...all.map((row) => row.map(quoted).join(separator))].join('\n')
      expect(cells(text).slice(1)).toEqual(all.filter((row) => row.some((cell) => cell !== '')))
    }),
    { numRuns: 2000 },
  )
})

test('any text at all is read, in time', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('"', ',', ';', '\n', '\r', 'a') }), (text) => {
      for (const { line, cells: own } of parseCsv(text)) {
        expect(line).toBeGreaterThan(0)
        expect(own.length).toBeGreaterThan(0)
      }
    }),
    { numRuns: 5000 },
  )
})
