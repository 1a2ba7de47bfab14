import { randomFillSync } from 'node:crypto'
import type { Chance } from '#ports/chance.ts'

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** Drawn from the system a page at a time; a byte that was used is overwritten. */
const pool = Buffer.alloc(4096)
let unused = 0

function randomByte(): number {
  if (unused === 0) {
    randomFillSync(pool)
    unused = pool.length
  }
  unused -= 1
  const byte = pool[unused] ?? 0
  pool[unused] = 0
  return byte
}

export const systemChance: Chance = {
  token: (length) => {
    let text = ''
    while (text.length < length) {
      const byte = randomByte()
      // Bytes beyond the last full round of the alphabet are dropped: each letter is as likely.
      if (byte < 248) text += alphabet[byte % 62]
    }
    return text
  },
  fraction: () => Math.random(),
}
