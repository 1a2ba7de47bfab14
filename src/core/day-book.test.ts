import { expect, test } from 'vitest'
import type { Account } from './account.ts'
import { closeDays, type DayBook, seriesSince, valuesMax } from './day-book.ts'
import { dayMs } from './spend.ts'
import { instant, type Period, periodAt } from './time.ts'

const first = Date.UTC(2026, 8, 1)
const minuteMs = 60_000

interface Ledger {
  add(value: string, at: number, nanos: bigint): void
  at(at: number): readonly Account[]
  /** The round a few minutes after midnight. */
  close(book: DayBook | null, day: number): DayBook
}

/** Balances by month and value, as a ledger has them. */
function ledgerIn(zone: string): Ledger {
  const accounts = new Map<string, Account>()
  const periodOf = (at: number): Period => periodAt('month', zone, instant(at))
  const dearest = (at: number): readonly Account[] =>
    [...accounts.values()]
      .filter(({ period }) => period.start <= at && at < period.end)
      .toSorted((a, b) => Number(b.posted - a.posted))
      .slice(0, valuesMax)
  return {
    add: (value, at, nanos) => {
      const period = periodOf(at)
      const key = `${period.start}|${value}`
      const posted = (accounts.get(key)?.posted ?? 0n) + nanos
      accounts.set(key, { key, value, period, posted } as unknown as Account)
    },
    at: dearest,
    close: (book, day) => {
      const now = day + 3 * minuteMs
      const { start } = periodOf(now)
      const before = book === null ? [] : dearest(start - 1)
      return closeDays(book, { start, now: dearest(now), before }, instant(day))
    },
  }
}

test.each(['UTC', 'Asia/Tokyo', 'America/New_York', 'Asia/Kathmandu'])(
  'days are what was spent on them, over the ends of months: %s',
  (zone) => {
    const ledger = ledgerIn(zone)
    const spent = new Map<string, number[]>()
    ledger.add('old', first - dayMs, 700n)
    let book = ledger.close(null, first)
    for (let day = 0; day < 70; day += 1) {
      for (const value of ['ann', 'bob', 'cy']) {
        const days = spent.get(value) ?? []
        if (value === 'cy' && day < 40) continue
        const cost = value === 'bob' && day % 7 > 4 ? 0 : 10 + day * (value === 'ann' ? 3 : 1)
        // From four in the morning, and in the evening: both sides of any zone's midnight.
        const hours = [4, 21]
        for (const hour of hours) {
          ledger.add(value, first + day * dayMs + hour * 3_600_000, BigInt(cost))
        }
        spent.set(value, [...days, cost * hours.length])
      }
      book = ledger.close(book, first + (day + 1) * dayMs)
      expect(ledger.close(book, first + (day + 1) * dayMs)).toBe(book)
    }
    const known = new Map(book.values.map(({ value, days }) => [value, days]))
    for (const [value, days] of spent) expect(known.get(value)).toEqual(days.slice(-60))
    // What it spent before anybody kept a book is on no day.
    expect(known.get('old')?.every((nanos) => nanos === 0) ?? true).toBe(true)
  },
)

test('today is what its account has posted since the last day was closed', () => {
  const ledger = ledgerIn('UTC')
  ledger.add('ann', first + minuteMs, 5n)
  const book = ledger.close(null, first)
  ledger.add('ann', first + 60 * minuteMs, 7n)
  ledger.add('new', first + 60 * minuteMs, 9n)
  const seen = new Map(book.values.map((one) => [one.value, one]))
  const series = ledger
    .at(first + 61 * minuteMs)
    .map((account) => [account.value, seriesSince(seen.get(account.value), account)])
  expect(Object.fromEntries(series)).toEqual({
    ann: { days: [], today: 7 },
    new: { days: [], today: 9 },
  })
})

test('days on which nobody looked share what was spent; a correction makes no day negative', () => {
  const ledger = ledgerIn('UTC')
  let book = ledger.close(null, first)
  ledger.add('ann', first + 60 * minuteMs, 40n)
  book = ledger.close(book, first + 4 * dayMs)
  ledger.add('ann', first + 4 * dayMs + 60 * minuteMs, -15n)
  book = ledger.close(book, first + 5 * dayMs)
  expect(book.values).toMatchObject([{ value: 'ann', days: [10, 10, 10, 10, 0], posted: 25n }])
})

test('another time zone in the middle of a month moves its beginning, and no money', () => {
  const accountIn = (zone: string, posted: bigint): Account => {
    const period = periodAt('month', zone, instant(first + 10 * dayMs))
    return { key: zone, value: 'ann', period, posted } as unknown as Account
  }
  const [before, after] = [accountIn('Europe/Berlin', 100n), accountIn('Asia/Tokyo', 107n)]
  const balances = (account: Account) => ({
    now: [account],
    before: [],
    start: account.period.start,
  })
  const book = closeDays(null, balances(before), instant(first + 10 * dayMs))
  const next = closeDays(book, balances(after), instant(first + 11 * dayMs))
  expect(next.values).toMatchObject([{ value: 'ann', days: [7], posted: 107n }])
  expect(seriesSince(book.values[0], after).today).toBe(7)
})

test('of more values than are kept nobody gets days that he may have spent on before', () => {
  const ledger = ledgerIn('UTC')
  for (let no = 0; no < valuesMax + 10; no += 1) {
    ledger.add(`user ${no}`, first + minuteMs, BigInt(1_000_000 - no))
  }
  let book = ledger.close(null, first)
  expect(book).toMatchObject({ isWhole: false })
  expect(book.values).toHaveLength(valuesMax)
  // One that was left out becomes the dearest.
  ledger.add(`user ${valuesMax + 5}`, first + 60 * minuteMs, 5_000_000n)
  ledger.add('user 3', first + 60 * minuteMs, 50n)
  book = ledger.close(book, first + dayMs)
  const days = new Map(book.values.map((one) => [one.value, one.days]))
  expect(book.values).toHaveLength(valuesMax)
  expect(days.get('user 3')).toEqual([50])
  expect(days.get(`user ${valuesMax + 5}`)).toEqual([])
})
