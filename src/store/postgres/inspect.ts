/** The ledger counted again, in one view of the database, however long that takes. */
import type { ClientBase } from 'pg'
import type { Inspection } from '#core/recount.ts'
import { type LedgerView, recounted } from '#store/recounted.ts'
import { spendSums } from '#store/spend-sql.ts'
import { patiently } from './connection.ts'

const pageRows = 5000

export function inspectPostgres(url: string): Promise<Inspection> {
  return patiently(url, async (client) => {
    await client.query('begin isolation level repeatable read, read only')
    const inspection = await recounted(viewOf(client))
    await client.query('commit')
    return inspection
  })
}

function viewOf(client: ClientBase): LedgerView {
  return {
    // Numbers of transactions that came to nothing are missing, and that means nothing.
    gapless: false,
    accounts: () => rows(client, 'select * from bursar.account order by no'),
    entries: () => rows(client, 'select * from bursar.entry order by seq'),
    holds: () => rows(client, 'select * from bursar.hold order by id collate "C"'),
    entriesByHold: () =>
      rows(
        client,
        'select * from bursar.entry where hold is not null order by hold collate "C", seq',
      ),
    spendSums: async () => {
      const found = await client.query<{ told: bigint; charged: bigint }>(spendSums('bursar.'))
      return found.rows[0] ?? null
    },
  }
}

let cursors = 0

/** A page at a time. */
async function* rows<Row>(client: ClientBase, sql: string): AsyncIterable<Row> {
  cursors += 1
  const name = `rows_${cursors}`
  await client.query(`declare ${name} no scroll cursor for ${sql}`)
  for (;;) {
    const page = await client.query(`fetch ${pageRows} from ${name}`)
    yield* page.rows as readonly Row[]
    if (page.rows.length < pageRows) break
  }
  await client.query(`close ${name}`)
}
