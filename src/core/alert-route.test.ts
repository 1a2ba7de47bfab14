import { expect, test } from 'vitest'
import { crossing, snapshotOf } from '#test/support/alerts.ts'
import { channelsOf, type Surroundings } from './alert-route.ts'
import type { BudgetRule } from './budget.ts'

const snapshot = snapshotOf(`budgets:
  - name: plain
    owner: kim@acme.test
    budget_daily_usd: 1
  - name: seed
    budget_monthly_usd: 25000
    alerts:
      - { threshold: 0.5, action: notify_slack }
      - { threshold: 0.8, action: notify_pagerduty }
      - { threshold: 1.0, action: throttle_to_50_percent }
      - { threshold: 1.2, actions: [hard_stop, "notify_webhook:ops"] }
`)
const [plain, seed] = snapshot.budgets as readonly [BudgetRule, BudgetRule]
const all = ['slack', 'pagerduty', 'teams', 'email', 'webhook:ops']
const around = (rule: BudgetRule, more: Partial<Surroundings> = {}): Surroundings => ({
  configured: all,
  dead: [],
  owner: rule.owner,
  ladder: rule.ladder,
  told: [],
  ...more,
})

test('the owner: their mailbox, else where people talk, else the mailbox of all, else nobody', () => {
  const alert = crossing({ rule: plain })
  const to = (more: Partial<Surroundings>) => channelsOf(alert, around(plain, more))
  expect(to({})).toEqual(['email:kim@acme.test', 'webhook:ops'])
  expect(to({ owner: null })).toEqual(['slack', 'teams', 'webhook:ops'])
  expect(to({ owner: 'kim, lee@acme.test' })).toEqual(['slack', 'teams', 'webhook:ops'])
  expect(to({ configured: ['pagerduty', 'teams'] })).toEqual(['teams'])
  expect(to({ configured: ['email'], owner: null })).toEqual(['email'])
  expect(to({ configured: ['pagerduty'] })).toEqual(['owner'])
})

test('a step goes where it says; one that slows or stops also tells who was told before', () => {
  const to = (label: string) => channelsOf(crossing({ rule: seed, label }), around(seed))
  expect(to('0.5')).toEqual(['slack', 'webhook:ops'])
  expect(to('0.8')).toEqual(['pagerduty', 'webhook:ops'])
  expect(to('1.0')).toEqual(['slack', 'pagerduty', 'webhook:ops'])
  expect(to('1.2')).toEqual(['webhook:ops'])
  const stop = crossing({ rule: plain, label: '1.2' })
  expect(channelsOf(stop, around(plain))).toEqual(['email:kim@acme.test', 'webhook:ops'])
})

test('a dead channel is told of everywhere else', () => {
  const dead = (channel: string, more: Partial<Surroundings> = {}) =>
    channelsOf(
      crossing({ rule: plain, kind: 'channel_dead', details: { channel } }),
      around(plain, more),
    )
  expect(dead('slack')).toEqual(['pagerduty', 'teams', 'email', 'webhook:ops'])
  expect(dead('email:kim@acme.test')).toEqual(['slack', 'pagerduty', 'teams', 'webhook:ops'])
  expect(dead('slack', { dead: ['slack', 'teams'] })).toEqual(['pagerduty', 'email', 'webhook:ops'])
  expect(dead('slack', { configured: ['slack'] })).toEqual(['owner'])
})

test('an end is told where the beginning was', () => {
  const end = crossing({ rule: plain, kind: 'resumed' })
  expect(channelsOf(end, around(plain, { told: ['pagerduty', 'slack'] }))).toEqual([
    'pagerduty',
    'slack',
  ])
})
