/**
 * Virtual keys: what a caller presents. The secret is shown once; the store knows its HMAC only.
 */
import type { KeyId } from '#lib/id.ts'
import type { Instant } from './time.ts'

export interface VirtualKey {
  readonly id: KeyId
  readonly name: string
  /** HMAC-SHA-256 of the secret with the installation's pepper, hex. */
  readonly hash: string
  /** The first characters, so that a person can tell keys apart. */
  readonly prefix: string
  /** Null: the key pins nothing there, and a caller's claim may fill it in. */
  readonly team: string | null
  readonly agent: string | null
  readonly environment: string | null
  readonly tenant: string | null
  readonly user: string | null
  readonly createdAt: Instant
  readonly createdBy: string
  readonly expiresAt: Instant | null
  readonly revokedAt: Instant | null
}

export function isUsable(key: VirtualKey, now: Instant): boolean {
  return key.revokedAt === null && (key.expiresAt === null || now < key.expiresAt)
}
