/** New rules counted from the ledger, in one transaction: one replica at a time. */
import type { ClientBase } from 'pg'
import { type Account, type AccountKey, openAccount } from '#core/account.ts'
import type { Alert } from '#core/alert.ts'
import { countedIn, seatsIn } from '#core/backfill.ts'
import { type BudgetRule, periodOf } from '#core/budget.ts'
import type { Hold } from '#core/journal.ts'
import { type Instant, instant } from '#core/time.ts'
import type { Adopted } from '#ports/store.ts'
import type { HoldRow } from '#store/codec.ts'
import { countHolds, type Start, startSince } from '#store/execute.ts'
import { fetchAccounts, fetchMarks, loadHolds } from './load.ts'
import { type AccountNumbers, PostgresRows, type Write } from './rows.ts'
import { writeRows } from './write.ts'

const adoptionLock = 4_242_002
/**
 * While a config is rolled out, replicas that do not know a rule yet admit calls that have no line
 * for it. Each counts what it has missed when it reads the config; one that starts cannot know what
 * it was before, and counts what came since the rules of the last hour.
 */
const rollOutMs = 3_600_000

interface Known {
  readonly timeZone: string
  readonly at: Instant
  /** The how manieth change of the rules brought it. */
  readonly epoch: number
}

export async function adoptIn(
  client: ClientBase,
  numbers: AccountNumbers,
  rules: readonly BudgetRule[],
  now: Instant,
  own: number | null,
): Promise<Adopted & { readonly epoch: number }> {
  const rows = await begun(client, numbers)
  const known = await knownRules(client)
  const starts = rules.flatMap((rule) => startOf(rule, known.get(rule.id), now, own) ?? [])
  const alerts = await count(client, rows, starts, now)
  const last = await lastEpoch(client)
  const isNew = rules.some(({ id, timeZone }) => known.get(id)?.timeZone !== timeZone)
  const epoch = isNew ? last + 1 : last
  rows.writes.push(...rulesKnown(rules, now, epoch))
  await writeRows(client, rows)
  rows.committed()
  return { alerts, counted: starts.map(({ rule }) => rule), epoch }
}

export async function catchUpIn(
  client: ClientBase,
  numbers: AccountNumbers,
  starts: readonly Start[],
  now: Instant,
): Promise<readonly Alert[]> {
  const rows = await begun(client, numbers)
  const alerts = await count(client, rows, starts, now)
  await writeRows(client, rows)
  rows.committed()
  return alerts
}

async function begun(client: ClientBase, numbers: AccountNumbers): Promise<PostgresRows> {
  await client.query('begin')
  await client.query('select pg_advisory_xact_lock($1)', [adoptionLock])
  return new PostgresRows(numbers)
}

async function count(
  client: ClientBase,
  rows: PostgresRows,
  starts: readonly Start[],
  now: Instant,
): Promise<readonly Alert[]> {
  if (starts.length === 0) return []
  const earliest = starts.reduce((least, { from }) => (from < least ? from : least), now)
  const holds = await holdsSince(client, rows, earliest)
  const wanted = new Map<AccountKey, Account>()
  for (const { rule } of starts) {
    for (const ref of countedIn(rule, holds)) {
      const account = openAccount(ref, now)
      wanted.set(account.key, account)
    }
  }
  await fetchAccounts(client, rows, wanted)
  await fetchMarks(
    client,
    rows,
    starts.flatMap(({ rule }) => seatsIn(rule, holds, now)),
  )
  rows.loadSince(holds)
  return countHolds(rows, starts, now)
}

async function lastEpoch(client: ClientBase): Promise<number> {
  const { rows } = await client.query<{ value: string }>(
    `select value from bursar.setting where name = 'epoch'`,
  )
  return Number(rows[0]?.value ?? 0)
}

function rulesKnown(rules: readonly BudgetRule[], now: Instant, epoch: number): readonly Write[] {
  const ids = rules.map(({ id }) => id)
  return [
    { text: 'delete from bursar.known_rule where id <> all($1)', values: [ids] },
    {
      text: `insert into bursar.known_rule as k (id, time_zone, known_at, epoch)
             select id, time_zone, $3, $4 from unnest($1::text[], $2::text[]) as v (id, time_zone)
             on conflict (id) do update set time_zone = excluded.time_zone,
               known_at = excluded.known_at, epoch = excluded.epoch
             where k.time_zone <> excluded.time_zone`,
      values: [ids, rules.map(({ timeZone }) => timeZone), now, epoch],
    },
    {
      text: `insert into bursar.setting (name, value) values ('epoch', $1)
             on conflict (name) do update set value = excluded.value`,
      values: [String(epoch)],
    },
  ]
}

/** Null: no hold lacks a line for it. */
function startOf(
  rule: BudgetRule,
  known: Known | undefined,
  now: Instant,
  own: number | null,
): Start | null {
  if (known === undefined || known.timeZone !== rule.timeZone) {
    return { rule, from: periodOf(rule, now).start }
  }
  const isCounted = own === null ? now - known.at > rollOutMs : known.epoch <= own
  return isCounted ? null : startSince(rule, known.at, now)
}

async function knownRules(client: ClientBase): Promise<ReadonlyMap<string, Known>> {
  const { rows } = await client.query<{
    id: string
    time_zone: string
    known_at: bigint
    epoch: number
  }>('select * from bursar.known_rule')
  return new Map(
    rows.map(({ id, time_zone, known_at, epoch }) => [
      id,
      { timeZone: time_zone, at: instant(Number(known_at)), epoch },
    ]),
  )
}

/** In the order in which they were made, and locked. */
async function holdsSince(
  client: ClientBase,
  rows: PostgresRows,
  from: Instant,
): Promise<readonly Hold[]> {
  const { rows: found } = await client.query<HoldRow>(
    'select * from bursar.hold where made_at >= $1 order by id for update',
    [from],
  )
  const holds = await loadHolds(client, rows, found)
  return holds.toSorted((a, b) => a.madeAt - b.madeAt)
}
