import { expect, test } from 'vitest'
import type { OutcomePace } from '#core/outcome-limit.ts'
import { instant } from '#core/time.ts'
import { nobody } from '#test/support/ledger.ts'
import { start } from '#test/support/outcomes.ts'
import { Paces } from './paces.ts'

const pace: OutcomePace = {
  limit: 'l',
  name: 'resolver',
  selector: { agent: 'resolver' },
  percent: 50,
  baselinePerHour: 120,
  until: instant(start + 10 * 3_600_000),
}
const resolver = { ...nobody, agent: 'resolver' }
const at = (minutes: number) => instant(start + minutes * 60_000)

test('a slot a minute, evenly, from the first call on; others go as they went', () => {
  const paces = new Paces()
  expect(paces.take([pace], resolver, at(0))?.retryAt).toBe(at(1))
  expect(paces.take([pace], resolver, at(0.5))?.retryAt).toBe(at(1))
  expect(paces.take([pace], nobody, at(0.5))).toBeNull()
  expect(paces.take([pace], resolver, at(1))).toBeNull()
  expect(paces.take([pace], resolver, at(1))?.retryAt).toBe(at(2))
  // A quiet stretch saves up nothing.
  expect(paces.take([pace], resolver, at(60))).toBeNull()
  expect(paces.take([pace], resolver, at(60))?.retryAt).toBe(at(61))
})

test('of two paces the one that waits keeps the other’s slot free', () => {
  const paces = new Paces()
  const other = { ...pace, limit: 'o', selector: {}, percent: 25 }
  expect(paces.take([pace, other], resolver, at(0))?.pace.limit).toBe('l')
  expect(paces.take([pace, other], resolver, at(1))?.pace.limit).toBe('o')
  expect(paces.take([pace], resolver, at(1))).toBeNull()
})

test('a new period begins unslowed', () => {
  const paces = new Paces()
  expect(paces.take([pace], resolver, pace.until)).toBeNull()
  expect(paces.take([], resolver, at(0))).toBeNull()
})
