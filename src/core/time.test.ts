import { expect, test } from 'vitest'
import {
  type Instant,
  instant,
  isTimeZone,
  parseInstant,
  periodAt,
  periodKinds,
  toIso,
} from './time.ts'

const zones = [
  'UTC',
  'Europe/Berlin',
  'America/New_York',
  'America/Los_Angeles',
  'Asia/Kolkata',
  'Asia/Kathmandu',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'America/Havana',
  'Asia/Beirut',
  'Africa/Cairo',
  'America/Sao_Paulo',
]

const at = (text: string): Instant => parseInstant(text) ?? instant(Number.NaN)

test.each(zones)('%s: every period holds its instant and ends where the next begins', (zone) => {
  const year = Date.UTC(2026, 0, 1)
  for (let day = 0; day < 800; day += 1) {
    const now = instant(year + day * 86_400_000 + 41_234_567)
    for (const kind of periodKinds) {
      const { start, end } = periodAt(kind, zone, now)
      expect(start).toBeLessThanOrEqual(now)
      expect(now).toBeLessThan(end)
      expect(periodAt(kind, zone, start)).toEqual({ start, end })
      expect(periodAt(kind, zone, instant(end - 1))).toEqual({ start, end })
      expect(periodAt(kind, zone, end).start).toBe(end)
    }
  }
})

const table: readonly (readonly [
  kind: 'hour' | 'day' | 'week' | 'month' | 'quarter' | 'year',
  zone: string,
  now: string,
  start: string,
  end: string,
])[] = [
  ['day', 'Europe/Berlin', '2026-03-29T12:00:00Z', '2026-03-28T23:00:00Z', '2026-03-29T22:00:00Z'],
  ['day', 'Europe/Berlin', '2026-10-25T12:00:00Z', '2026-10-24T22:00:00Z', '2026-10-25T23:00:00Z'],
  [
    'day',
    'America/New_York',
    '2026-03-08T12:00:00Z',
    '2026-03-08T05:00:00Z',
    '2026-03-09T04:00:00Z',
  ],
  ['day', 'Asia/Kolkata', '2026-05-01T18:29:59Z', '2026-04-30T18:30:00Z', '2026-05-01T18:30:00Z'],
  ['hour', 'Asia/Kolkata', '2026-05-01T18:45:00Z', '2026-05-01T18:30:00Z', '2026-05-01T19:30:00Z'],
  ['day', 'America/Havana', '2026-03-08T12:00:00Z', '2026-03-08T05:00:00Z', '2026-03-09T04:00:00Z'],
  ['week', 'UTC', '2026-11-22T23:59:59Z', '2026-11-16T00:00:00Z', '2026-11-23T00:00:00Z'],
  ['week', 'UTC', '2026-11-23T00:00:00Z', '2026-11-23T00:00:00Z', '2026-11-30T00:00:00Z'],
  ['month', 'UTC', '2028-02-29T12:00:00Z', '2028-02-01T00:00:00Z', '2028-03-01T00:00:00Z'],
  [
    'month',
    'Europe/Berlin',
    '2026-01-31T22:59:59Z',
    '2025-12-31T23:00:00Z',
    '2026-01-31T23:00:00Z',
  ],
  [
    'month',
    'Europe/Berlin',
    '2026-01-31T23:00:00Z',
    '2026-01-31T23:00:00Z',
    '2026-02-28T23:00:00Z',
  ],
  ['quarter', 'UTC', '2026-06-30T23:59:59Z', '2026-04-01T00:00:00Z', '2026-07-01T00:00:00Z'],
  ['year', 'Pacific/Apia', '2026-12-31T10:59:59Z', '2025-12-31T11:00:00Z', '2026-12-31T11:00:00Z'],
]

test.each(table)('%s in %s at %s', (kind, zone, now, start, end) => {
  const period = periodAt(kind, zone, at(now))
  expect([toIso(period.start), toIso(period.end)]).toEqual([start, end])
})

test('days of 23 and 25 hours are as long as they are', () => {
  const length = (now: string): number => {
    const { start, end } = periodAt('day', 'Europe/Berlin', at(now))
    return (end - start) / 3_600_000
  }
  expect([length('2026-03-29T12:00:00Z'), length('2026-10-25T12:00:00Z')]).toEqual([23, 25])
})

test('a time zone is an IANA name', () => {
  expect(isTimeZone('Europe/Berlin')).toBe(true)
  expect(isTimeZone('Europe/Atlantis')).toBe(false)
})
