/** The ledger counted again, in one view of the database, however long that takes. */
import type { ClientBase } from 'pg'
import type { AccountKey } from '#core/account.ts'
import type { Hold, LedgerEntry } from '#core/journal.ts'
import {
  addEntry,
  checkAccount,
  checkHold,
  checkSpend,
  type Finding,
  type Inspection,
  missingHold,
  newRecount,
} from '#core/recount.ts'
import {
  accountFromRow,
  type AccountRow,
  entryFromRow,
  type EntryRow,
  holdFromRow,
  type HoldRow,
  type Numbers,
} from '#store/codec.ts'
import { spendSums } from '#store/spend-sql.ts'
import { patiently } from './connection.ts'

const findingsMax = 20
const pageRows = 5000

type Entry = LedgerEntry & { readonly seq: number }

export function inspectPostgres(url: string): Promise<Inspection> {
  return patiently(url, async (client) => {
    await client.query('begin isolation level repeatable read, read only')
    const inspection = await recounted(client)
    await client.query('commit')
    return inspection
  })
}

async function recounted(client: ClientBase): Promise<Inspection> {
  const keys = new Map<bigint, AccountKey>()
  const numbers: Numbers = {
    keyOf: (no) => keys.get(no) ?? (`account ${no}, which is not there` as AccountKey),
    numberOf: () => 0n,
  }
  for await (const row of rowsOf<AccountRow>(client, 'account', 'no')) {
    keys.set(row.no, row.key as AccountKey)
  }
  // Numbers of transactions that came to nothing are missing, and that means nothing.
  const count = newRecount({ gapless: false })
  const findings: Finding[] = []
  const note = (found: Finding | null): void => {
    if (found !== null && findings.length < findingsMax) findings.push(found)
  }
  let entries = 0
  for await (const row of rowsOf<EntryRow>(client, 'entry', 'seq')) {
    entries += 1
    note(addEntry(count, entryFromRow(row, numbers)))
  }
  for await (const row of rowsOf<AccountRow>(client, 'account', 'no')) {
    note(checkAccount(count, accountFromRow(row)))
  }
  const tally = { holds: 0, openHolds: 0 }
  for await (const [hold, own] of holdsWithEntries(client, numbers)) {
    if (hold !== null) tally.holds += 1
    if (hold?.state === 'pending') tally.openHolds += 1
    const [first] = own
    if (hold !== null) note(checkHold(count, hold, own))
    else if (first !== undefined) note(missingHold(first))
  }
  const [sums] = (await client.query<{ told: bigint; charged: bigint }>(spendSums('bursar.'))).rows
  if (sums !== undefined) note(checkSpend(sums.told, sums.charged))
  findings.sort((a, b) => (a.seq ?? Infinity) - (b.seq ?? Infinity))
  return { entries, accounts: keys.size, ...tally, findings }
}

/** Each hold with its entries; null: entries of a hold that is not there. Both are read once. */
async function* holdsWithEntries(
  client: ClientBase,
  numbers: Numbers,
): AsyncIterable<readonly [Hold | null, readonly Entry[]]> {
  const groups = entryGroups(client, numbers)
  let group = await groups.next()
  for await (const row of rowsOf<HoldRow>(client, 'hold', 'id collate "C"')) {
    const hold = holdFromRow(row, numbers)
    for (; !group.done && group.value.hold < hold.id; group = await groups.next()) {
      yield [null, group.value.entries]
    }
    const own = !group.done && group.value.hold === hold.id ? group.value.entries : []
    yield [hold, own]
    if (own.length > 0) group = await groups.next()
  }
  for (; !group.done; group = await groups.next()) yield [null, group.value.entries]
}

async function* entryGroups(
  client: ClientBase,
  numbers: Numbers,
): AsyncGenerator<{ readonly hold: string; readonly entries: readonly Entry[] }, undefined> {
  let hold = ''
  let entries: Entry[] = []
  for await (const row of rowsOf<EntryRow>(client, 'entry', 'hold collate "C", seq')) {
    if (row.hold === null) continue
    const entry = entryFromRow(row, numbers)
    if (row.hold !== hold && entries.length > 0) {
      yield { hold, entries }
      entries = []
    }
    hold = row.hold
    entries.push(entry)
  }
  if (entries.length > 0) yield { hold, entries }
  return undefined
}

let cursors = 0

/** All rows of a table in this order, a page at a time. */
async function* rowsOf<Row>(
  client: ClientBase,
  table: 'account' | 'entry' | 'hold',
  order: string,
): AsyncIterable<Row> {
  cursors += 1
  const name = `rows_${cursors}`
  await client.query(
    `declare ${name} no scroll cursor for select * from bursar.${table} order by ${order}`,
  )
  for (;;) {
    const { rows } = await client.query(`fetch ${pageRows} from ${name}`)
    yield* rows as readonly Row[]
    if (rows.length < pageRows) break
  }
  await client.query(`close ${name}`)
}
