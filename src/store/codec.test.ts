import { expect, test } from 'vitest'
import type { AccountKey } from '#core/account.ts'
import type { EntryLine, HoldLine } from '#core/journal.ts'
import { textFromEntryLines, textFromLines } from './codec.ts'

const numbers = {
  numberOf: (account: AccountKey): string => account.slice(1),
  keyOf: (number: bigint): AccountKey => `a${number}` as AccountKey,
}

const key = (number: number): AccountKey => numbers.keyOf(BigInt(number))

function holdLine(number: number, unit: HoldLine['unit'], amount: bigint, posted?: bigint) {
  return { account: key(number), unit, amount, posted: posted ?? null }
}

test('each line of a hold is written whole, whatever the line before it says', () => {
  const lines = [
    holdLine(1, 'usd', 70n),
    holdLine(2, 'usd', 70n),
    holdLine(3, 'usd', 70n, 0n),
    holdLine(4, 'usd', 70n, 7n),
    holdLine(5, 'calls', 70n, 7n),
    holdLine(6, 'calls', 1n, 7n),
    holdLine(7, 'usd', 70n),
  ]
  expect(textFromLines(lines, numbers)).toBe(
    '1:usd:70:,2:usd:70:,3:usd:70:0,4:usd:70:7,5:calls:70:7,6:calls:1:7,7:usd:70:',
  )
  expect(textFromLines([], numbers)).toBe('')
})

test('each line of an entry is written whole, whatever the line before it says', () => {
  const line = (number: number, posted: bigint, pending: bigint): EntryLine => ({
    account: key(number),
    posted,
    pending,
  })
  const lines = [line(1, 0n, 9n), line(2, 0n, 9n), line(3, 4n, 9n), line(4, 4n, -9n)]
  expect(textFromEntryLines(lines, numbers)).toBe('1:0:9,2:0:9,3:4:9,4:4:-9')
  expect(textFromEntryLines([], numbers)).toBe('')
})
