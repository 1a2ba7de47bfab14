import { expect, test } from 'vitest'
import { anomalyOf } from './anomaly.ts'
import { forecast } from './forecast.ts'

type Chance = () => number

/** mulberry32. */
function generator(seed: number): Chance {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

const bell = (chance: Chance): number =>
  Math.sqrt(-2 * Math.log(Math.max(chance(), 1e-12))) * Math.cos(2 * Math.PI * chance())
const noise = (chance: Chance, size: number): number => Math.exp(size * bell(chance))

type Shape = (chance: Chance) => (day: number) => number

/** What agents spend a day, in shapes that bills have. */
const shapes: Readonly<Record<string, Shape>> = {
  flat: (c) => () => 100 * noise(c, 0.15),
  noisy: (c) => () => 100 * noise(c, 0.5),
  'weekdays and weekends': (c) => (day) => (day % 7 < 5 ? 120 : 30) * noise(c, 0.15),
  'growing one percent a day': (c) => (day) =>
    100 * 1.01 ** day * (day % 7 < 5 ? 1.1 : 0.6) * noise(c, 0.2),
  shrinking: (c) => (day) => 100 * 0.99 ** day * noise(c, 0.2),
  'with bursts': (c) => () => (c() < 0.05 ? 500 : 100) * noise(c, 0.2),
  'with a step': (c) => {
    const at = 30 + Math.floor(c() * 60)
    return (day) => (day < at ? 60 : 140) * noise(c, 0.2)
  },
  wandering: (c) => {
    let level = 0
    return () => {
      level += 0.05 * bell(c)
      return 100 * Math.exp(level) * noise(c, 0.1)
    }
  },
  'with heavy tails': (c) => () => {
    const t = bell(c) / Math.sqrt((bell(c) ** 2 + bell(c) ** 2 + bell(c) ** 2) / 3)
    return 100 * Math.exp(0.2 * Math.max(-4, Math.min(4, t)))
  },
}

function series(shape: Shape, chance: Chance, length: number): readonly number[] {
  const of = shape(chance)
  return Array.from({ length }, (_, day) => of(day))
}

test('80 % intervals hold what comes in 75 to 85 % of 5,400 made-up series', () => {
  let inside = 0
  let all = 0
  const widths: number[] = []
  for (const shape of Object.values(shapes)) {
    for (const history of [20, 45, 90]) {
      for (let seed = 0; seed < 200; seed += 1) {
        const chance = generator(seed * 7919 + history)
        const days = series(shape, chance, 120)
        const ahead = 1 + Math.floor(chance() * 25)
        const said = forecast(days.slice(0, history), ahead)
        const came = days.slice(history, history + ahead).reduce((sum, one) => sum + one, 0)
        if (said === null) throw new Error('long enough')
        all += 1
        if (said.low <= came && came <= said.high) inside += 1
        widths.push((said.high - said.low) / said.expected)
      }
    }
  }
  const coverage = inside / all
  const width = widths.toSorted((a, b) => a - b)[Math.floor(all / 2)] ?? 0
  process.stdout.write(
    `forecast: ${(coverage * 100).toFixed(1)} % inside, median width ${width.toFixed(2)}\n`,
  )
  expect(all).toBe(5400)
  expect(coverage).toBeGreaterThan(0.75)
  expect(coverage).toBeLessThan(0.85)
  // An interval from nothing to anything would hold it all.
  expect(width).toBeLessThan(0.6)
})

test('less than a week of history is no forecast', () => {
  expect(forecast([1, 2, 3, 4, 5, 6], 10)).toBeNull()
  expect(forecast([0, 0, 0, 0, 0, 0, 0], 3)).toMatchObject({ expected: 0 })
})

const quiet = ['flat', 'weekdays and weekends', 'growing one percent a day', 'shrinking'] as const

test('a quiet day is called out of line less than once in a hundred, a fivefold one is seen', () => {
  let alarms = 0
  let seen = 0
  let all = 0
  for (const name of quiet) {
    for (let seed = 0; seed < 40; seed += 1) {
      const chance = generator(seed * 31 + name.length)
      const part = series(shapes[name] as Shape, chance, 60)
      const rest = series(shapes.flat as Shape, chance, 60).map((day) => day * 5)
      const whole = part.map((day, i) => day + (rest[i] ?? 0))
      for (let at = 30; at < 60; at += 1) {
        const [today = 0, all_ = 0] = [part[at], whole[at]]
        const before = [part.slice(0, at), whole.slice(0, at)] as const
        all += 1
        if (anomalyOf(...before, today, all_, 10) !== null) alarms += 1
        if (anomalyOf(...before, today * 5, all_ + today * 4, 10) !== null) seen += 1
      }
    }
  }
  process.stdout.write(`anomaly: ${alarms} false of ${all}, ${seen} of ${all} fivefold days seen\n`)
  expect(alarms / all).toBeLessThan(0.01)
  expect(seen / all).toBeGreaterThan(0.9)
})

test('a busy day of the whole company, or a few cents, is nobody out of line', () => {
  const days = Array.from({ length: 30 }, () => 100)
  const wholes = days.map(() => 1000)
  expect(anomalyOf(days, wholes, 500, 5000, 10)).toBeNull()
  expect(anomalyOf(days, wholes, 500, 1400, 10)).not.toBeNull()
  expect(anomalyOf(days, wholes, 500, 1400, 1000)).toBeNull()
})
