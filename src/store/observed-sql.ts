/** Observed calls in SQL: the table's columns, and the questions both SQL stores ask. */
import { nanos } from '#core/money.ts'
import { hourOf, type ObservedCall, type ObservedRow, type ObservedState } from '#core/observed.ts'
import { sortObserved } from '#core/observed.ts'
import { type SpendQuery, spendDimensions } from '#core/spend.ts'
import { toJson } from '#lib/json.ts'
import { groupedSql, groupOf } from './spend-sql.ts'

/** In the order of `observedValues`. */
export const observedColumns = [
  'id',
  'response',
  'state',
  'at',
  'ended_at',
  'seen_at',
  'hour',
  ...spendDimensions,
  'tokens',
  'cost',
  'json',
] as const

/** `''` stands for a dimension without a value, as in `spend`. */
export function observedValues(call: ObservedCall, state: ObservedState) {
  const { attribution, facts } = call
  return [
    call.id,
    call.response,
    state,
    call.at,
    call.endedAt,
    call.seenAt,
    hourOf(call.at),
    ...spendDimensions.map((dimension) => attribution[dimension] ?? ''),
    call.tokens,
    call.cost,
    toJson({ attribution, facts }),
  ]
}

export function observedSql(
  table: string,
  query: SpendQuery,
  span: readonly [string, string],
): string {
  const when = (what: string, condition: string): string =>
    `cast(coalesce(sum(case when ${condition} then ${what} else 0 end), 0) as bigint)`
  const counted = `state = 'counted'`
  const sums = [
    `${when('1', counted)} as calls`,
    `${when('tokens', counted)} as tokens`,
    `${when('coalesce(cost, 0)', counted)} as cost`,
    `${when('1', `${counted} and cost is null`)} as unpriced`,
    `${when('1', `state <> 'counted'`)} as duplicates`,
  ]
  return groupedSql(table, query, span, sums)
}

export function observedRows(
  rows: readonly Readonly<Record<string, unknown>>[],
  { by }: SpendQuery,
): readonly ObservedRow[] {
  return sortObserved(
    rows.map((row) => ({
      ...groupOf(row, by),
      calls: BigInt(row.calls as bigint),
      tokens: BigInt(row.tokens as bigint),
      cost: nanos(BigInt(row.cost as bigint)),
      unpriced: BigInt(row.unpriced as bigint),
      duplicates: BigInt(row.duplicates as bigint),
    })),
  )
}

/** At most so many are looked at again in one round. */
export const settledAtOnce = 20_000
