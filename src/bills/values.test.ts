import { expect, test } from 'vitest'
import { formatDecimal } from '#core/decimal.ts'
import { usageType } from './aws.ts'
import { propose } from './mapped.ts'
import { dayBefore, parseAmount, parseDay, parseTags } from './values.ts'

test.each([
  ['$10,000.00 ', '10000'],
  ['(3.25)', '-3.25'],
  ['-$1.50', '-1.5'],
  ['1,234,567', '1234567'],
  ['1,5', null],
  ['1.234,56', null],
  ['free', null],
])('the amount %j', (text, expected) => {
  const found = parseAmount(text)
  expect(found === null ? null : formatDecimal(found)).toBe(expected)
})

test.each([
  ['2026-10-05T09:00:00.000Z', '2026-10-05'],
  ['2026-10-05 00:00:00', '2026-10-05'],
  ['10/05/2026', '2026-10-05'],
  ['5/1/25', '2025-05-01'],
  ['20261005', '2026-10-05'],
  ['1791158400', '2026-10-05'],
  ['2026-02-30', null],
  ['13/05/2026', null],
  ['yesterday', null],
])('the day of %j', (text, expected) => {
  expect(parseDay(text)).toBe(expected)
})

test('an end that is exclusive', () => {
  expect(dayBefore('2026-03-01')).toBe('2026-02-28')
})

test('tags in every form met', () => {
  expect(parseTags('{"user_Agent": "a", "aws:team": "b"}')).toEqual({ agent: 'a', team: 'b' })
  expect(parseTags('"project": "x","env": "prod"')).toEqual({ project: 'x', env: 'prod' })
  expect(parseTags('[{"key":"team","value":"s"},{"key":"n","value":null}]')).toEqual({ team: 's' })
  expect(parseTags('nothing of the kind')).toBeNull()
})

test.each([
  ['USE1-Claude4.6Sonnet-cache-write-input-token-count', 'Claude4.6Sonnet', 'cache_write'],
  ['USE1-Nova2.0Lite-input-tokens-flex', 'Nova2.0Lite', 'input'],
  ['EUW1-Nova2.0Lite-output-tokens-cross-region-eu', 'Nova2.0Lite', 'output'],
  [
    'USW2-anthropic.claude-opus-4-8-mantle-cache-read-tokens',
    'anthropic.claude-opus-4-8',
    'cache_read',
  ],
  ['MP:USE1_InputTokenCount-Units', '', 'input'],
  ['USE1-Something', '', 'other'],
])('the usage type %s', (text, model, kind) => {
  expect(usageType(text)).toEqual({ model, kind })
})

test('each of our columns is proposed for one of theirs', () => {
  const found = propose(['Invoice date', 'Total cost', 'Cost before tax', 'Bot name', 'Notes'])
  expect(found).toEqual([
    { column: 'Invoice date', ours: 'day' },
    { column: 'Total cost', ours: 'cost' },
    { column: 'Bot name', ours: 'agent' },
  ])
})
