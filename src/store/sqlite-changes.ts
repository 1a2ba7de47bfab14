/** What people change, and the control plane keeps: as rows, with its audit row. */
import type { AuditRow } from '#core/audit.ts'
import type { ControlRecord } from '#core/record.ts'
import { toJson } from '#lib/json.ts'
import type { Change } from '#ports/store.ts'
import { outcomeValues } from './outcome-sql.ts'
import type { SqliteRows } from './sqlite-rows.ts'

export function writeChange(rows: SqliteRows, change: Change, audit: AuditRow): void {
  if (rows.hasAudit(audit)) return
  if (change.kind === 'put_key') {
    const { id, hash } = change.key
    rows.write('putKey', id, hash, toJson(change.key))
  }
  if (change.kind === 'put_override') rows.putOverride(change.override)
  if (change.kind === 'put_record') writeRecord(rows, change.record)
  if (change.kind === 'add_outcomes') {
    for (const event of change.events) rows.write('addOutcome', ...outcomeValues(event))
  }
  rows.addAudit(audit)
}

export function writeRecord(rows: SqliteRows, { kind, id, value }: ControlRecord): void {
  rows.write('putRecord', kind, id, toJson(value))
}
