/**
 * Fetches and locks what a batch will read, in one order for all replicas (holds by id, new
 * accounts by key, accounts by key), so that none waits for another in a circle.
 */
import type { ClientBase, Pool } from 'pg'
import { type Account, type AccountKey, openAccount } from '#core/account.ts'
import { type Command, type Hold, seatOf } from '#core/journal.ts'
import type { Override } from '#core/override.ts'
import type { Instant } from '#core/time.ts'
import { assert } from '#lib/assert.ts'
import type { HoldId } from '#lib/id.ts'
import { fromJson } from '#lib/json.ts'
import type { AccountRow, HoldRow } from '#store/codec.ts'
import type { AccountNumbers, PostgresRows } from './rows.ts'

/** What one command will read. */
export interface Need {
  /** The accounts above a new call, as they are if nobody has opened them yet. */
  readonly accounts: readonly Account[]
  /** Of a new call: a hold that is there only if this was written before. */
  readonly hold: HoldId | null
  /** Marks that its rule asks for. They belong to accounts that are locked. */
  readonly marks: readonly string[]
}

export const nothing: Need = { accounts: [], hold: null, marks: [] }

export function needOf(command: Command, now: Instant): Need {
  if (command.kind !== 'hold') return { accounts: [], hold: command.hold, marks: [] }
  const { conversation } = command
  const accounts = command.accounts.map((ref) => openAccount(ref, now))
  const marks = accounts.flatMap(({ key, unit }) =>
    unit === 'conversations' && conversation !== null ? [seatOf(key, conversation)] : [],
  )
  return { accounts, hold: command.hold, marks }
}

export async function fetchRows(
  client: ClientBase,
  rows: PostgresRows,
  needs: readonly Need[],
): Promise<void> {
  const wanted = new Map<AccountKey, Account | null>()
  for (const { accounts } of needs) {
    for (const account of accounts) wanted.set(account.key, account)
  }
  for (const { lines } of await loadHolds(client, rows, await lockedHolds(client, needs))) {
    for (const { account } of lines) if (!wanted.has(account)) wanted.set(account, null)
  }
  await fetchAccounts(client, rows, wanted)
  const marks = needs.flatMap((need) => need.marks)
  const [overrides] = await Promise.all([approved(client), fetchMarks(client, rows, marks)])
  rows.loadOverrides(overrides)
}

/** Behind the locks of their accounts: nobody else takes a seat there meanwhile. */
export async function fetchMarks(
  client: ClientBase,
  rows: PostgresRows,
  ids: readonly string[],
): Promise<void> {
  if (ids.length === 0) return
  const { rows: found } = await client.query<{ id: string }>({
    name: 'marks',
    text: 'select id from bursar.mark where id = any($1)',
    values: [ids],
  })
  rows.loadMarks(found.map(({ id }) => id))
}

async function lockedHolds(
  client: ClientBase,
  needs: readonly Need[],
): Promise<readonly HoldRow[]> {
  const ids = needs.flatMap(({ hold }) => hold ?? [])
  if (ids.length === 0) return []
  const { rows } = await client.query<HoldRow>({
    name: 'lock holds',
    text: 'select * from bursar.hold where id = any($1) order by id for update',
    values: [ids],
  })
  return rows
}

export async function loadHolds(
  client: ClientBase,
  rows: PostgresRows,
  found: readonly HoldRow[],
): Promise<readonly Hold[]> {
  await learnNumbers(client, rows.numbers, found)
  return found.map((row) => rows.loadHold(row))
}

/** Lines name accounts by number; those of other replicas' accounts may not be known here. */
export async function learnNumbers(
  client: ClientBase | Pool,
  numbers: AccountNumbers,
  found: readonly { readonly lines: string }[],
): Promise<void> {
  const unknown = new Set<string>()
  for (const { lines } of found) {
    for (const [, no = ''] of lines.matchAll(/(?:^|,)(\d+):/g)) {
      if (!numbers.knowsNumber(BigInt(no))) unknown.add(no)
    }
  }
  if (unknown.size === 0) return
  const { rows } = await client.query<{ no: bigint; key: string }>(
    'select no, key from bursar.account where no = any($1)',
    [[...unknown]],
  )
  for (const { no, key } of rows) numbers.learn(no, key as AccountKey)
}

/** Locks accounts; those that may be opened and are not there yet get a place. */
export async function fetchAccounts(
  client: ClientBase,
  rows: PostgresRows,
  wanted: ReadonlyMap<AccountKey, Account | null>,
): Promise<void> {
  const keys = [...wanted.keys()].sort()
  if (keys.length === 0) return
  const opened = await openPlaces(
    client,
    keys.flatMap((key) => (rows.numbers.knows(key) ? [] : (wanted.get(key) ?? []))),
  )
  const { rows: found } = await client.query<AccountRow>({
    name: 'lock accounts',
    text: 'select * from bursar.account where key = any($1) order by key for update',
    values: [keys],
  })
  for (const row of found) rows.loadAccount(row, !opened.has(row.key))
  for (const key of keys) assert(rows.has(key), 'an account is gone from the database', key)
}

async function openPlaces(
  client: ClientBase,
  accounts: readonly Account[],
): Promise<ReadonlySet<string>> {
  if (accounts.length === 0) return new Set()
  const { rows } = await client.query<{ key: string }>({
    name: 'open accounts',
    text: `insert into bursar.account (key, budget, value, unit, period_start, period_end, amount,
             posted, pending, fired, throttle, recent)
           select key, budget, value, unit, period_start, period_end, amount, 0, 0, '', null, ''
           from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[],
             $7::bigint[]) as v (key, budget, value, unit, period_start, period_end, amount)
           order by key on conflict (key) do nothing returning key`,
    values: [
      accounts.map(({ key }) => key),
      accounts.map(({ budget }) => budget),
      accounts.map(({ value }) => value),
      accounts.map(({ unit }) => unit),
      accounts.map(({ period }) => period.start),
      accounts.map(({ period }) => period.end),
      accounts.map(({ amount }) => amount),
    ],
  })
  return new Set(rows.map(({ key }) => key))
}

async function approved(client: ClientBase): Promise<readonly Override[]> {
  const { rows } = await client.query<{ json: string }>({
    name: 'approved overrides',
    text: 'select json from bursar.override where approved order by no',
  })
  return rows.map(({ json }) => fromJson(json) as Override)
}
