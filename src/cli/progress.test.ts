import { expect, test } from 'vitest'
import { progressBar } from './progress.ts'

function barAt(isTerminal: boolean) {
  const said: string[] = []
  let at = 0
  const output = { out: () => {}, err: (text: string) => void said.push(text) }
  const bar = progressBar(output, 'reading', isTerminal, () => at)
  return {
    said,
    bar,
    show: (ms: number, done: number) => {
      at = ms
      bar.show(done, 1000_000_000)
    },
  }
}

test('what is quick shows nothing; then a line that is written over, and cleared at the end', () => {
  const { said, bar, show } = barAt(true)
  show(1900, 100_000_000)
  expect(said).toEqual([])
  show(2000, 500_000_000)
  expect(said[0]).toBe(`\r  reading  ${'#'.repeat(15)}${'.'.repeat(15)}  50 %  500 of 1000 MB `)
  show(2050, 600_000_000)
  expect(said).toHaveLength(1)
  show(2100, 2000_000_000)
  expect(said[1]).toContain('100 %')
  bar.end()
  expect(said[2]).toMatch(/^\r +\r$/)
})

test('a log stays clean', () => {
  const { said, bar, show } = barAt(false)
  show(5000, 1)
  bar.end()
  expect(said).toEqual([])
})
