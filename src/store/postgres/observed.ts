/** Observed calls in PostgreSQL: one statement a request, beside the ledger's own connection. */
import type { Client } from 'pg'
import { type ObservedCall, statesOf, type Window, windowsOf } from '#core/observed.ts'
import type { Instant } from '#core/time.ts'
import { observedColumns, observedValues, settledAtOnce } from '#store/observed-sql.ts'

const types: Readonly<Record<string, string>> = {
  at: 'bigint',
  ended_at: 'bigint',
  seen_at: 'bigint',
  hour: 'bigint',
  tokens: 'bigint',
  cost: 'bigint',
}

/** What another replica writes at the same time is kept by whoever is first. */
export async function observeIn(client: Client, calls: readonly ObservedCall[]): Promise<void> {
  const once = [...new Map([...calls].reverse().map((call) => [call.id, call])).values()].reverse()
  const gateway = await gatewayIds(client, windowsOf(once), idsOf(once))
  const rows = statesOf(once, gateway).map(({ call, state }) => observedValues(call, state))
  const columns = observedColumns.map((_, i) => rows.map((row) => textOf(row[i])))
  const arrays = observedColumns.map((name, i) => `$${i + 1}::${types[name] ?? 'text'}[]`)
  const names = observedColumns.join(', ')
  const chosen = observedColumns.map((name) =>
    name === 'state'
      ? `case when n.response is not null and exists (select 1 from bursar.observation o
           where o.response = n.response) then 'double' else n.state end`
      : `n.${name}`,
  )
  await client.query(
    `insert into bursar.observation (${names})
     select ${chosen.join(', ')} from unnest(${arrays.join(', ')}) as n (${names})
     on conflict do nothing`,
    columns,
  )
}

const textOf = (value: unknown): string | null => (value === null ? null : String(value))

const idsOf = (calls: readonly Pick<ObservedCall, 'response'>[]): string[] =>
  calls.flatMap(({ response }) => (response === null ? [] : [response]))

/** How many count no longer. */
export async function settleIn(client: Client, since: Instant): Promise<number> {
  const { rows } = await client.query(
    `select id, response, at, ended_at from bursar.observation
     where seen_at >= $1 and state = 'counted' and response is not null
     order by seen_at desc limit $2`,
    [since, settledAtOnce],
  )
  const calls = rows.map((row) => ({
    id: String(row.id),
    response: String(row.response),
    at: Number(row.at) as Instant,
    endedAt: Number(row.ended_at) as Instant,
  }))
  const gateway = await gatewayIds(client, windowsOf(calls), idsOf(calls))
  const known = calls.filter(({ response }) => gateway.has(response)).map(({ id }) => id)
  if (known.length === 0) return 0
  await client.query(
    `update bursar.observation set state = 'gateway' where id = any($1) and state = 'counted'`,
    [known],
  )
  return known.length
}

/** Read as text: facts are JSON of providers' making, which PostgreSQL may not like. */
async function gatewayIds(
  client: Client,
  windows: readonly Window[],
  ids: readonly string[],
): Promise<ReadonlySet<string>> {
  const found = new Set<string>()
  for (const { from, to } of windows) {
    const { rows } = await client.query(
      `select h.answer, h.request, h.call from (
         select substring(facts from '"responseId":"([^"\\\\]*)"') as answer,
           substring(facts from '"requestId":"([^"\\\\]*)"') as request, call
         from bursar.hold
         where made_at >= $1 and made_at <= $2 and state in ('settled', 'expired')) h
       where h.answer = any($3) or h.request = any($3) or h.call = any($3)`,
      [from, to, ids],
    )
    for (const { answer, request, call } of rows) {
      for (const id of [answer, request, call]) if (typeof id === 'string') found.add(id)
    }
  }
  return found
}
