/** The audit chain as stores keep it. */
import { hash } from 'node:crypto'
import {
  type AuditHead,
  type AuditLink,
  type AuditRow,
  type Digest,
  linked,
  noAudit,
} from '#core/audit.ts'
import { instant } from '#core/time.ts'
import { canonicalJson } from '#lib/json.ts'

const sha256: Digest = (text) => hash('sha256', text)

/** A row's text and the head before and after it. */
export function linkAfter(
  before: AuditHead,
  audit: AuditRow,
): { readonly json: string; readonly head: AuditHead } {
  const json = canonicalJson(audit)
  return { json, head: linked(before, json, sha256) }
}

/** Where a chain of these texts ends: for rows of a version that kept no head. */
export function headOf(texts: Iterable<string>): AuditHead {
  let head = noAudit
  for (const json of texts) head = linked(head, json, sha256)
  return head
}

export function linkFromRow(row: Readonly<Record<string, unknown>>): AuditLink {
  return {
    seq: Number(row.seq),
    id: String(row.id),
    at: instant(Number(row.at)),
    json: String(row.json),
    prev: row.prev === null ? null : String(row.prev),
    hash: row.hash === null ? null : String(row.hash),
  }
}

export function headFromRow(row: Readonly<Record<string, unknown>>): AuditHead {
  return { rows: Number(row.rows), hash: String(row.hash) }
}
