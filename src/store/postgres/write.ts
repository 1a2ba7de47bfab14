/** Writes a batch: a statement a table, all of them and the commit on the wire at once. */
import type { ClientBase } from 'pg'
import { inOrder, spendDimensions } from '#core/spend.ts'
import { toJson } from '#lib/json.ts'
import { textFromEntryLines, textFromLines, textFromRecent } from '#store/codec.ts'
import { Unreachable } from '#store/group-commit.ts'
import { columns } from '#store/spend-sql.ts'
import type { PostgresRows } from './rows.ts'

interface Statement {
  readonly name?: string
  readonly text: string
  readonly values: readonly unknown[]
}

/** Resolves when all of it is durable. */
export async function writeRows(client: ClientBase, rows: PostgresRows): Promise<void> {
  const statements = [
    ...accountStatements(rows),
    ...holdStatements(rows),
    ...entryStatements(rows),
    ...spendStatements(rows),
    ...rows.writes,
  ]
  const sent = statements.map((one) => client.query({ ...one, values: [...one.values] }))
  const commit = (await Promise.all([...sent, client.query('commit')])).at(-1)
  // A transaction that failed answers COMMIT with ROLLBACK, and no error.
  if (commit?.command !== 'COMMIT') throw new Unreachable('the transaction was rolled back')
}

function* accountStatements(rows: PostgresRows): Iterable<Statement> {
  const { changed, emptyPlaces } = rows
  if (changed.length > 0) {
    const accounts = changed.map(({ account }) => account)
    yield {
      name: 'update accounts',
      text: `update bursar.account as a set amount = v.amount, posted = v.posted,
               pending = v.pending, fired = v.fired, throttle = v.throttle, recent = v.recent
             from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[],
               $6::text[], $7::text[]) as v (no, amount, posted, pending, fired, throttle, recent)
             where a.no = v.no`,
      values: [
        changed.map(({ no }) => no),
        accounts.map(({ amount }) => amount),
        accounts.map(({ posted }) => posted),
        accounts.map(({ pending }) => pending),
        accounts.map(({ fired }) => fired.join(',')),
        accounts.map(({ throttle }) => (throttle === null ? null : JSON.stringify(throttle))),
        accounts.map(({ recent }) => textFromRecent(recent)),
      ],
    }
  }
  if (emptyPlaces.length > 0) {
    const text = 'delete from bursar.account where no = any($1)'
    yield { text, values: [emptyPlaces] }
  }
}

function* holdStatements(rows: PostgresRows): Iterable<Statement> {
  const added = [...rows.added.values()]
  const updated = [...rows.updated.values()]
  if (added.length > 0) {
    yield {
      name: 'add holds',
      text: `insert into bursar.hold (id, call, state, made_at, expires_at, ended_at, amount,
               output_cap, tokens, cost, basis, lines, attribution, facts)
             select * from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[],
               $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::text[],
               $12::text[], $13::text[], $14::text[])`,
      values: [
        added.map(({ id }) => id),
        added.map(({ call }) => call),
        added.map(({ state }) => state),
        added.map(({ madeAt }) => madeAt),
        added.map(({ expiresAt }) => expiresAt),
        added.map(({ endedAt }) => endedAt),
        added.map(({ amount }) => amount),
        added.map(({ outputCap }) => outputCap),
        added.map(({ tokens }) => tokens),
        added.map(({ cost }) => cost),
        added.map(({ basis }) => basis),
        added.map(({ lines }) => textFromLines(lines, rows)),
        added.map(({ attribution }) => JSON.stringify(attribution)),
        added.map(({ facts }) => JSON.stringify(facts)),
      ],
    }
  }
  if (updated.length > 0) {
    yield {
      name: 'update holds',
      text: `update bursar.hold as h set state = v.state, ended_at = v.ended_at, tokens = v.tokens,
               cost = v.cost, basis = v.basis, lines = v.lines, facts = v.facts
             from unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[],
               $6::bigint[], $7::text[], $8::text[], $9::text[])
               as v (id, made_at, state, ended_at, tokens, cost, basis, lines, facts)
             where h.id = v.id and h.made_at = v.made_at`,
      values: [
        updated.map(({ id }) => id),
        updated.map(({ madeAt }) => madeAt),
        updated.map(({ state }) => state),
        updated.map(({ endedAt }) => endedAt),
        updated.map(({ tokens }) => tokens),
        updated.map(({ cost }) => cost),
        updated.map(({ basis }) => basis),
        updated.map(({ lines }) => textFromLines(lines, rows)),
        updated.map(({ facts }) => JSON.stringify(facts)),
      ],
    }
  }
}

/** Last of the locked rows, and in one order: whoever is here waits for nobody before. */
function* spendStatements({ spend }: PostgresRows): Iterable<Statement> {
  const sorted = inOrder(spend)
  if (sorted.length === 0) return
  yield {
    name: 'add spend',
    text: `insert into bursar.spend as s (hour, ${columns}, calls, tokens, cost, presumed)
           select * from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[],
             $6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[])
           on conflict (hour, ${columns}) do update set calls = s.calls + excluded.calls,
             tokens = s.tokens + excluded.tokens, cost = s.cost + excluded.cost,
             presumed = s.presumed + excluded.presumed`,
    values: [
      sorted.map(({ hour }) => hour),
      ...spendDimensions.map((dimension) => sorted.map(({ scope }) => scope[dimension] ?? '')),
      sorted.map(({ calls }) => calls),
      sorted.map(({ tokens }) => tokens),
      sorted.map(({ cost }) => cost),
      sorted.map(({ presumed }) => presumed),
    ],
  }
}

function* entryStatements(rows: PostgresRows): Iterable<Statement> {
  const { entries, alerts, marks } = rows
  if (entries.length > 0) {
    yield {
      name: 'add entries',
      text: `insert into bursar.entry (kind, hold, at, lines, overage, reason, author)
             select kind, hold, at, lines, overage, reason, author
             from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::text[],
               $7::text[]) with ordinality
               as v (kind, hold, at, lines, overage, reason, author, no) order by no`,
      values: [
        entries.map(({ kind }) => kind),
        entries.map(({ hold }) => hold),
        entries.map(({ at }) => at),
        entries.map(({ lines }) => textFromEntryLines(lines, rows)),
        entries.map(({ overage }) => overage),
        entries.map(({ reason }) => reason),
        entries.map(({ author }) => author),
      ],
    }
  }
  if (marks.length > 0) {
    yield {
      name: 'add marks',
      text: `insert into bursar.mark (id, value) select * from unnest($1::text[], $2::text[])
             on conflict (id) do nothing`,
      values: [marks.map(({ id }) => id), marks.map(({ value }) => value)],
    }
  }
  if (alerts.length > 0) {
    // One a line crossed, whichever replica crosses it.
    yield {
      name: 'add alerts',
      text: `insert into bursar.alert (id, at, json)
             select id, at, json from unnest($1::text[], $2::bigint[], $3::text[]) with ordinality
               as v (id, at, json, no) order by no on conflict (id) do nothing`,
      values: [
        alerts.map(({ id }) => id),
        alerts.map(({ at }) => at),
        alerts.map((alert) => toJson(alert)),
      ],
    }
  }
}
