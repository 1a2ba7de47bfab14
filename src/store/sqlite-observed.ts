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

/** Looked through while its sender waits; the rest is left to `settledWith`. */
const rowsAtOnce = 2000

/** What to write for these, each once. */
export async function observeWith(
  read: Read,
  calls: readonly ObservedCall[],
): Promise<readonly Value[][]> {
  const gateway = await gatewayIds(read, calls, rowsAtOnce)
  return statesOf(calls, gateway).map(({ call, state }) => {
    const [id, response, , ...rest] = observedValues(call, state) as Value[]
    // The state is the writer's to say: a record that came before may tell of the same answer.
    return [id ?? '', response ?? null, response ?? null, state, ...rest]
  })
}

/** Ids of those that the gateway has settled meanwhile. */
export async function settledWith(read: Read, since: Instant): Promise<readonly string[]> {
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
  const gateway = await gatewayIds(read, calls, Number.POSITIVE_INFINITY)
  return calls.filter(({ response }) => gateway.has(response)).map(({ id }) => id)
}

const pageRows = 500

/**
 * Ids of calls of the gateway among those that may be the same, of at most `rowsMax` holds. Page by
 * page: between two of them calls are served.
 */
async function gatewayIds(
  read: Read,
  calls: readonly Pick<ObservedCall, 'response' | 'at' | 'endedAt'>[],
  rowsMax: number,
): Promise<ReadonlySet<string>> {
  const wanted = new Set(calls.flatMap(({ response }) => response ?? []))
  const found = new Set<string>()
  let left = rowsMax
  for (const { from, to } of windowsOf(calls)) {
    for (let last: Row | undefined = { made_at: from, id: '' }; last !== undefined && left > 0; ) {
      const after: (string | number)[] = [Number(last.made_at), String(last.id)]
      const rows = read(
        `select facts ->> 'responseId' as answer, facts ->> 'requestId' as request, call, made_at, id
         from hold where made_at >= ? and made_at <= ? and (made_at, id) > (?, ?)
           and state in ('settled', 'expired') order by made_at, id limit ?`,
        from,
        to,
        ...after,
        pageRows,
      )
      for (const { answer, request, call } of rows) {
        for (const id of [answer, request, call]) {
          if (typeof id === 'string' && wanted.has(id)) found.add(id)
        }
      }
      left -= pageRows
      last = rows.length < pageRows ? undefined : rows.at(-1)
      await turn()
    }
  }
  return found
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
