/** A table a month for what grows for ever: old months can be archived and dropped whole. */
import type { ClientBase } from 'pg'
import type { Instant } from '#core/time.ts'

const grown = ['entry', 'hold'] as const
/** One replica makes them: the others find them there. */
const partitionLock = 4_242_003

/** UTC months from the one of `from` to `ahead` after the one of `to`. */
function* monthsOf(
  from: Instant,
  to: Instant,
  ahead: number,
): Iterable<{ readonly name: string; readonly start: number; readonly end: number }> {
  const first = new Date(from)
  const last = new Date(to)
  const count =
    (last.getUTCFullYear() - first.getUTCFullYear()) * 12 +
    (last.getUTCMonth() - first.getUTCMonth()) +
    ahead
  for (let no = 0; no <= count; no += 1) {
    const start = Date.UTC(first.getUTCFullYear(), first.getUTCMonth() + no)
    const end = Date.UTC(first.getUTCFullYear(), first.getUTCMonth() + no + 1)
    yield { name: new Date(start).toISOString().slice(0, 7).replace('-', '_'), start, end }
  }
}

/**
 * Makes what is missing. A month whose rows already stand in the rest stays there: nothing is lost,
 * only less handy to drop.
 */
export async function makePartitions(client: ClientBase, from: Instant, to = from): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `select relname as name from pg_class where relnamespace = 'bursar'::regnamespace`,
  )
  const there = new Set(rows.map(({ name }) => name))
  for (const { name, start, end } of monthsOf(from, to, 2)) {
    for (const table of grown) {
      if (!there.has(`${table}_${name}`)) await makeOne(client, table, name, start, end)
    }
  }
}

async function makeOne(
  client: ClientBase,
  table: (typeof grown)[number],
  month: string,
  start: number,
  end: number,
): Promise<void> {
  const column = table === 'entry' ? 'at' : 'made_at'
  await client.query('begin')
  await client.query('select pg_advisory_xact_lock($1)', [partitionLock])
  const rest = await client.query(
    `select 1 from bursar.${table}_rest where ${column} >= $1 and ${column} < $2 limit 1`,
    [start, end],
  )
  if (rest.rows.length === 0) {
    await client.query(
      `create table if not exists bursar.${table}_${month} partition of bursar.${table}
       for values from (${start}) to (${end})`,
    )
  }
  await client.query('commit')
}
