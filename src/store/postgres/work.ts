/** Pages of ended attempts, read along the index however little the planner knows of the table. */
import type { Pool } from 'pg'
import type { WorkQuery, WorkRow } from '#core/work.ts'
import { workFromRow, workSql, workValues } from '#store/outcome-sql.ts'

const inPostgres = {
  fact: (name: string) => `facts::json ->> '${name}'`,
  id: 'id collate "C"',
}
const sql = workSql('bursar.hold', inPostgres, ['$1', '$2', '$3', '$4', '$5'])

/** A plan made while the table was small would sort all that is left of it for every page. */
const alongTheIndex = `begin read only; set local enable_seqscan = off;
  set local enable_bitmapscan = off; set local enable_sort = off`

export async function workPage(reads: Pool, query: WorkQuery): Promise<readonly WorkRow[]> {
  const client = await reads.connect()
  try {
    await client.query(alongTheIndex)
    const { rows } = await client.query<Record<string, unknown>>(sql, [...workValues(query)])
    await client.query('commit')
    client.release()
    return rows.map(workFromRow)
  } catch (error) {
    // It may be amid a transaction: nobody else gets it.
    client.release(true)
    throw error
  }
}
