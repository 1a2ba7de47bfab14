import { expect, test } from 'vitest'
import type { Account } from '#core/account.ts'
import { openAccount } from '#core/account.ts'
import { configDiff } from '#core/config-diff.ts'
import { configWarnings } from '#core/config-warnings.ts'
import { effectLines, effectsOf, isHarsh, uncounted } from '#core/effect.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { secret } from '#lib/secret.ts'
import { snapshotFor } from '#test/support/bursar.ts'
import { start } from '#test/support/ledger.ts'

const config = (amount: number, more = ''): Snapshot =>
  snapshotFor(
    `organization: acme
business_units: { ops: { teams: { core: { agents: { triage: {}, research: {}, writer: {} } } } } }
budgets: [{ team: core, budget_monthly_usd: ${amount} }]
${more}`,
    'http://127.0.0.1:9',
  )

function spent(snapshot: Snapshot, dollars: number): readonly Account[] {
  const [rule] = snapshot.budgets
  if (rule === undefined) throw new Error('there is a rule')
  const posted = BigInt(dollars) * 1_000_000_000n
  return [{ ...openAccount({ rule, value: null }, start), posted }]
}

test('a lowered budget says at once whom it throttles or stops', () => {
  const before = config(100)
  const then = (amount: number) => {
    const after = config(amount)
    return effectsOf(before, after, spent(before, 100), [], start)
  }
  expect(then(100)).toEqual([])
  expect(then(200)).toMatchObject([{ before: 'over', after: 'ok' }])
  expect(then(90)).toMatchObject([
    { before: 'over', after: 'throttled', concerns: ['triage', 'research', 'writer'] },
  ])
  expect(then(80)).toMatchObject([{ before: 'over', after: 'stopped' }])
  expect(then(80).map(isHarsh)).toEqual([true])
  expect(effectLines(then(90))).toEqual([
    '3 agents (triage, research, writer) would be throttled now, by budget "core a month": over before',
  ])
})

test('a removed budget frees, a new one is to be counted, a moved time zone too', () => {
  const before = config(50)
  const after = config(50, 'quotas: [{ agent: triage, max_calls_per_day: 5 }]')
  expect(uncounted(before, after)).toHaveLength(1)
  expect(uncounted(before, config(50, 'timezone: Asia/Tokyo'))).toHaveLength(1)
  const none = snapshotFor('organization: acme\n', 'http://127.0.0.1:9')
  const effects = effectsOf(before, none, spent(before, 60), [], start)
  expect(effects).toMatchObject([{ before: 'stopped', after: 'none' }])
  expect(effectLines(effects)[0]).toContain('would be free of budget "core a month"')
})

test('a diff names what changed, and no secret', () => {
  const before = config(100)
  const after = config(150, 'policy: { on_tight: refuse }')
  expect(configDiff(before, before)).toEqual([])
  expect(configDiff(before, after)).toMatchObject([
    { kind: 'changed', part: 'policy', fields: [{ field: 'on_tight', before: 'clamp' }] },
    {
      kind: 'changed',
      part: 'budget',
      name: 'core a month',
      fields: [{ field: 'amount', before: '$100', after: '$150' }],
    },
  ])
  const other = before.providers.map((one) => ({ ...one, credential: secret('sk-other') }))
  const changes = configDiff(before, { ...before, providers: other })
  expect(changes).toMatchObject([
    { part: 'provider', fields: [{ field: 'api_key', before: '(secret)', after: '(secret)' }] },
  ])
  expect(JSON.stringify(changes)).not.toContain('sk-other')
  const gone = configDiff(after, snapshotFor('organization: acme\n', 'http://127.0.0.1:9'))
  expect(gone.filter(({ kind }) => kind === 'removed').map(({ part }) => part)).toContain('budget')
})

test('what needs no account is warned of: agents, providers, policies, runs, no limit at all', () => {
  const before = config(100, 'environments: [dev, prod]')
  expect(configWarnings(before, before)).toEqual([])
  const words = (more: string, budgets = 'budgets: [{ team: core, budget_monthly_usd: 100 }]') =>
    configWarnings(
      before,
      snapshotFor(
        `organization: acme
business_units: { ops: { teams: { core: { agents: { triage: {}, research: {} } } } } }
environments: [prod]
${budgets}
${more}`,
        'http://127.0.0.1:9',
      ),
    )
  const goes = [
    'agent writer is not in it any more: its keys would be refused',
    'environment dev is not in it any more: keys that are pinned to it would be refused',
  ]
  expect(words('')).toEqual(goes)
  expect(words('policy: { no_budget: deny, on_tight: refuse }')).toEqual([
    'calls that no budget covers would be refused',
    'calls that are cut to fit what is left would be refused',
    ...goes,
  ])
  expect(words('runs: [{ agent: triage, max_calls: 1 }]').at(-1)).toMatch(
    /^runs of agent=triage beyond ".*" would be stopped$/,
  )
  expect(words('', 'budgets: []').at(-1)).toBe('no limit is left that would stop a call')
})

test('an address that is a secret is shown to its host', () => {
  const before = config(100)
  const hook = (url: string): Snapshot => ({
    ...before,
    webhooks: [{ name: 'ops', url, secret: null }],
  })
  const [change] = configDiff(hook('https://a.test/x'), hook('https://me:pw@hooks.test/T0/SECRET'))
  expect(change?.fields).toEqual([
    { field: 'url', before: 'https://a.test/x', after: 'https://hooks.test/...' },
  ])
})
