import { randomBytes } from 'node:crypto'
import type { Chance } from '#ports/chance.ts'

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

export const systemChance: Chance = {
  token: (length) => {
    let text = ''
    while (text.length < length) {
      for (const byte of randomBytes(length * 2)) {
        // Bytes beyond the last full round of the alphabet are dropped: each letter is as likely.
        if (byte < 248 && text.length < length) text += alphabet[byte % 62]
      }
    }
    return text
  },
  fraction: () => Math.random(),
}
