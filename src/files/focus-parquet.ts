/** FOCUS as Parquet, through DuckDB. Amounts are decimals of 15 places there: exact. */
import { openDesk, quoted } from './duckdb.ts'

const named = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** `lines`: a file of JSON lines whose values are texts or null. */
export async function writeParquet(
  lines: string,
  to: string,
  {
    columns,
    numbers,
  }: { readonly columns: readonly string[]; readonly numbers: ReadonlySet<string> },
): Promise<void> {
  await using desk = await openDesk()
  const types = columns.map((name) => `${quoted(name)}: 'VARCHAR'`).join(', ')
  const cells = columns.map((name) =>
    numbers.has(name) ? `CAST(${named(name)} AS DECIMAL(38, 15)) AS ${named(name)}` : named(name),
  )
  await desk.connection.run(
    `COPY (SELECT ${cells.join(', ')} FROM read_json(${quoted(lines)}, ` +
      `format='newline_delimited', columns={${types}})) TO ${quoted(to)} (FORMAT parquet)`,
  )
}
