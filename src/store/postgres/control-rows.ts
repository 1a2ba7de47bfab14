/** Rows of keys, overrides, audit and outbox, and how they are written. */
import type { Notification } from '#core/alert.ts'
import type { AuditRow } from '#core/audit.ts'
import type { ControlRecord } from '#core/record.ts'
import { canonicalJson, toJson } from '#lib/json.ts'
import type { Change } from '#ports/store.ts'
import { notificationValues } from '#store/codec.ts'
import { outcomeColumns, outcomeValues } from '#store/outcome-sql.ts'
import type { Write } from './rows.ts'

/** On which replicas hear of a change. */
export const channel = 'bursar'

/** One replica at a time adds to the chain; the table's trigger hashes what is added. */
export const lockAudit: Write = {
  text: 'select 1 from bursar.audit_head for update',
  values: [],
}

/** The change, its audit row and word of it to all replicas: all three or none. */
export function* changeWrites(change: Change, audit: AuditRow): Iterable<Write> {
  if (change.kind === 'put_key') {
    const { id, hash } = change.key
    yield {
      text: `insert into bursar.virtual_key (id, hash, json) values ($1, $2, $3)
             on conflict (id) do update set hash = excluded.hash, json = excluded.json,
               revision = nextval('bursar.key_revision')`,
      values: [id, hash, toJson(change.key)],
    }
    yield { text: `select pg_notify($1, 'keys')`, values: [channel] }
  }
  if (change.kind === 'put_override') {
    const { id, budget, state } = change.override
    yield {
      text: `insert into bursar.override (id, budget, approved, json) values ($1, $2, $3, $4)
             on conflict (id) do update set approved = excluded.approved, json = excluded.json`,
      values: [id, budget, state === 'approved', toJson(change.override)],
    }
  }
  if (change.kind === 'put_record') yield* recordWrites(change.record)
  if (change.kind === 'add_outcomes') {
    for (const event of change.events) {
      yield {
        // As audit rows: repeated it is one, and another under its id is refused.
        text: `insert into bursar.outcome_event as o (${outcomeColumns})
               values ($1, $2, $3, $4, $5, $6, $7)
               on conflict (id) do update set json = excluded.json where o.json <> excluded.json`,
        values: [...outcomeValues(event)],
      }
    }
  }
  yield {
    // The same row again is a repetition after a commit of which nobody heard. Another one under
    // its id is refused: the table takes no updates.
    text: `insert into bursar.audit as a (id, at, json) values ($1, $2, $3)
           on conflict (id) do update set json = excluded.json where a.json <> excluded.json`,
    values: [audit.id, audit.at, canonicalJson(audit)],
  }
}

export function* recordWrites({ kind, id, value }: ControlRecord): Iterable<Write> {
  yield {
    text: `insert into bursar.record (kind, id, json) values ($1, $2, $3)
           on conflict (kind, id) do update set json = excluded.json,
             revision = nextval('bursar.key_revision')`,
    values: [kind, id, toJson(value)],
  }
  yield { text: `select pg_notify($1, 'records')`, values: [channel] }
}

/** `once`: what is there already stays as it is. */
export function putNotification(notification: Notification, how: 'once' | 'again'): Write {
  const conflict =
    how === 'once'
      ? 'do nothing'
      : `do update set state = excluded.state, attempts = excluded.attempts,
           next_at = excluded.next_at, last_error = excluded.last_error`
  return {
    text: `insert into bursar.notification (alert, channel, state, attempts, next_at, last_error)
           values ($1, $2, $3, $4, $5, $6) on conflict (alert, channel) ${conflict}`,
    values: notificationValues(notification),
  }
}

/** One sender a notification: what another is taking is passed over. */
export const takeDue = `
  with due as (
    select no from bursar.notification where state = 'waiting' and next_at <= $1
      and channel = $4 order by next_at, no limit $2 for update skip locked),
  taken as (
    update bursar.notification n set next_at = $3 from due where n.no = due.no
    returning n.*)
  select taken.*, a.json from taken join bursar.alert a on a.id = taken.alert order by taken.no`

/** The lease is free, its time is over, or it is the holder's own: else no row comes back. */
export const takeLease = `
  insert into bursar.record as r (kind, id, json) values ('lease', $1, $2)
  on conflict (kind, id) do update set json = excluded.json
    where (r.json::json ->> 'until')::bigint <= $3 or r.json::json ->> 'holder' = $4
  returning 1`
