/** Outcomes and the work beside them in SQL, the same for both SQL stores but for its spelling. */
import type { Facts } from '#core/journal.ts'
import { nanos } from '#core/money.ts'
import type { BookedOutcome, OutcomeEvent } from '#core/outcome.ts'
import type { Attribution } from '#core/scope.ts'
import { instant } from '#core/time.ts'
import { toolsOf, type WorkQuery, type WorkRow } from '#core/work.ts'
import { fromJson, toJson } from '#lib/json.ts'

type Row = Readonly<Record<string, unknown>>

/** In the order of the columns. */
export function outcomeValues(event: OutcomeEvent) {
  const { id, kind, type, subject, at, bookedAt } = event
  return [id, kind, type, subject, at, bookedAt, toJson(event)] as const
}

export const outcomeColumns = 'id, kind, type, subject, at, booked_at, json'

export function outcomeFromRow({ seq, json }: Row): BookedOutcome {
  return { ...(fromJson(String(json)) as OutcomeEvent), seq: Number(seq) }
}

/** Values: type ('' for all), from, to, after, limit. */
export function outcomesSql(
  table: string,
  [type, from, to, after, limit]: readonly [string, string, string, string, string],
): string {
  return `select seq, json from ${table} where subject in (
      select subject from ${table}
      where kind = 'claimed' and (${type} = '' or type = ${type}) and at >= ${from} and at < ${to}
        and seq > ${after}
      order by seq limit ${limit})
    order by seq`
}

/** What a page of work is asked with, in the order of the values of `workSql`. */
export function workValues({ from, to, after, limit }: WorkQuery) {
  // Nothing before the last row: an index is entered there, and not at the start of the time.
  return after === null
    ? ([from, to, -1, '', limit] as const)
    : ([after.madeAt, to, after.madeAt, after.hold, limit] as const)
}

/** JSON is read once it is known which rows are on the page. */
export function workSql(
  table: string,
  spelling: { readonly fact: (name: string) => string; readonly id: string },
  [from, to, at, id, limit]: readonly [string, string, string, string, string],
): string {
  const facts = ['conversation', 'run', 'purpose', 'charge']
  const read = facts.map((one) => `${spelling.fact(one)} as ${one}`).join(', ')
  const order = `made_at, ${spelling.id}`
  return `select id, call, made_at, attribution, cost, basis, ${read} from (
      select id, call, made_at, attribution, cost, basis, facts from ${table}
      where made_at >= ${from} and made_at < ${to} and state in ('settled', 'expired')
        and (made_at > ${at} or made_at = ${at} and ${spelling.id} > ${id})
      order by ${order} limit ${limit}) page
    order by ${order}`
}

const toolWords = /search|session|ground/

export function workFromRow(row: Row): WorkRow {
  const cost = nanos((row.cost ?? 0n) as bigint)
  const charge = row.charge === null ? '' : String(row.charge)
  const lines: Facts[string] = toolWords.test(charge) ? JSON.parse(charge) : null
  return {
    hold: String(row.id),
    call: String(row.call),
    madeAt: instant(Number(row.made_at)),
    attribution: JSON.parse(String(row.attribution)) as Attribution,
    conversation: row.conversation === null ? null : String(row.conversation),
    run: row.run === null ? null : String(row.run),
    cost,
    tools: toolsOf(lines, cost),
    presumed: row.basis === 'presumed' && cost > 0n,
    purpose: row.purpose === null ? null : String(row.purpose),
  }
}
