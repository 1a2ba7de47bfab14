/**
 * DuckDB, for files of gigabytes and for Parquet. It knows nothing of bills: it groups rows that
 * agree in the columns asked for and adds up their numbers, exactly; what the rows mean is read
 * from the groups (`src/bills/format.ts`). The package is optional: without it, text is streamed.
 */
import type { DuckDBConnection, DuckDBType } from '@duckdb/node-api'
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { FileProblem, type Source } from './find.ts'

type Api = typeof import('@duckdb/node-api')

let api: Promise<Api | null> | undefined

/** Null where the package, or its part for this platform, is not installed. */
export function loadDuckDb(): Promise<Api | null> {
  api ??= import('@duckdb/node-api').catch(() => null)
  return api
}

export interface Desk extends AsyncDisposable {
  readonly connection: DuckDBConnection
}

/** A database in memory that spills to a temporary folder, and loads nothing from elsewhere. */
export async function openDesk(): Promise<Desk> {
  const duckdb = await loadDuckDb()
  if (duckdb === null) {
    throw new FileProblem(
      'Parquet needs the package @duckdb/node-api, which is not installed here: ' +
        'npm install @duckdb/node-api, or export the bill as CSV',
    )
  }
  const folder = mkdtempSync(join(tmpdir(), 'bursar-bills-'))
  const instance = await duckdb.DuckDBInstance.create(':memory:', {
    memory_limit: '600MB',
    threads: String(Math.min(4, availableParallelism())),
    temp_directory: folder,
    preserve_insertion_order: 'false',
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    allow_community_extensions: 'false',
  })
  const connection = await instance.connect()
  // A time with a zone has its UTC day, wherever this machine stands.
  await connection.run("SET TimeZone = 'UTC'")
  return {
    connection,
    [Symbol.asyncDispose]: async () => {
      connection.closeSync()
      instance.closeSync()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

export const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`
const named = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** A column of the file and the SQL that gives its text. */
export interface Column {
  readonly name: string
  readonly sql: string
  /** Of a time: the SQL that gives its UTC day alone, which is sooner made. */
  readonly day?: string
}

export interface Table {
  /** What stands behind FROM. */
  readonly from: string
  readonly columns: readonly Column[]
}

/** DuckDB reads paths as patterns: these characters in a real name would be one. */
export const isPattern = (path: string): boolean => /[*?[\]{}]/.test(path)

/** A CSV file as it is, every cell text; rows of another length go to `reject_errors`. */
export function csvTable(source: Source): Table | null {
  const { content } = source
  if (content.kind !== 'csv' || isPattern(source.path)) return null
  const names = content.header.map((_, i) => `c${i}`)
  const columns = names.map((name) => `'${name}': 'VARCHAR'`).join(', ')
  const options = [
    'auto_detect=false, header=true, strict_mode=true, store_rejects=true, rejects_limit=1000',
    `delim=${quoted(content.separator)}, quote='"', escape='"'`,
    `columns={${columns}}, max_line_size=16777216`,
    `compression=${source.isGzip ? "'gzip'" : "'none'"}`,
  ]
  return {
    from: `read_csv(${quoted(source.path)}, ${options.join(', ')})`,
    columns: content.header.map((name, i) => ({ name, sql: `c${i}` })),
  }
}

/** A Parquet file, its nested columns unfolded: `{a: {b}}` is the column `a.b`, a list is JSON. */
export async function parquetTable(desk: Desk, source: Source): Promise<Table> {
  if (isPattern(source.path)) {
    throw new FileProblem(`${source.path}: rename it without the characters * ? [ ] { }`)
  }
  const from = `read_parquet(${quoted(source.path)})`
  const duckdb = (await loadDuckDb()) as Api
  try {
    const head = await desk.connection.runAndReadAll(`SELECT * FROM ${from} LIMIT 0`)
    const types = head.columnTypes()
    const columns = head
      .columnNames()
      .flatMap((name, i) => leaves(duckdb, name, named(name), types[i] as DuckDBType))
    return { from, columns }
  } catch (error) {
    const why = error instanceof Error ? error.message.split('\n')[0] : String(error)
    throw new FileProblem(`${source.path} cannot be read: ${why}`)
  }
}

function leaves(duckdb: Api, name: string, sql: string, type: DuckDBType): readonly Column[] {
  if (type instanceof duckdb.DuckDBStructType && !/^(tags|labels|product)$/i.test(name)) {
    return type.entryNames.flatMap((entry, i) => {
      const inner = type.entryTypes[i] as DuckDBType
      return leaves(duckdb, `${name}.${entry}`, `${sql}.${named(entry)}`, inner)
    })
  }
  const isNested =
    type instanceof duckdb.DuckDBListType ||
    type instanceof duckdb.DuckDBMapType ||
    type instanceof duckdb.DuckDBStructType
  if (isNested) return [{ name, sql: jsonOf(duckdb, sql, type) }]
  const text = `CAST(${sql} AS VARCHAR)`
  if (!/^TIMESTAMP/.test(type.toString())) return [{ name, sql: text }]
  return [{ name, sql: text, day: `CAST(CAST(${sql} AS DATE) AS VARCHAR)` }]
}

/** JSON in which every number is a text, so that none passes through a float. */
function jsonOf(duckdb: Api, sql: string, type: DuckDBType): string {
  const texts = (inner: string, of: DuckDBType, depth: number): string => {
    if (of instanceof duckdb.DuckDBListType) {
      const each = `e${depth}`
      return `list_transform(${inner}, ${each} -> ${texts(each, of.valueType, depth + 1)})`
    }
    if (of instanceof duckdb.DuckDBStructType) {
      const fields = of.entryNames.map((entry, i) => {
        const value = texts(`${inner}.${named(entry)}`, of.entryTypes[i] as DuckDBType, depth + 1)
        return `${named(entry)} := ${value}`
      })
      return `struct_pack(${fields.join(', ')})`
    }
    return of instanceof duckdb.DuckDBMapType ? inner : `CAST(${inner} AS VARCHAR)`
  }
  const json = `CAST(to_json(${texts(sql, type, 0)}) AS VARCHAR)`
  return `CASE WHEN ${sql} IS NULL THEN NULL ELSE ${json} END`
}

/** Which rows go together, by canonical names; a column that the file lacks is left out. */
export interface Squeeze {
  readonly keys: readonly string[]
  readonly dates: readonly string[]
  readonly amounts: readonly string[]
  /** Rows without these words keep only the first amount and `always` (the currency). */
  readonly covers: { readonly columns: readonly string[]; readonly words: string } | null
  readonly always: string | null
  readonly totalWords: string
}

/** Most numbers: they fit DECIMAL(18, 12) exactly, which is added up three times as fast. */
const shortNumber = '[-+]?[0-9]{1,6}(\\.[0-9]{1,12})?'
/** What is added up in SQL besides: fits DECIMAL(38, 24) exactly, whatever the row. */
const longNumber = '[-+]?[0-9]{1,9}(\\.[0-9]{1,24})?|[-+]?[0-9](\\.[0-9]{1,16})?[eE]-0?[1-8]'

/** Groups `k0`..., cells that are no plain number `o0`..., sums `s0`... and `l0`..., `n` rows. */
export function squeezeSql(table: Table, names: readonly string[], squeeze: Squeeze): string {
  const sqlOf = (name: string): string => table.columns[names.indexOf(name)]?.sql ?? 'NULL'
  const { covers } = squeeze
  // Column by column: what stands in few forms is then looked at in few.
  const has = (column: string): string =>
    `regexp_matches(lower(coalesce(${sqlOf(column)}, '')), ${quoted(covers?.words ?? '')})`
  const covered = covers === null ? 'TRUE' : `(${covers.columns.map(has).join(' OR ')})`
  const only = (sql: string): string =>
    covers === null ? sql : `CASE WHEN covered THEN ${sql} END`
  const inner = [
    `${covered} AS covered`,
    `${table.columns[0]?.sql ?? 'NULL'} AS head`,
    ...squeeze.keys.map((key, i) => {
      const column = table.columns[names.indexOf(key)]
      return `${column?.day ?? column?.sql ?? 'NULL'} AS r${i}`
    }),
    ...squeeze.amounts.map((amount, i) => `${sqlOf(amount)} AS a${i}`),
  ]
  // Each number is looked at once: this is where the time goes. Of rows that are left out only the
  // first counts.
  const plain = squeeze.amounts.flatMap((_, i) => {
    const cell = `trim(a${i})`
    const is = (shape: string): string => `regexp_full_match(${cell}, ${quoted(shape)})`
    const short = `CASE WHEN ${is(shortNumber)} THEN CAST(${cell} AS DECIMAL(18, 12)) END`
    const long =
      `CASE WHEN NOT ${is(shortNumber)} AND ${is(longNumber)} ` +
      `THEN CAST(${cell} AS DECIMAL(38, 24)) END`
    const [p, q] = i === 0 ? [short, long] : [only(short), only(long)]
    return [`${p} AS p${i}`, `${q} AS q${i}`]
  })
  const total = quoted(`(?i)${squeeze.totalWords}`)
  const outer = [
    'covered',
    `coalesce(regexp_matches(head, ${total}), FALSE) AS total`,
    ...squeeze.keys.map((key, i) => {
      const cut = squeeze.dates.includes(key) ? `left(trim(r${i}), 10)` : `r${i}`
      return `${key === squeeze.always ? cut : only(cut)} AS k${i}`
    }),
    ...squeeze.amounts.map((_, i) => {
      const odd = `CASE WHEN p${i} IS NULL AND q${i} IS NULL THEN coalesce(a${i}, '') END`
      return `${i === 0 ? odd : only(odd)} AS o${i}`
    }),
    ...squeeze.amounts.map((_, i) => `CAST(sum(p${i}) AS VARCHAR) AS s${i}`),
    ...squeeze.amounts.map((_, i) => `CAST(sum(q${i}) AS VARCHAR) AS l${i}`),
    'CAST(count(*) AS VARCHAR) AS n',
  ]
  const rows = `SELECT ${inner.join(', ')} FROM ${table.from}`
  const numbers = `SELECT *, ${plain.join(', ')} FROM (${rows})`
  return `SELECT ${outer.join(', ')} FROM (${numbers}) GROUP BY ALL`
}

/** Rows of a query as texts, a chunk at a time. */
export async function* queried(
  desk: Desk,
  sql: string,
): AsyncGenerator<readonly (readonly unknown[])[]> {
  const result = await desk.connection.stream(sql)
  for await (const rows of result.yieldRowsJs()) yield rows
}
