import { expect, test } from 'vitest'
import { loadPriceBook } from '#system/price-files.ts'
import { loadSnapshot } from './load.ts'

const clientSecret = 's3cret'
const rules = `
      - { claim: groups, value: admins, role: admin }
      - { claim: email, value: lee@acme.test, role: lead, subtree: team=support }
      - { claim: groups, value: staff, role: viewer }`

const configOf = (roles: string, more = ''): string => `
business_units: { customers: { teams: { support: {} } } }
auth:
  oidc:
    issuer: https://login.acme.test
    client_id: bursar
    client_secret: ${clientSecret}${more}
    roles:${roles}
`

test('what is good is taken as it is written, and its secret does not print', () => {
  const loaded = load(configOf(rules))
  const oidc = loaded.ok ? loaded.value.snapshot.oidc : null
  expect(oidc).toMatchObject({ issuer: 'https://login.acme.test', redirectUrl: null })
  expect(oidc?.roles[1]).toEqual({
    claim: 'email',
    value: 'lee@acme.test',
    role: 'lead',
    subtree: { kind: 'team', name: 'support' },
  })
  expect(oidc?.clientSecret?.reveal()).toBe(clientSecret)
  expect(JSON.stringify(oidc)).not.toContain(clientSecret)
})

const load = (text: string) =>
  loadSnapshot({
    files: [{ name: 'bursar.yaml', text }],
    env: () => undefined,
    readFile: () => null,
    priceBook: loadPriceBook(),
  })

const bad: readonly (readonly [what: string, config: () => string, RegExp])[] = [
  ['a role that is none', () => configOf(rules.replace('viewer', 'root')), /:\d+:\d+: role/],
  [
    'a lead without a subtree',
    () => configOf(rules.replace(', subtree: team=support', '')),
    /a lead needs a subtree: business_unit=NAME/,
  ],
  [
    'a subtree that is not in the tree',
    () => configOf(rules.replace('team=support', 'team=suport')),
    /there is no team "suport"/,
  ],
  [
    'an issuer without TLS',
    () => configOf(rules).replace(/issuer: .*/, 'issuer: http://x.test'),
    /https/,
  ],
  [
    'an address that is not ours to come back to',
    () => configOf(rules, '\n    redirect_url: https://bursar.acme.test/'),
    /write https:\/\/HOST\/auth\/callback/,
  ],
  ['no rules', () => configOf(' []'), /roles/],
  [
    'a key that is none',
    () => configOf(rules, '\n    clientsecret: x'),
    /unknown key "clientsecret"/,
  ],
]
test.each(bad)('config with %s is refused', (_what, config, problem) => {
  const loaded = load(config())
  expect(loaded.ok ? '' : JSON.stringify(loaded.problem)).not.toContain(clientSecret)
  expect(
    loaded.ok ? [] : loaded.problem.map((p) => `${p.file}:${p.line}:${p.column}: ${p.message}`),
  ).toEqual(expect.arrayContaining([expect.stringMatching(problem)]))
})
