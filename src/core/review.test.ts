import { expect, test } from 'vitest'
import { asReview, firstSeen, proposalOf, reviewAlerts, reviewState } from '#core/review.ts'
import { dayMs } from '#core/spend.ts'
import { instant } from '#core/time.ts'
import { ruleOf, start } from '#test/support/ledger.ts'

const rule = ruleOf('support', { reviewEveryDays: 90, period: 'month', owner: 'lee@acme.test' })
const later = (days: number) => instant(start + days * dayMs)

test('due after its days, told once to the owner, to all two weeks later', () => {
  const seen = firstSeen(start)
  const at = (days: number) => {
    const now = later(days)
    const state = reviewState(rule, seen, now)
    return state === null ? [] : reviewAlerts(state, now)
  }
  expect(at(89)).toEqual([])
  expect(at(90).map(({ threshold }) => threshold)).toEqual(['due'])
  expect(at(103).map(({ threshold }) => threshold)).toEqual(['due'])
  expect(at(104).map(({ threshold }) => threshold)).toEqual(['due', 'overdue'])
  // The same reminder has the same id, whenever it is raised.
  expect(at(90)[0]?.id).toBe(at(120)[0]?.id)
  expect(at(104)[1]?.details).toMatchObject({ 'last reviewed': 'never', overdue: '14 days' })
})

test('a review begins the next time; a rule without review_every has none', () => {
  const reviewed = { at: later(100), by: 'dana', note: 'still right', isFirst: false }
  expect(reviewState(rule, reviewed, later(189))?.isDue).toBe(false)
  expect(reviewState(rule, reviewed, later(190))?.isDue).toBe(true)
  expect(reviewState({ ...rule, reviewEveryDays: null }, reviewed, later(500))).toBeNull()
  expect(asReview(JSON.parse(JSON.stringify(reviewed)))).toEqual(reviewed)
  expect(asReview({ at: 'yesterday' })).toBeNull()
})

test('a proposal is what nine of ten periods stay under, in two digits', () => {
  const steady = Array.from({ length: 90 }, () => 10_000_000_000)
  const found = proposalOf(rule, steady)
  expect(found?.expected).toBeCloseTo(300_000_000_000, -6)
  expect(found?.spent).toBe(900_000_000_000)
  expect(found?.amount).toBe(300_000_000_000)
  const grown = Array.from({ length: 90 }, (_, day) => (day < 60 ? 10e9 : 30e9))
  expect(proposalOf(rule, grown)?.amount).toBeGreaterThanOrEqual(850e9)
  expect(proposalOf(rule, [1, 2, 3])).toBeNull()
  expect(proposalOf({ ...rule, period: 'hour' }, steady)).toBeNull()
})
