import { expect, test } from 'vitest'
import { localPath } from './auth.ts'

const own = 'https://bursar.acme.test'
const away = [
  'https://evil.test/',
  '//evil.test',
  '/\\evil.test',
  '\\\\evil.test',
  '/\t/evil.test',
  '/\n/evil.test',
  'javascript:alert(1)',
  '/..//evil.test',
  '/.//evil.test',
  '/%2e//evil.test',
  ' /x',
  'evil.test',
  'http:/evil.test',
  '@evil.test',
  '/x\r\nset-cookie: a=b',
  `/${'x'.repeat(3000)}`,
]
test.each(away)('after sign-in nobody is sent to %j', async (to) => {
  const landed = localPath(to)
  expect(new URL(landed, own).origin).toBe(own)
  expect(landed).toBe('/')
})

test('a place of ours is kept, with query and fragment', () => {
  expect(localPath('/budgets/bud_x?a=b%20c#top')).toBe('/budgets/bud_x?a=b%20c#top')
  expect(localPath(undefined)).toBe('/')
})
