/** Every change a person made, kept with it in one transaction. */
import type { AuditId } from '#lib/id.ts'
import type { Instant } from './time.ts'

export interface AuditRow {
  readonly id: AuditId
  readonly at: Instant
  readonly actor: string
  /** What was done, as `thing.verb`: `key.created`, `override.approved`. */
  readonly action: string
  /** The id of what it was done to. */
  readonly subject: string
  readonly reason: string | null
  /** JSON values; null where there was none. Never a secret. */
  readonly before: unknown
  readonly after: unknown
}
