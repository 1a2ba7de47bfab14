/** Observed calls in SQLite: read where the ledger is read, written by its one writer. */
import { type ObservedCall, statesOf, windowsOf } from '#core/observed.ts'
import type { Instant } from '#core/time.ts'
import { observedValues, settledAtOnce } from './observed-sql.ts'
import type { Value, WriteName } from './sqlite-writes.ts'

type Row = Readonly<Record<string, unknown>>
export type Read = (sql: string, ...args: (string | number)[]) => readonly Row[]
export type Write = (name: WriteName, ...values: Value[]) => void

/** So many in one transaction: calls are not kept waiting by a large request. */
export const observedAtOnce = 100

/** What to write for these, each once. */
export function observeWith(read: Read, calls: readonly ObservedCall[]): readonly Value[][] {
  const gateway = gatewayIds(read, calls)
  return statesOf(calls, gateway).map(({ call, state }) => {
    const [id, response, , ...rest] = observedValues(call, state) as Value[]
    // The state is the writer's to say: a record that came before may tell of the same answer.
    return [id ?? '', response ?? null, response ?? null, state, ...rest]
  })
}

/** Ids of those that the gateway has settled meanwhile. */
export function settledWith(read: Read, since: Instant): readonly string[] {
  const rows = read(
    `select id, response, at, ended_at from observation
     where seen_at >= ? and state = 'counted' and response is not null
     order by seen_at desc limit ?`,
    since,
    settledAtOnce,
  )
  const calls = rows.map((row) => ({
    id: String(row.id),
    response: String(row.response),
    at: Number(row.at) as Instant,
    endedAt: Number(row.ended_at) as Instant,
  }))
  const gateway = gatewayIds(read, calls)
  return calls.filter(({ response }) => gateway.has(response)).map(({ id }) => id)
}

function gatewayIds(
  read: Read,
  calls: readonly Pick<ObservedCall, 'response' | 'at' | 'endedAt'>[],
): ReadonlySet<string> {
  const ids = JSON.stringify(calls.flatMap(({ response }) => response ?? []))
  const found = new Set<string>()
  for (const { from, to } of windowsOf(calls)) {
    const rows = read(
      `with wanted as materialized (select value from json_each(?))
       select h.answer, h.request, h.call from (
         select facts ->> 'responseId' as answer, facts ->> 'requestId' as request, call
         from hold where made_at >= ? and made_at <= ? and state in ('settled', 'expired')) h
       where h.answer in wanted or h.request in wanted or h.call in wanted`,
      ids,
      from,
      to,
    )
    for (const { answer, request, call } of rows) {
      for (const id of [answer, request, call]) if (typeof id === 'string') found.add(id)
    }
  }
  return found
}
