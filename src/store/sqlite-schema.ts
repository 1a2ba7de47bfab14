/**
 * Forward-only. A step that has shipped is never edited; a newer file is refused, not guessed at.
 */
import type { DatabaseSync } from 'node:sqlite'

const migrations: readonly string[] = [
  `create table account (
     no integer primary key, key text not null unique, budget text not null, value text,
     unit text not null, period_start integer not null, period_end integer not null,
     amount integer not null check (amount >= 0),
     posted integer not null check (posted >= 0), pending integer not null check (pending >= 0),
     fired text not null, throttle text, recent text not null) strict;
   create index account_budget on account (budget, period_start);

   create table hold (
     id text primary key, call text not null, state text not null
       check (state in ('pending', 'settled', 'voided', 'expired')),
     made_at integer not null, expires_at integer not null, ended_at integer,
     amount integer not null check (amount >= 0), output_cap integer not null,
     tokens integer not null, cost integer check (cost >= 0), basis text,
     lines text not null, attribution text not null, facts text not null) strict;
   create index hold_call on hold (call);
   create index hold_made on hold (made_at);
   create index hold_open on hold (expires_at) where state = 'pending';

   create table entry (
     seq integer primary key, kind text not null, hold text, at integer not null,
     lines text not null, overage integer not null, reason text, author text) strict;

   create table alert (
     seq integer primary key, id text not null unique, at integer not null, json text not null,
     routed integer not null default 0) strict;
   create index alert_unrouted on alert (seq) where routed = 0;
   create table notification (
     alert text not null, channel text not null, state text not null, attempts integer not null,
     next_at integer not null, last_error text, primary key (alert, channel)) strict;
   create index notification_due on notification (next_at) where state = 'waiting';

   create table virtual_key (id text primary key, hash text not null unique, json text not null)
     strict;
   create table override (id text primary key, budget text not null, json text not null) strict;
   create index override_budget on override (budget);
   create table audit (
     seq integer primary key, id text not null unique, at integer not null, json text not null)
     strict;
   create table known_rule (id text primary key, time_zone text not null) strict;

   create trigger entry_is_a_fact before update on entry
     begin select raise(abort, 'ledger entries are immutable'); end;
   create trigger entry_stays before delete on entry
     begin select raise(abort, 'ledger entries are immutable'); end;
   create trigger audit_is_a_fact before update on audit
     begin select raise(abort, 'audit rows are immutable'); end;
   create trigger audit_stays before delete on audit
     begin select raise(abort, 'audit rows are immutable'); end;`,
  `create table spend (
     hour integer not null, business_unit text not null, team text not null, agent text not null,
     environment text not null, provider text not null, model text not null,
     calls integer not null, tokens integer not null, cost integer not null,
     presumed integer not null,
     primary key (hour, business_unit, team, agent, environment, provider, model))
   strict;
   insert into spend
     select made_at - made_at % 3600000, coalesce(attribution ->> 'business_unit', ''),
       coalesce(attribution ->> 'team', ''), coalesce(attribution ->> 'agent', ''),
       coalesce(attribution ->> 'environment', ''), coalesce(attribution ->> 'provider', ''),
       coalesce(attribution ->> 'model', ''), count(*), sum(tokens), sum(cost),
       sum(iif(basis = 'presumed', cost, 0))
     from hold where state in ('settled', 'expired') group by 1, 2, 3, 4, 5, 6, 7;`,
  `create table record (kind text not null, id text not null, json text not null,
     primary key (kind, id)) strict;
   create table mark (id text primary key, value text not null) strict;`,
  // Older rows stay as they are: the first that is hashed covers them.
  `alter table audit add column prev text;
   alter table audit add column hash text;
   create table audit_head (one integer primary key check (one = 1), rows integer not null,
     hash text not null) strict;`,
  `create table outcome_event (
     seq integer primary key, id text not null unique, kind text not null, type text not null,
     subject text not null, at integer not null, booked_at integer not null, json text not null)
     strict;
   create index outcome_claim on outcome_event (type, at) where kind = 'claimed';
   create index outcome_subject on outcome_event (subject);
   create trigger outcome_is_a_fact before update on outcome_event
     begin select raise(abort, 'outcome events are immutable'); end;
   create trigger outcome_stays before delete on outcome_event
     begin select raise(abort, 'outcome events are immutable'); end;`,
  // Beside the ledger: what is only observed is in no account.
  `create table observation (
     id text primary key, response text, state text not null
       check (state in ('counted', 'gateway', 'double')),
     at integer not null, ended_at integer not null, seen_at integer not null,
     hour integer not null,
     business_unit text not null, team text not null, agent text not null,
     environment text not null, provider text not null, model text not null,
     tokens integer not null check (tokens >= 0), cost integer check (cost >= 0),
     json text not null) strict;
   create index observation_hour on observation (hour);
   create index observation_seen on observation (seen_at) where state = 'counted';
   create unique index observation_response on observation (response)
     where response is not null and state <> 'double';
   create index observation_answer on observation (response) where response is not null;`,
  // Balances may follow their entries: `up_to` is one that every account row has.
  `alter table account add column as_of integer not null default 0;
   create table carried (one integer primary key check (one = 1), up_to integer not null) strict;
   insert into carried select 1, coalesce(max(seq), 0) from entry;`,
]

/** Nothing is wrong with the file: another version can use it. */
export class NewerLedger extends Error {
  override readonly name = 'NewerLedger'
}

/** The version of the file's schema. Throws where it is one that this version does not know. */
export function schemaVersion(db: DatabaseSync): number {
  const row = db.prepare('pragma user_version').get()
  const version = Number(row?.user_version ?? 0)
  if (version <= migrations.length) return version
  throw new NewerLedger(
    `the ledger was written by a newer Bursar (schema ${version}, this one knows ` +
      `${migrations.length}): use that version, or restore a backup of this one`,
  )
}

export function migrate(db: DatabaseSync): void {
  const version = schemaVersion(db)
  migrations.slice(version).forEach((sql, i) => {
    db.exec('begin immediate')
    try {
      db.exec(sql)
      db.exec(`pragma user_version = ${version + i + 1}`)
      db.exec('commit')
    } catch (error) {
      db.exec('rollback')
      throw error
    }
  })
}
