/**
 * Every change a person made, kept with it in one transaction, and chained: the hash of a row is
 * over its text and the hash of the row before, so that what is changed, removed, added or moved
 * afterwards does not fit any more. Rows of versions that knew no chain are counted in as if they
 * had been chained, so the first hashed row covers them.
 */
import type { AuditId } from '#lib/id.ts'
import type { Instant } from './time.ts'

export interface AuditRow {
  readonly id: AuditId
  readonly at: Instant
  /** As people know it. */
  readonly actor: string
  /** Which token or person it was, whatever it is called: `tok_...`, `oidc:...`, `admin`. */
  readonly identity?: string
  /** What was done, as `thing.verb`: `key.created`, `override.approved`. */
  readonly action: string
  /** The id of what it was done to. */
  readonly subject: string
  readonly reason: string | null
  /** JSON values; null where there was none. Never a secret. */
  readonly before: unknown
  readonly after: unknown
}

/** A row as it is kept. */
export interface AuditLink {
  readonly seq: number
  readonly id: string
  readonly at: Instant
  /** Canonical JSON of the row. */
  readonly json: string
  /** The hash of the row before; null: written before rows were hashed. */
  readonly prev: string | null
  readonly hash: string | null
}

/** Where the chain ends. */
export interface AuditHead {
  readonly rows: number
  /** SHA-256, hex. */
  readonly hash: string
}

export const noAudit: AuditHead = { rows: 0, hash: '' }

/** SHA-256 of UTF-8 text, hex. Handed in: core has no cryptography of its own. */
export type Digest = (text: string) => string

/** The head after a row with this text. */
export function linked(head: AuditHead, json: string, digest: Digest): AuditHead {
  return { rows: head.rows + 1, hash: digest(`${head.hash}\n${json}`) }
}

/** A chain followed from its first row to `head`. */
export interface AuditCheck {
  readonly head: AuditHead
  /** True once a hashed row was met: no row without a hash may follow. */
  readonly hashed: boolean
  /** Heads that somebody kept and that have not been met yet. */
  readonly wanted: readonly string[]
  /** The first bad row; null: none so far. */
  readonly finding: AuditFinding | null
}

export interface AuditFinding {
  /** Null: rows that should be there are not. */
  readonly seq: number | null
  readonly id: string | null
  readonly message: string
}

/** `kept`: heads that must be met on the way. */
export function startCheck(kept: readonly string[]): AuditCheck {
  return { head: noAudit, hashed: false, wanted: kept.filter((hash) => hash !== ''), finding: null }
}

/** After one row more. Nothing is followed beyond the first bad one. */
export function checkLink(check: AuditCheck, link: AuditLink, digest: Digest): AuditCheck {
  if (check.finding !== null) return check
  const head = linked(check.head, link.json, digest)
  const fault = faultOf(check, link, head)
  if (fault !== null) {
    return { ...check, finding: { seq: link.seq, id: link.id, message: fault } }
  }
  const wanted = check.wanted.filter((hash) => hash !== head.hash)
  return { head, hashed: link.hash !== null, wanted, finding: null }
}

function faultOf(check: AuditCheck, link: AuditLink, head: AuditHead): string | null {
  if (link.hash === null && check.hashed) return 'it was written past the chain: it has no hash'
  if (link.hash !== null && link.prev !== check.head.hash) {
    return check.hashed
      ? 'it does not follow the row before it: a row there was changed, removed, added or moved'
      : 'the rows before it, of an earlier version, are not those that it was written after'
  }
  if (link.hash !== null && link.hash !== head.hash) return 'it was changed after it was written'
  const { id, at } = JSON.parse(link.json) as { readonly id?: unknown; readonly at?: unknown }
  if (id !== link.id || at !== link.at) return 'its id or time is not the one in its text'
  return null
}

/** After the last row: what is still wanted was there once. */
export function endCheck(check: AuditCheck, kept: AuditHead | null): AuditCheck {
  if (check.finding !== null) return check
  const missing = (message: string): AuditCheck => ({
    ...check,
    finding: { seq: null, id: null, message },
  })
  if (kept === null && check.hashed) return missing('the note of where the chain ends is gone')
  if (kept === null && check.head.rows > 0) {
    return missing(
      'no row is hashed: all are of a version before the chain (the next change begins it), or ' +
        'the hashes were taken away',
    )
  }
  const [first] = check.wanted
  if (first === undefined) return check
  const lost = kept !== null && first === kept.hash ? kept.rows - check.head.rows : null
  return missing(
    lost !== null && lost > 0
      ? `${lost} rows are missing at the end: there were ${kept?.rows}`
      : `the chain does not reach ${first}, where it ended once: rows are missing at the end, ` +
          'or it is another chain',
  )
}
