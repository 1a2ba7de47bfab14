import { expect, test } from 'vitest'
import { decide, endNow, noRelief, type Override, reliefOf } from './override.ts'
import { nanos } from './money.ts'
import { instant } from './time.ts'

const asked: Override = {
  id: 'ovr_1',
  budget: 'bud_team',
  value: null,
  extra: nanos(100n),
  until: instant(1000),
  reason: 'launch',
  requestedBy: 'ann',
  requestedAt: instant(0),
  state: 'requested',
  decidedBy: null,
  decidedAt: null,
  self: false,
}
const approved: Override = { ...asked, state: 'approved' }
const account = { budget: 'bud_team', value: null } as const

test('only what was approved lifts anything, and only until its end', () => {
  expect(reliefOf([asked], account, instant(1))).toEqual(noRelief)
  expect(reliefOf([{ ...asked, state: 'denied' }], account, instant(1))).toEqual(noRelief)
  expect(reliefOf([approved], account, instant(999))).toEqual({ extra: 100n, lifted: false })
  expect(reliefOf([approved], account, instant(1000))).toEqual(noRelief)
})

test('extras add up, and one without an amount lifts the limit', () => {
  const relief = reliefOf([approved, approved, { ...approved, extra: null }], account, instant(1))
  expect(relief).toEqual({ extra: 200n, lifted: true })
})

test('an override for one user lifts nobody else', () => {
  const mine = { ...approved, value: 'ann' }
  expect(reliefOf([mine], { ...account, value: 'bob' }, instant(1))).toEqual(noRelief)
  expect(reliefOf([mine], { budget: 'bud_other', value: 'ann' }, instant(1))).toEqual(noRelief)
  expect(reliefOf([mine], { ...account, value: 'ann' }, instant(1)).extra).toBe(100n)
})

test('another person decides, once, and in time', () => {
  const ann = { person: 'tok_ann', name: 'ann', through: null, self: false }
  const bob = { person: 'tok_bob', name: 'bob', through: null, self: false }
  expect(decide(asked, ann, 'approved', instant(1))).toBe('needs_another_person')
  expect(decide(asked, bob, 'approved', instant(1000))).toBe('too_late')
  expect(decide(approved, bob, 'denied', instant(1))).toBe('already_decided')
  const decided = { state: 'approved', decidedBy: 'bob', decidedAt: 1, self: false }
  expect(decide(asked, bob, 'approved', instant(1))).toMatchObject(decided)
  const own = decide(asked, { ...ann, self: true }, 'approved', instant(1))
  expect(own).toMatchObject({ state: 'approved', self: true })
})

test('another person, not another name', () => {
  const kim = { ...asked, requester: 'tok_kim', requestedBy: 'ann', requestedThrough: 'kim' }
  const by = (person: string, name: string, through: string | null = null) =>
    decide(kim, { person, name, through, self: false }, 'approved', instant(1))
  expect(by('tok_kim', 'kim')).toBe('needs_another_person')
  expect(by('tok_kim', 'bob', 'kim')).toBe('needs_another_person')
  // Neither who is said to have asked, nor in that person's stead.
  expect(by('tok_ann', 'ann')).toBe('needs_another_person')
  expect(by('tok_bob', 'ann', 'bob')).toBe('needs_another_person')
  expect(by('tok_bob', 'lee', 'bob')).toMatchObject({
    state: 'approved',
    decidedBy: 'lee',
    decidedThrough: 'bob',
    self: false,
  })
  // Denying one's own is taking it back.
  const own = { person: 'tok_kim', name: 'kim', through: null, self: false }
  expect(decide(kim, own, 'denied', instant(1))).toMatchObject({ state: 'denied' })
  // Before there were other tokens, everybody was the installation's own.
  const older = { ...own, person: 'admin', name: 'bob' }
  expect(decide(asked, older, 'approved', instant(1))).toBe('needs_another_person')
})

test('ended before its time, it lifts nothing from then on', () => {
  const ended = endNow(approved, instant(10))
  expect(ended).toMatchObject({ until: 10 })
  expect(endNow(asked, instant(10))).toBe('not_in_force')
})
