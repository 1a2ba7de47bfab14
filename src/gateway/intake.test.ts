import fc from 'fast-check'
import { expect, test } from 'vitest'
import { usualLimits } from './deps.ts'
import { Intake, type IntakeLimits } from './intake.ts'

/** A loop whose time is what is said to have passed, and whose turns end when told. */
function loop(limits: Partial<IntakeLimits>) {
  let now = 0
  const ends: (() => void)[] = []
  const soon = (next: () => void): void => void ends.push(next)
  const ledger = { busy: false }
  const turns = { now: () => now, afterTurn: soon, later: soon }
  const intake = new Intake({ ...usualLimits, ...limits }, () => ledger.busy, turns)
  const told: string[] = []
  return {
    intake,
    ledger,
    told,
    /** A call that takes `ms` of the loop to begin. */
    call: (caller: string, ms: number, name = caller): void => {
      const begin = (): void => {
        told.push(`${name} begins`)
        now += ms
      }
      intake.enter(caller, begin, (why) => told.push(`${name} ${why}`))
    },
    endTurn: (): void => {
      for (const end of ends.splice(0)) end()
    },
    pass: (ms: number): void => {
      now += ms
    },
  }
}

test('calls under way are bounded, all before those of one key', () => {
  const { intake, call, told } = loop({ callsMax: 3, callsPerKeyMax: 2 })
  call('a', 0)
  call('a', 0)
  call('a', 0)
  call('b', 0)
  call('b', 0)
  call('a', 0)
  expect(told).toEqual(['a begins', 'a begins', 'a key_full', 'b begins', 'b full', 'a full'])
  intake.leave('a')
  call('a', 0)
  expect(told.at(-1)).toBe('a begins')
  expect(intake.underWay).toBe(3)
})

test('what would make a turn long begins in the next', () => {
  const { call, endTurn, told } = loop({ turnMs: 10 })
  for (const name of ['1', '2', '3', '4', '5']) call('a', 6, name)
  expect(told).toEqual(['1 begins', '2 begins'])
  endTurn()
  expect(told).toEqual(['1 begins', '2 begins', '3 begins', '4 begins'])
  call('a', 6, '6')
  endTurn()
  endTurn()
  expect(told.slice(4)).toEqual(['5 begins', '6 begins'])
})

test('one at least begins in a turn, however short it is to be', () => {
  const { call, endTurn, told } = loop({ turnMs: 0 })
  call('a', 1, '1')
  call('a', 1, '2')
  endTurn()
  endTurn()
  expect(told).toEqual(['1 begins', '2 begins'])
})

test('while the ledger has enough to do, calls wait before it', () => {
  const { call, endTurn, ledger, told } = loop({})
  ledger.busy = true
  call('a', 1, '1')
  call('a', 1, '2')
  endTurn()
  expect(told).toEqual([])
  ledger.busy = false
  call('a', 1, '3')
  expect(told).toEqual([])
  endTurn()
  expect(told).toEqual(['1 begins', '2 begins', '3 begins'])
})

test('a ledger that is stuck keeps nobody waiting longer than so long', () => {
  const { call, endTurn, intake, ledger, pass, told } = loop({ waitMs: 1000, queueMs: 5000 })
  ledger.busy = true
  call('a', 1, 'a 1')
  pass(600)
  call('a', 1, 'a 2')
  call('b', 1, 'b 1')
  pass(600)
  endTurn()
  expect(told).toEqual(['a 1 late'])
  pass(600)
  endTurn()
  expect(told.slice(1)).toEqual(['a 2 late', 'b 1 late'])
  expect(intake.underWay).toBe(0)
})

test('the loud wait behind themselves, not before the others', () => {
  const { call, endTurn, told } = loop({ turnMs: 10 })
  call('loud', 10, 'first')
  for (const name of ['1', '2', '3']) call('loud', 10, `loud ${name}`)
  call('quiet', 10)
  for (let turn = 0; turn < 4; turn += 1) endTurn()
  expect(told.slice(1)).toEqual(['loud 1 begins', 'quiet begins', 'loud 2 begins', 'loud 3 begins'])
})

test.each([
  ['too many wait', { queueMax: 3 }, 0],
  ['one has waited too long', { queueMs: 250 }, 300],
])('when %s the newest of the loudest is sent away', (_name, limits, passes) => {
  const { intake, call, told, pass } = loop({ turnMs: 10, ...limits })
  call('loud', 10, 'first')
  for (const name of ['1', '2']) call('loud', 10, `loud ${name}`)
  call('quiet', 10, 'quiet 1')
  pass(passes)
  call('quiet', 10, 'quiet 2')
  call('loud', 10, 'loud 3')
  expect(told).toEqual(['first begins', 'loud 2 late', 'loud 3 late'])
  expect(intake.underWay).toBe(4)
})

test('room for bodies is given and taken back, to nobody all of it', () => {
  const { intake } = loop({
    bodiesBytesMax: 100,
    bodiesBytesPerKeyMax: 70,
    bodiesBytesStrangersMax: 10,
  })
  expect(intake.takeBytes('a', 60)).toBe(true)
  expect(intake.takeBytes('a', 11)).toBe(false)
  expect(intake.takeBytes('b', 41)).toBe(false)
  expect(intake.takeBytes('stranger', 11)).toBe(false)
  expect(intake.takeBytes('stranger', 10)).toBe(true)
  expect(intake.takeBytes('b', 30)).toBe(true)
  intake.giveBytes('a', 60)
  expect(intake.takeBytes('b', 40)).toBe(true)
  expect(intake.takeBytes('a', 20)).toBe(true)
})

test('whatever comes, each call is told once, and nothing is counted in the end', () => {
  const step = fc.oneof(
    fc.record({ caller: fc.constantFrom('a', 'b', 'c'), ms: fc.integer({ min: 0, max: 20 }) }),
    fc.constantFrom('end' as const, 'pass' as const, 'leave' as const, 'busy' as const),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const limits = { callsMax: 20, callsPerKeyMax: 12, turnMs: 10, queueMs: 50, queueMax: 8 }
      const { intake, call, told, endTurn, pass, ledger } = loop(limits)
      let calls = 0
      const gone: string[] = []
      const begun = (): string[] =>
        told.filter((line) => line.endsWith('begins')).map((line) => line.split(' ')[0] ?? '')
      for (const one of steps) {
        if (one === 'end') endTurn()
        else if (one === 'pass') pass(30)
        else if (one === 'busy') ledger.busy = !ledger.busy
        else if (one === 'leave') {
          const next = begun()[gone.length]
          if (next !== undefined) {
            intake.leave(next)
            gone.push(next)
          }
        } else {
          calls += 1
          call(one.caller, one.ms)
        }
        expect(intake.underWay).toBeLessThanOrEqual(20)
      }
      ledger.busy = false
      for (let turn = 0; turn < 50; turn += 1) endTurn()
      expect(told.length).toBe(calls)
      for (const caller of begun().slice(gone.length)) intake.leave(caller)
      expect(intake.underWay).toBe(0)
      expect(intake.tooMuch('a')).toBeNull()
    }),
    { numRuns: 2000 },
  )
})
