import fc from 'fast-check'
import { expect, test } from 'vitest'
import { csvReader, separatorOf } from './csv.ts'

test.each([
  ['a,"b\n1,2\n', [true]],
  ['a,"b"c\nx,y\n', [true, false, false]],
  ['a,"b ""c"""\n"",d\n', [false, false]],
])('whether the rows of %j are broken', (text, broken) => {
  const found: boolean[] = []
  const reader = csvReader(',', (_row, isBroken) => found.push(isBroken))
  reader.push(text)
  reader.end()
  expect(found).toEqual(broken)
})

function read(parts: readonly string[], separator = ','): readonly (readonly string[])[] {
  const rows: (readonly string[])[] = []
  const reader = csvReader(separator, (row) => rows.push(row))
  for (const part of parts) reader.push(part)
  reader.end()
  return rows
}

test.each([
  [
    'a,b\n1,2\n',
    [
      ['a', 'b'],
      ['1', '2'],
    ],
  ],
  [
    'a,b\r\n1,\r\n',
    [
      ['a', 'b'],
      ['1', ''],
    ],
  ],
  ['a,"b ""c"", d"\n', [['a', 'b "c", d']]],
  [
    'a,"two\nlines"\nx,y',
    [
      ['a', 'two\nlines'],
      ['x', 'y'],
    ],
  ],
  ['a\n\n\nb\n', [['a'], ['b']]],
  ['a,', [['a', '']]],
  ['"unclosed, and on', [['"unclosed, and on']]],
])('%j', (text, rows) => {
  expect(read([text])).toEqual(rows)
})

test('a text is read the same in whatever pieces it comes', () => {
  const cell = fc.stringMatching(/^[ab,"\n\r ]{0,6}$/)
  const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`
  const rows = fc.array(fc.array(cell, { minLength: 2, maxLength: 4 }), { minLength: 1 })
  fc.assert(
    fc.property(rows, fc.array(fc.nat()), fc.constantFrom('\n', '\r\n'), (given, cuts, end) => {
      const text = given.map((row) => row.map(quoted).join(',') + end).join('')
      const at = [0, ...cuts.map((cut) => cut % (text.length + 1)), text.length].sort(
        (a, b) => a - b,
      )
      const parts = at.slice(1).map((to, i) => text.slice(at[i], to))
      expect(read(parts)).toEqual(given)
    }),
  )
})

test('the separator is what occurs most outside quotes', () => {
  expect(separatorOf('a;b;"c,d,e,f"')).toBe(';')
  expect(separatorOf('one')).toBe(',')
})
