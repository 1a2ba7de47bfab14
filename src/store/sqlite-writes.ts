/**
 * Everything that is ever written to the embedded ledger, as data: a batch is made where the rule
 * runs and carried out where the disk is, in one transaction.
 */
import { assert } from '#lib/assert.ts'

/** Every statement that writes. Nothing else does. */
const statements = {
  addAccount:
    'insert into account (no, key, budget, value, unit, period_start, period_end, amount, posted, ' +
    'pending, fired, throttle, recent, as_of) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
  updateAccount:
    'update account set amount = ?, posted = ?, pending = ?, fired = ?, throttle = ?, ' +
    'recent = ?, as_of = ? where no = ?',
  carryBalance: 'update account set posted = ?, pending = ?, recent = ?, as_of = ? where no = ?',
  carriedUpTo: 'update carried set up_to = ?',
  addHold:
    'insert into hold (id, call, state, made_at, expires_at, ended_at, amount, output_cap, ' +
    'tokens, cost, basis, lines, attribution, facts) ' +
    'values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
  updateHold:
    'update hold set state = ?, ended_at = ?, tokens = ?, cost = ?, basis = ?, lines = ?, ' +
    'facts = ? where id = ?',
  addEntry:
    'insert into entry (seq, kind, hold, at, lines, overage, reason, author) ' +
    'values (?, ?, ?, ?, ?, ?, ?, ?)',
  addSpend:
    'insert into spend (hour, business_unit, team, agent, environment, provider, model, calls, ' +
    'tokens, cost, presumed) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do update set ' +
    'calls = calls + excluded.calls, tokens = tokens + excluded.tokens, ' +
    'cost = cost + excluded.cost, presumed = presumed + excluded.presumed',
  addAlert: 'insert or ignore into alert (id, at, json) values (?, ?, ?)',
  alertRouted: 'update alert set routed = 1 where id = ?',
  addNotification:
    'insert or ignore into notification (alert, channel, state, attempts, next_at, last_error) ' +
    'values (?, ?, ?, ?, ?, ?)',
  putNotification:
    'insert or replace into notification (alert, channel, state, attempts, next_at, last_error) ' +
    'values (?, ?, ?, ?, ?, ?)',
  putKey: 'insert or replace into virtual_key (id, hash, json) values (?, ?, ?)',
  putOverride: 'insert or replace into override (id, budget, json) values (?, ?, ?)',
  addMark: 'insert or ignore into mark (id, value) values (?, ?)',
  addAudit: 'insert into audit (id, at, json, prev, hash) values (?, ?, ?, ?, ?)',
  putAuditHead: 'insert or replace into audit_head (one, rows, hash) values (1, ?, ?)',
  putRecord: `insert into record (kind, id, json) values (?, ?, ?)
    on conflict (kind, id) do update set json = excluded.json`,
  addOutcome:
    'insert into outcome_event (id, kind, type, subject, at, booked_at, json) ' +
    'values (?, ?, ?, ?, ?, ?, ?)',
  addObservation:
    'insert or ignore into observation (id, response, state, at, ended_at, seen_at, hour, ' +
    'business_unit, team, agent, environment, provider, model, tokens, cost, json) values (?, ?, ' +
    "iif(exists(select 1 from observation where response = ?), 'double', ?), " +
    '?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
  observationKnown: `update observation set state = 'gateway' where id = ? and state = 'counted'`,
  forgetRules: 'delete from known_rule',
  knowRule: 'insert into known_rule (id, time_zone) values (?, ?)',
} as const

export type WriteName = keyof typeof statements
export type Value = string | number | bigint | null

/** A statement's number, then its values, and so on: flat, because it goes to another thread. */
export type Batch = Value[]

const names = Object.keys(statements) as WriteName[]
const numberOf = Object.fromEntries(names.map((name, i) => [name, i])) as Record<WriteName, number>

export const writes = names.map((name) => ({
  sql: statements[name],
  values: statements[name].split('?').length - 1,
}))

export function addWrite(batch: Batch, name: WriteName, values: readonly Value[]): void {
  const no = numberOf[name]
  assert(writes[no]?.values === values.length, 'it takes other values', name)
  batch.push(no)
  for (const value of values) batch.push(value)
}
