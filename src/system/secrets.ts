/** Keys are known by their HMAC only, under a pepper that is not in the database. */
import { createHmac, hash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Chance } from '#ports/chance.ts'

/** The installation's pepper: from the environment, else a file that only its owner can read. */
export function pepperOf(dataFolder: string, chance: Chance, fromEnv: string | undefined): string {
  if (fromEnv !== undefined && fromEnv !== '') return fromEnv
  return secretFile(join(dataFolder, 'secret-key'), () => chance.token(43))
}

/** Reads a one-line secret file, or makes it (mode 600). */
export function secretFile(path: string, make: () => string): string {
  if (existsSync(path)) return readFileSync(path, 'utf8').trim()
  const secret = make()
  writeFileSync(path, `${secret}\n`, { mode: 0o600 })
  return secret
}

export function hashKey(pepper: string, secret: string): string {
  return createHmac('sha256', pepper).update(secret).digest('hex')
}

/**
 * `vk_` + 43 random characters (256 bits) + 6 of checksum: a mistyped key never reaches the store.
 */
export function newKeySecret(chance: Chance): string {
  const body = chance.token(43)
  return `vk_${body}${checksum(body)}`
}

export function isWellFormed(secret: string): boolean {
  const match = /^vk_([0-9A-Za-z]{43})([0-9a-f]{6})$/.exec(secret)
  return match !== null && checksum(match[1] ?? '') === match[2]
}

function checksum(body: string): string {
  return hash('sha256', `bursar key ${body}`).slice(0, 6)
}
