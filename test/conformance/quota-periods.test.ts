/** A quota is new at the exact local instant, wherever that is and whatever the clocks do. */
import { expect, test } from 'vitest'
import type { BudgetRule } from '#core/budget.ts'
import type { Rules } from '#core/journal.ts'
import { type Instant, instant, periodAt } from '#core/time.ts'
import { MemoryStore } from '#store/memory.ts'
import { holdOf, ruleOf } from '#test/support/ledger.ts'

const zones = [
  'UTC',
  'Europe/Berlin',
  'America/New_York',
  'America/St_Johns',
  'America/Sao_Paulo',
  'Africa/Cairo',
  'Asia/Kolkata',
  'Asia/Kathmandu',
  'Asia/Tokyo',
  'Australia/Lord_Howe',
  'Pacific/Chatham',
  'Pacific/Apia',
]
const kinds = ['hour', 'day', 'week', 'month'] as const
/** Changes of the clocks, ends of months of every length, a leap day, a change of year. */
const days = [
  '2026-03-08',
  '2026-03-29',
  '2026-04-05',
  '2026-10-04',
  '2026-10-25',
  '2026-11-01',
  '2026-02-28',
  '2028-02-29',
  '2026-04-30',
  '2026-08-31',
  '2026-12-31',
]

let no = 0

/** Whether a call at `now` is admitted. */
async function isAdmitted(store: MemoryStore, rule: BudgetRule, now: Instant): Promise<boolean> {
  no += 1
  const rules: Rules = () => rule
  const command = { ...holdOf(no), accounts: [{ rule, value: null }] }
  const late = { ...command, expiresAt: instant(now + 1000) }
  return (await store.run(late, now, rules)).result.status === 'applied'
}

test.each(zones)('%s: one a period, to the millisecond', async (timeZone) => {
  const wrong: string[] = []
  for (const [at, day] of days.entries()) {
    for (const period of kinds) {
      const store = new MemoryStore()
      const rule = ruleOf(`q${at}-${period}`, {
        unit: 'calls',
        amount: 1n,
        period,
        timeZone,
        ladder,
      })
      const { start, end } = periodAt(period, timeZone, instant(Date.parse(`${day}T12:00:00Z`)))
      const seen = [
        await isAdmitted(store, rule, start),
        await isAdmitted(store, rule, instant(end - 1)),
        await isAdmitted(store, rule, end),
        await isAdmitted(store, rule, end),
      ]
      if (seen.join() !== 'true,false,true,false') wrong.push(`${day} ${period}: ${seen}`)
      wrong.push(...oddStart(period, timeZone, start))
    }
  }
  expect(wrong).toEqual([])
})

const ladder = [
  {
    label: '1.0',
    at: { numerator: 1n, denominator: 1n },
    actions: [{ kind: 'hard_stop' as const }],
  },
]

/** By another reckoning than ours: what a calendar on the wall says when the period begins. */
function oddStart(period: string, timeZone: string, start: Instant): readonly string[] {
  const parts = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
    weekday: 'short',
    day: 'numeric',
  }).formatToParts(start)
  const said = new Map(parts.map(({ type, value }) => [type, value]))
  const time = `${said.get('hour')}:${said.get('minute')}:${said.get('second')}`
  const faults: string[] = []
  if (period !== 'hour' && !/^0[01]:00:00$/.test(time)) faults.push(`begins at ${time}`)
  if (period === 'week' && said.get('weekday') !== 'Mon') faults.push(`on ${said.get('weekday')}`)
  if (period === 'month' && said.get('day') !== '1') faults.push(`on the ${said.get('day')}`)
  return faults.map((fault) => `${period} in ${timeZone} ${fault}`)
}
