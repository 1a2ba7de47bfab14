import fc from 'fast-check'
import { expect, test } from 'vitest'
import { crossing, snapshotOf, start } from '#test/support/alerts.ts'
import type { Alert } from './alert.ts'
import type { BudgetRule } from './budget.ts'
import {
  afterDelivery,
  afterFailure,
  type ChannelState,
  freshChannel,
  isDead,
  plan,
  windowMs,
} from './delivery.ts'
import { after, type Instant } from './time.ts'

const [rule] = snapshotOf('budgets: [{ per: user, budget_daily_usd: 20 }]').budgets as readonly [
  BudgetRule,
]
const people = { gathers: true, closes: false }
const of = (value: string, label = '0.8', at: Instant = start): Alert =>
  crossing({ rule, value, label, at })
const many = (count: number, from = 0): readonly Alert[] =>
  Array.from({ length: count }, (_, i) => of(`u${from + i}`))

test('one or two are said as they are; more at once are a digest', () => {
  expect(plan(many(2), freshChannel, people, start)).toMatchObject({ digest: null, later: [] })
  expect(plan(many(2), freshChannel, people, start).single).toHaveLength(2)
  const planned = plan(many(500), freshChannel, people, start)
  expect(planned.single).toEqual([])
  expect(planned.digest).toHaveLength(500)
})

test('one account on its way up is told at every step', () => {
  let state: ChannelState = freshChannel
  for (const [i, label] of ['0.5', '0.8', '1.0', '1.1', '1.2'].entries()) {
    const now = after(start, i * 100)
    const planned = plan([of('ann', label, now)], state, people, now)
    expect(planned.single).toHaveLength(1)
    state = { ...state, window: planned.window }
  }
  const steps = [of('ann', '0.5'), of('ann', '0.8')]
  expect(plan(steps, freshChannel, people, start).single).toEqual([steps])
  // Programs get each.
  expect(plan(steps, freshChannel, { gathers: false, closes: false }, start).single).toHaveLength(2)
})

test('however they come, 500 within a window are at most 3 messages, and none is lost', () => {
  const arrivals = fc.array(fc.integer({ min: 0, max: windowMs - 1000 }), {
    minLength: 500,
    maxLength: 500,
  })
  fc.assert(
    fc.property(arrivals, (delays) => {
      const alerts = delays
        .sort((a, b) => a - b)
        .map((delay, i) => of(`u${i}`, '0.8', after(start, delay)))
      let state: ChannelState = freshChannel
      let waiting: { alert: Alert; from: Instant }[] = []
      const messages: (readonly Alert[])[] = []
      for (let now = start; now < start + 3 * windowMs; now = after(now, 250)) {
        waiting.push(
          ...alerts
            .filter(({ at }) => at <= now && at > now - 250)
            .map((alert) => ({ alert, from: now })),
        )
        const due = waiting.filter(({ from }) => from <= now).map(({ alert }) => alert)
        if (due.length === 0) continue
        const planned = plan(due, state, people, now)
        messages.push(...planned.single)
        if (planned.digest !== null) messages.push(planned.digest)
        state = { ...state, window: planned.window }
        waiting = [
          ...waiting.filter(({ from }) => from > now),
          ...planned.later.map((alert) => ({ alert, from: planned.until })),
        ]
      }
      expect(messages.length).toBeLessThanOrEqual(3)
      expect(new Set(messages.flat().map(({ id }) => id)).size).toBe(500)
      expect(messages.flat()).toHaveLength(500)
    }),
    { numRuns: 50 },
  )
})

test('what closes an incident is no message, and comes behind what opens it', () => {
  const resumed = { ...of('ann'), id: 'alrt_r' as const, kind: 'resumed' as const, actions: [] }
  const pager = { gathers: true, closes: true }
  const both = plan([of('ann'), resumed], freshChannel, pager, start)
  expect(both.single).toEqual([[of('ann')]])
  expect(both.later).toEqual([resumed])
  const ends = many(60).map((one) => ({ ...one, kind: 'resumed' as const }))
  expect(plan(ends, freshChannel, pager, start)).toMatchObject({ digest: null })
  expect(plan(ends, freshChannel, pager, start).single).toHaveLength(60)
})

test('a request keeps its buttons in the middle of a storm', () => {
  const asked: Alert = {
    ...of('x'),
    kind: 'override',
    details: { override: 'ovr_1', state: 'requested' },
  }
  const planned = plan([...many(100), asked], freshChannel, people, start)
  expect(planned.single).toEqual([[asked]])
  expect(planned.digest).toHaveLength(100)
})

test('failures: longer and longer, as long as asked, told as dead once they go on', () => {
  const failure = { reason: 'no', retryAfterMs: null, lasting: null }
  let state: ChannelState = freshChannel
  const waits: number[] = []
  for (let i = 0; i < 9; i += 1) {
    state = afterFailure(state, failure, start, 1)
    waits.push((state.pausedUntil - start) / 1000)
    expect(isDead(state, null)).toBe(i >= 5)
  }
  expect(waits).toEqual([5, 10, 20, 40, 80, 160, 320, 600, 600])
  const asked = afterFailure(freshChannel, { ...failure, retryAfterMs: 90_000 }, start, 0)
  expect(asked.pausedUntil).toBe(start + 90_000)
  const gone = afterFailure(freshChannel, { ...failure, lasting: 'channel' }, start, 1)
  expect(isDead(gone, 'channel')).toBe(true)
  // One message that is refused does not hold up the next.
  const refused = afterFailure(freshChannel, { ...failure, lasting: 'message' }, start, 1)
  expect(refused.pausedUntil).toBe(freshChannel.pausedUntil)
  expect(afterDelivery(state, start)).toMatchObject({ failures: 0, dead: false, lastError: null })
})
