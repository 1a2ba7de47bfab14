import { expect, test } from 'vitest'
import { crossing, hourMs, snapshotOf, start } from '#test/support/alerts.ts'
import { openAccount } from './account.ts'
import type { BudgetRule } from './budget.ts'
import {
  type Climb,
  climbedBy,
  relapsedAlert,
  resumedAlert,
  toldOfEnd,
  turnOf,
} from './climbing.ts'
import { nanos } from './money.ts'
import type { Override } from './override.ts'
import { after, instant } from './time.ts'

const load = (text: string): BudgetRule => {
  const [rule] = snapshotOf(`budgets: [${text}]`).budgets
  if (rule === undefined) throw new Error('no rule')
  return rule
}
const rule = load('{ name: x, budget_monthly_usd: 100 }')
const stop = crossing({ rule, label: '1.2', percent: 118n })
const climb = climbedBy(stop, null, { rule, channels: ['slack', 'pagerduty'] }) as Climb
const account = { ...openAccount({ rule, value: null }, start), posted: nanos(118_000_000_000n) }
const standing = { rule, account, overrides: [] as readonly Override[] }
const now = after(start, 1000)
const override: Override = {
  id: 'ovr_1',
  budget: rule.id,
  value: null,
  extra: nanos(1n),
  until: after(start, hourMs),
  reason: 'why',
  requestedBy: 'a',
  requestedAt: start,
  state: 'approved',
  decidedBy: 'b',
  decidedAt: now,
  self: false,
}

test('what ends a climb, and what does not', () => {
  const turn = (more: Partial<typeof standing> | { rule: null }, at = now) =>
    turnOf(climb, { ...standing, ...more }, at).kind
  expect(turn({})).toBe('goes_on_up')
  expect(turn({}, instant(climb.periodEnd - 1))).toBe('goes_on_up')
  expect(turn({}, climb.periodEnd)).toBe('over')
  expect(turn({ rule: null })).toBe('over')
  expect(turn({ rule: { ...rule, amount: rule.amount * 2n } })).toBe('over')
  // Raised, but not by enough.
  expect(
    turn({
      rule: { ...rule, amount: rule.amount + 1n },
      account: { ...account, posted: nanos(130_000_000_000n) },
    }),
  ).toBe('goes_on_up')
  expect(turn({ rule: { ...rule, ladder: rule.ladder.slice(0, 2) } })).toBe('over')
  expect(turn({ overrides: [override] })).toBe('relieved')
  for (const other of [
    { ...override, state: 'requested' as const, decidedAt: null },
    { ...override, until: now },
    { ...override, budget: 'bud_other' as const },
    // It was there before, and the line was crossed all the same.
    { ...override, decidedAt: after(start, -1) },
  ]) {
    expect(turn({ overrides: [other] })).toBe('goes_on_up')
  }
})

test('an override that ends leaves things as they were, which is told', () => {
  const relieved = { ...climb, relieved: true }
  expect(turnOf(relieved, { ...standing, overrides: [override] }, now).kind).toBe('goes_on_up')
  const turn = turnOf(relieved, { ...standing, overrides: [override] }, after(start, hourMs))
  expect(turn.kind).toBe('relapsed')
  if (turn.kind !== 'relapsed') return
  const again = relapsedAlert(climb, turn, now)
  expect(again).toMatchObject({ kind: 'threshold', threshold: '1.2', posted: account.posted })
  expect(again.actions).toEqual(stop.actions)
  expect(again.id).not.toBe(stop.id)
  const resumed = resumedAlert(climb, { because: 'x', account, now })
  expect(resumed.id).toBe(resumedAlert(climb, { because: 'y', account: null, now: start }).id)
})

test('people hear of the end of what had stopped; a warning ends for the pager alone', () => {
  expect(toldOfEnd(climb)).toEqual(['slack', 'pagerduty'])
  const warned = crossing({ rule, label: '0.8' })
  const told = (channels: readonly string[]) => climbedBy(warned, null, { rule, channels })
  expect(told(['slack', 'email'])).toBeNull()
  expect(toldOfEnd(told(['slack', 'pagerduty']) as Climb)).toEqual(['pagerduty'])
  const watched = { ...rule, mode: 'observe' as const }
  expect(climbedBy(stop, null, { rule: watched, channels: ['slack'] })).toBeNull()
  const endless = { ...stop, periodEnd: instant(253_402_300_799_000) }
  expect(climbedBy(endless, null, { rule, channels: ['slack'] })).toBeNull()
})
