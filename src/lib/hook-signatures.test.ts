import { createHmac } from 'node:crypto'
import { expect, test } from 'vitest'
import { type HookKind, isSigned } from './hook-signatures.ts'

const now = Date.parse('2026-11-01T12:00:00Z')
const body = '{"a":1}'
const url = 'https://bursar.acme.test/api/hooks/hs'
const hmac = (text: string, algorithm = 'sha256', encoding: 'base64' | 'hex' = 'base64'): string =>
  createHmac(algorithm, 'key').update(text).digest(encoding)

const at = String(now)
const iso = '2026-11-01T12:00:00Z'
const zendesk = (text: string, time = iso) => ({
  'x-zendesk-webhook-signature-timestamp': time,
  'x-zendesk-webhook-signature': hmac(text),
})
const hubspot = (text: string, time = at) => ({
  'x-hubspot-request-timestamp': time,
  'x-hubspot-signature-v3': hmac(text),
})
const cases: readonly (readonly [HookKind, Readonly<Record<string, string>>, boolean])[] = [
  ['zendesk', zendesk(iso + body), true],
  ['zendesk', zendesk(body + iso), true],
  ['zendesk', zendesk(body), false],
  ['zendesk', zendesk(`2026-11-01T11:54:59Z${body}`, '2026-11-01T11:54:59Z'), false],
  ['zendesk', zendesk(body, ''), false],
  ['hubspot', hubspot(`POST${url}${body}${at}`), true],
  ['hubspot', hubspot(`POST${url}/${body}${at}`), false],
  ['hubspot', hubspot(`POST${url}${body}${now - 300_001}`, String(now - 300_001)), false],
  ['intercom', { 'x-hub-signature': `sha1=${hmac(body, 'sha1', 'hex')}` }, true],
  ['intercom', { 'x-hub-signature': hmac(body, 'sha1', 'hex') }, false],
  ['salesforce', { authorization: 'Bearer key' }, true],
  ['salesforce', { authorization: 'Bearer other' }, false],
  ['json', {}, false],
]

test.each(cases)('%s with %j: %s', (kind, headers, expected) => {
  const request = { header: (name: string) => headers[name], body, url, now }
  expect(isSigned(kind, 'key', request)).toBe(expected)
  expect(isSigned(kind, '', request)).toBe(false)
})

test('zendesk’s own example', () => {
  const headers: Readonly<Record<string, string>> = {
    'x-zendesk-webhook-signature-timestamp': '2021-07-25T10:00:00Z',
    'x-zendesk-webhook-signature': 'tRDSF7URY8BLCDlaBcQ7FHu051Zk+aAB0NKMP53teMw=',
  }
  const request = {
    header: (name: string) => headers[name],
    body: '{"say": "hello"}',
    url,
    now: Date.parse('2021-07-25T10:01:00Z'),
  }
  expect(isSigned('zendesk', 'HRkRd4BeOAoUkfZr-mhauJT64rvBASlJRoIyPsd3zeA=', request)).toBe(true)
})
