import fc from 'fast-check'
import { expect, test } from 'vitest'
import { crossing, snapshotOf } from '#test/support/alerts.ts'
import type { AccountKey } from './account.ts'
import type { Alert, AlertKind } from './alert.ts'
import { overrideAsked, severityOf, textOf } from './alert-text.ts'
import type { BudgetRule } from './budget.ts'
import { digestOf, messageOf, subjectOf, wordsOf } from './message.ts'
import { instant } from './time.ts'

const snapshot = snapshotOf(`organization: acme
timezone: Europe/Berlin
budgets:
  - { name: support, owner: kim@acme.test, budget_monthly_usd: 25000 }
`)
const words = wordsOf(snapshot)
const [rule] = snapshot.budgets as readonly [BudgetRule]

/** As other rooms raise what is about no account. */
function about(
  kind: AlertKind,
  details: Readonly<Record<string, string>>,
  threshold = kind,
): Alert {
  return {
    ...crossing({ rule, kind, details }),
    account: '' as AccountKey,
    budget: 'bud_none',
    unit: 'calls',
    threshold,
    amount: 0n,
    posted: 0n,
  }
}

test('a line of the ladder, in words and numbers', () => {
  const said = textOf(crossing({ rule, percent: 82n }), words)
  expect(said).toMatchObject({ severity: 'warning', title: 'support a month at 82.0 %' })
  expect(said.sentence).toBe(
    '$20,500.00 of $25,000.00 used (82.0 %); the period ends 2026-12-01 01:00 Europe/Berlin.',
  )
  expect(said.fields.map(({ name, value }) => `${name}: ${value}`)).toEqual([
    'Budget: support a month',
    'Used: $20,500.00 (82.0 %)',
    'Limit: $25,000.00',
    'Ends: 2026-12-01 01:00 Europe/Berlin',
    'Owner: kim@acme.test',
  ])
})

test('severity follows the stage', () => {
  const severities = ['0.5', '0.8', '1.0', '1.1', '1.2'].map((label) =>
    severityOf(crossing({ rule, label }), words),
  )
  expect(severities).toEqual(['warning', 'warning', 'error', 'critical', 'critical'])
  expect(textOf(crossing({ rule, label: '1.1', percent: 110n }), words).title).toBe(
    'Slowed to 50 %: support a month at 110.0 %',
  )
  const stop = textOf(crossing({ rule, label: '1.2', percent: 119n }), words)
  expect(stop.title).toBe('Stopped: support a month at 119.0 %')
  expect(stop.sentence).toContain('the hard limit ($30,000.00) are refused until')
})

const kinds: readonly (readonly [AlertKind, Readonly<Record<string, string>>, string])[] = [
  ['run_limit', { run: 'r1', agent: 'solver' }, 'Run limit reached: solver'],
  ['loop', { agent: 'solver', evidence: '6 calls alike' }, 'Loop detected: solver'],
  ['freeze', { what: 'agent=a', by: 'kim' }, 'Kill switch begun: agent=a'],
  ['forecast', { on: 'the 19th' }, 'Forecast'],
  ['burn_rate', { rate: '14 x' }, 'Spending fast'],
  ['anomaly', { usual: '$5' }, 'Unusual spend'],
  ['unpriced_model', { what: 'gpt-9' }, 'Model without a price: gpt-9'],
  ['cross_use', { key: 'dev' }, 'Key used outside its environment: dev'],
  ['channel_dead', { channel: 'slack', reason: 'no' }, 'Alerts do not arrive over slack'],
  ['review_due', { what: 'support' }, 'Budget review due: support'],
  ['test', { by: 'kim' }, 'A test of this channel'],
  ['override', { override: 'ovr_1', state: 'requested' }, 'Override requested'],
  ['overage', {}, 'Billed more than was held: a call'],
  ['resumed', { because: 'The limit was raised' }, 'Goes on: a budget'],
]
test.each(kinds)('%s has a title, a sentence and its details', (kind, details, title) => {
  const threshold = kind === 'freeze' ? ('freeze.begun' as AlertKind) : kind
  const said = textOf(about(kind, details, threshold), words)
  expect(said.title).toBe(title)
  expect(said.sentence.length).toBeGreaterThan(5)
  expect(said.fields.map(({ name }) => name)).toEqual(
    expect.arrayContaining(Object.keys(details).filter((name) => name !== 'sentence')),
  )
})

test('only a request that waits has something to decide', () => {
  const of = (state: string) => overrideAsked(about('override', { override: 'ovr_1', state }))
  expect(of('requested')).toBe('ovr_1')
  expect(of('approved')).toBeNull()
  expect(overrideAsked(about('forecast', { override: 'ovr_1', state: 'requested' }))).toBeNull()
  // What becomes of it is said where it was asked.
  const asked = about('override', { override: 'ovr_1', state: 'requested' })
  expect(subjectOf(asked)).toBe(
    subjectOf(about('override', { override: 'ovr_1', state: 'denied' })),
  )
})

test('a digest counts all, names the worst and holds every id', () => {
  const alerts = Array.from({ length: 500 }, (_, i) =>
    crossing({
      rule,
      value: `user-${i}`,
      label: i === 321 ? '1.2' : '0.8',
      percent: i === 321 ? 120n : BigInt(80 + (i % 10)),
    }),
  ) as [Alert, ...Alert[]]
  const digest = digestOf(alerts, words)
  expect(digest.title).toBe('500 alerts at once, about 500 accounts or events')
  expect(digest.sentence).toBe('499 crossed a line, 1 stopped. All of them: bursar alert list')
  expect(digest.severity).toBe('critical')
  expect(digest.lines[0]).toBe('Stopped: support a month (user-321) at 120.0 %')
  expect(digest.lines).toHaveLength(11)
  expect(digest.lines.at(-1)).toBe('... and 490 more')
  expect(digest.alerts).toHaveLength(500)
})

test('whatever names are, words are short, on one line, and well formed', () => {
  const odd = fc.string({ unit: 'binary', maxLength: 700 })
  fc.assert(
    fc.property(odd, odd, odd, (value, name, detail) => {
      const alert = crossing({ rule, value, details: { [name]: detail } })
      const { title, sentence, fields, lines } = messageOf([alert, alert], words)
      const texts = [title, sentence, ...lines, ...fields.flatMap((f) => [f.name, f.value])]
      for (const text of texts) {
        expect(text).not.toMatch(/[\p{Cc}\p{Cf}\u2028\u2029]/u)
        expect(text.isWellFormed()).toBe(true)
      }
      expect(title.length).toBeLessThanOrEqual(150)
      expect(sentence.length).toBeLessThanOrEqual(600)
      expect(fields.length).toBeLessThanOrEqual(10)
    }),
  )
  expect(
    textOf({ ...crossing({ rule }), periodEnd: instant(253_402_300_799_000) }, words).sentence,
  ).toBe('$20,000.00 of $25,000.00 used (80.0 %).')
})
