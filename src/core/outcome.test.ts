import { expect, test } from 'vitest'
import { booksOf, usualClose } from './outcome-books.ts'
import { isSameEvent, foldOutcomes, isCounted, type OutcomeEvent } from './outcome.ts'
import { type Instant, instant, parseInstant, periodAt } from './time.ts'
import { claim, reversal, start } from '#test/support/outcomes.ts'

const hour = 3_600_000
const later = (ms: number): Instant => instant(start + ms)
const slow = { version: 'v1', quietMs: 72 * hour, attestedBy: null }

const stateAt = (events: readonly OutcomeEvent[], known: Instant): string =>
  foldOutcomes(events, known)
    .map(({ state, repeats }) => (repeats === null ? state : `${state} after ${repeats}`))
    .join(', ')

test('it holds once the quiet period has passed, not a millisecond before', () => {
  const one = [claim('a', { definition: slow })]
  expect(stateAt(one, instant(start - 1))).toBe('')
  expect(stateAt(one, start)).toBe('provisional')
  expect(stateAt(one, later(72 * hour - 1))).toBe('provisional')
  expect(stateAt(one, later(72 * hour))).toBe('confirmed')
})

test.each([
  ['Europe/Berlin', '2026-10-24T12:00:00Z'],
  ['Europe/Berlin', '2026-03-28T12:00:00Z'],
  ['America/New_York', '2026-10-31T12:00:00Z'],
])('72 h are 72 h, also where %s changes its clocks after %s', (timeZone, text) => {
  const at = parseInstant(text) ?? start
  const one = [claim('a', { at, definition: slow })]
  const day = periodAt('day', timeZone, instant(at + 24 * hour))
  expect(day.end - day.start).not.toBe(24 * hour)
  expect(stateAt(one, instant(at + 72 * hour - 1))).toBe('provisional')
  expect(stateAt(one, instant(at + 72 * hour))).toBe('confirmed')
})

test('a word that does not count leaves it open until one does', () => {
  const definition = { ...slow, attestedBy: ['human'] } as const
  const said = claim('a', { definition, attestedBy: 'agent' })
  const year = later(8760 * hour)
  expect(stateAt([said], year)).toBe('provisional')
  const confirmed = (attestedBy: OutcomeEvent['attestedBy']): OutcomeEvent => ({
    ...said,
    id: `${attestedBy} says so`,
    kind: 'confirmed',
    at: later(hour),
    bookedAt: later(hour),
    attestedBy,
  })
  expect(stateAt([said, confirmed('silence')], year)).toBe('provisional')
  const both = [said, confirmed('silence'), confirmed('human')]
  expect(stateAt(both, later(hour - 1))).toBe('provisional')
  expect(stateAt(both, later(hour))).toBe('confirmed')
  // Of a word that counts, the quiet period is the only condition; somebody's word cuts it short.
  const own = claim('b', { definition, attestedBy: 'human' })
  expect(stateAt([own], later(72 * hour))).toBe('confirmed')
})

test('reversed in the quiet period or ever after, it is reversed from when we heard', () => {
  const one = claim('a', { definition: slow })
  const early = [one, reversal(one, { bookedAt: later(hour) })]
  expect(stateAt(early, later(hour - 1))).toBe('provisional')
  expect(stateAt(early, later(hour))).toBe('reversed')
  expect(stateAt(early, later(99 * hour))).toBe('reversed')
  const late = [one, reversal(one, { bookedAt: later(999 * hour) })]
  expect(stateAt(late, later(998 * hour))).toBe('confirmed')
  expect(stateAt(late, later(999 * hour))).toBe('reversed')
})

test('one per subject: the first that was booked counts, and the next once that is reversed', () => {
  const subject = 'case 7'
  const [first, second] = [claim('a', { subject }), claim('b', { subject, at: later(1) })]
  expect(stateAt([first, second], later(1))).toBe('confirmed, confirmed after a')
  const all = [first, second, reversal(first, { bookedAt: later(5) })]
  expect(stateAt(all, later(4))).toBe('confirmed, confirmed after a')
  expect(stateAt(all, later(5))).toBe('reversed, confirmed')
})

test('told late, it is counted where it happened, and not in the books that were closed', () => {
  const month = periodAt('month', 'UTC', start)
  const closedAt = usualClose(month, slow.quietMs)
  const after = instant(closedAt + hour)
  const reported = claim('a', { at: month.start, definition: slow })
  const late = claim('b', { at: month.start, bookedAt: after, definition: slow })
  const next = claim('c', { at: month.end, definition: slow })
  const events = [reported, next, late, reversal(reported, { bookedAt: after })]
  const then = booksOf(events, month, { closedAt, now: closedAt })
  expect([then.reported.length, then.restated.length, then.added.length]).toEqual([1, 1, 0])
  const now = booksOf(events, month, { closedAt, now: after })
  const ids = (views: typeof now.added): readonly string[] => views.map(({ claim: { id } }) => id)
  expect(ids(now.reported.filter(isCounted))).toEqual(['a'])
  expect(ids(now.restated.filter(isCounted))).toEqual(['b'])
  expect([ids(now.added), ids(now.removed)]).toEqual([['b'], ['a']])
})

test('the last moment of a month is in it, and its end is not', () => {
  const month = periodAt('month', 'UTC', start)
  const events = [
    claim('in', { at: instant(month.end - 1), definition: slow }),
    claim('out', { at: month.end, definition: slow }),
  ]
  const closedAt = usualClose(month, slow.quietMs)
  const { reported } = booksOf(events, month, { closedAt, now: closedAt })
  expect(reported.map(({ claim: { id }, state }) => [id, state])).toEqual([['in', 'confirmed']])
})

test('the same news is the same, whenever we heard it', () => {
  const one = claim('a')
  expect(isSameEvent(one, { ...one, bookedAt: later(9), seq: 4 } as OutcomeEvent)).toBe(true)
  expect(isSameEvent(one, { ...one, at: later(1) })).toBe(false)
  expect(isSameEvent(one, { ...one, value: 1n as OutcomeEvent['value'] })).toBe(false)
  expect(isSameEvent(one, { ...one, attestedBy: 'agent' })).toBe(false)
})
