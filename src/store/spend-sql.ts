/** The report's question in SQL, the same for both SQL stores but for how values are numbered. */
import { nanos } from '#core/money.ts'
import { scopeBy, type SpendQuery, type SpendRow, sortSpend, spendDimensions } from '#core/spend.ts'
import { instant } from '#core/time.ts'

/** `''` stands for a dimension without a value: a key has no nulls. */
export const columns = spendDimensions.join(', ')

export function spendSql(
  table: string,
  query: SpendQuery,
  span: readonly [string, string],
): string {
  const sums = ['calls', 'tokens', 'cost', 'presumed'].map(
    (name) => `cast(coalesce(sum(${name}), 0) as bigint) as ${name}`,
  )
  return groupedSql(table, query, span, sums)
}

/** Sums of a table that has an hour and the dimensions, by what the query asks to tell apart. */
export function groupedSql(
  table: string,
  { daily, by }: SpendQuery,
  [from, to]: readonly [string, string],
  sums: readonly string[],
): string {
  const day = daily ? 'hour - hour % 86400000' : 'null'
  const groups = [...(daily ? [day] : []), ...by]
  return `select ${[`${day} as day`, ...by, ...sums].join(', ')} from ${table}
    where hour >= ${from} and hour < ${to}
    ${groups.length === 0 ? 'having count(*) > 0' : `group by ${groups.join(', ')}`}`
}

/** The group that a row of `groupedSql` is of. */
export function groupOf(
  row: Readonly<Record<string, unknown>>,
  by: SpendQuery['by'],
): Pick<SpendRow, 'day' | 'scope'> {
  return {
    day: row.day === null ? null : instant(Number(row.day)),
    scope: scopeBy(by, (dimension) => (row[dimension] === '' ? null : String(row[dimension]))),
  }
}

export function spendRows(
  rows: readonly Readonly<Record<string, unknown>>[],
  { by }: SpendQuery,
): readonly SpendRow[] {
  return sortSpend(
    rows.map((row) => ({
      ...groupOf(row, by),
      calls: row.calls as bigint,
      tokens: row.tokens as bigint,
      cost: nanos(row.cost as bigint),
      presumed: nanos(row.presumed as bigint),
    })),
  )
}

/** What reports add up to, and what was charged: `told` and `charged`. */
export function spendSums(schema: string): string {
  return `select
    (select cast(coalesce(sum(cost), 0) as bigint) from ${schema}spend) as told,
    (select cast(coalesce(sum(cost), 0) as bigint) from ${schema}hold
     where state in ('settled', 'expired')) as charged`
}
