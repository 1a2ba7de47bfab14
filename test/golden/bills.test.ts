/** Every sample of a bill gives its total to the last digit, in whatever form it comes. */
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { type BillLine, partOf } from '#core/bill-line.ts'
import { addDecimals, type Decimal, decimalZero, formatDecimal } from '#core/decimal.ts'
import { csvReader, separatorOf } from '#bills/csv.ts'
import { parseExact, rowsOf } from '#bills/documents.ts'
import { csvOf } from '#lib/csv.ts'
import { type BillOptions, type BillReport, readBill } from '#files/bill.ts'
import { openDesk } from '#files/duckdb.ts'

const samples = new URL('./bills/', import.meta.url).pathname
const folder = mkdtempSync(join(tmpdir(), 'bursar-bills-test-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Read {
  readonly lines: readonly BillLine[]
  readonly total: string
  readonly report: BillReport
}

async function read(files: readonly string[], more: Partial<BillOptions> = {}): Promise<Read> {
  const lines: BillLine[] = []
  const options: BillOptions = {
    wanted: [],
    mappingFor: () => new Map(),
    all: false,
    engine: 'rows',
    progress: () => {},
    ...more,
  }
  const report = await readBill(files, options, (line) => lines.push(line))
  return { lines, total: formatDecimal(sumOf(lines)), report }
}

const sumOf = (lines: readonly BillLine[]): Decimal =>
  lines.reduce((sum, { net }) => addDecimals(sum, net ?? decimalZero), decimalZero)

let made = 0
function file(content: string | Uint8Array, ending = 'bin'): string {
  made += 1
  const path = join(folder, `${made}.${ending}`)
  writeFileSync(path, content)
  return path
}

/** A table as its header and rows; of an API's page, the rows that it unfolds to. */
interface Table {
  readonly header: readonly string[]
  readonly rows: readonly (readonly (string | null)[])[]
}

function tableOf(path: string): Table {
  const text = readFileSync(path, 'utf8').replace(/^\ufeff/, '')
  if (path.endsWith('.csv')) {
    const all: string[][] = []
    const reader = csvReader(separatorOf(text.split('\n')[0] ?? ''), (row) => all.push(row))
    reader.push(text)
    reader.end()
    return { header: all[0] ?? [], rows: all.slice(1) }
  }
  const documents = path.endsWith('.jsonl')
    ? text.trim().split('\n').map(parseExact)
    : [parseExact(text)]
  const rows = documents.flatMap((one) => rowsOf(one).rows)
  const header = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  return { header, rows: rows.map((row) => header.map((name) => row[name] ?? null)) }
}

/** A CSV without protection against formulas: this is what a provider writes. */
const asCsv = ({ header, rows }: Table): string =>
  [header, ...rows].map((row) => `${row.map((cell) => inCsv(cell ?? '')).join(',')}\n`).join('')
const inCsv = (cell: string): string =>
  /[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell

async function asParquet(table: Table): Promise<string> {
  const csv = file(asCsv(table), 'csv')
  const path = join(folder, `${made}.parquet`)
  await using desk = await openDesk()
  const columns = table.header.map((_, i) => `'c${i}': 'VARCHAR'`).join(', ')
  const names = table.header.map((name, i) => `c${i} AS "${name}"`).join(', ')
  const from = `read_csv('${csv}', auto_detect=false, header=true, quote='"', columns={${columns}})`
  await desk.connection.run(`COPY (SELECT ${names} FROM ${from}) TO '${path}' (FORMAT parquet)`)
  return path
}

const expected = JSON.parse(readFileSync(`${samples}EXPECTED.json`, 'utf8')) as Record<
  'anthropic' | 'openai' | 'aws_cur2' | 'azure' | 'gcp' | 'focus',
  Record<string, string>
>
const bills = [
  ['anthropic/cost_report.synthetic.json', expected.anthropic.total_usd],
  ['anthropic/console_cost_export.synthetic.csv', expected.anthropic.total_usd],
  ['openai/costs.synthetic.json', expected.openai.total_usd],
  ['openai/cost_export.synthetic.csv', expected.openai.total_usd],
  ['aws/cur2_bedrock.synthetic.csv', expected.aws_cur2.net_usd],
  ['aws/cost_explorer_get_cost_and_usage.synthetic.json', expected.aws_cur2.usage_usd],
  ['azure/openai_actual_cost.synthetic.csv', expected.azure.total_usd],
  ['gcp/billing_export_detailed.synthetic.jsonl', expected.gcp.net_usd],
  ['focus/focus_1.2_ai.synthetic.csv', expected.focus.billed_usd],
] as const

test.each(bills)('%s gives its total', async (name, total) => {
  const { total: found, report } = await read([`${samples}${name}`])
  expect(found).toBe(total)
  expect(report).toMatchObject({ bad: [], leftOut: [], unknown: [] })
})

test.each(bills)('%s gives its total gzipped, and as Parquet', async (name, total) => {
  const path = `${samples}${name}`
  const zipped = file(gzipSync(readFileSync(path)))
  expect((await read([zipped])).total).toBe(total)
  const table = tableOf(path)
  const parquet = await asParquet(table)
  for (const engine of ['rows', 'sql', 'auto'] as const) {
    const { total: found, report } = await read([parquet], { engine })
    expect(found).toBe(total)
    expect(report.bad).toEqual([])
  }
  const wanted = ['agent', 'project', 'model', 'day', 'key', 'service']
  const [each, groups] = await Promise.all([
    read([parquet], { engine: 'rows', wanted }),
    read([parquet], { engine: 'sql', wanted }),
  ])
  expect(sums(groups)).toEqual(sums(each))
})

test.each(bills)('%s gives its total in any order and in any parts', async (name, total) => {
  const { header, rows } = tableOf(`${samples}${name}`)
  const order = fc.shuffledSubarray([...rows.keys()], { minLength: rows.length })
  const parts = fc.array(fc.nat({ max: 2 }), { minLength: rows.length, maxLength: rows.length })
  await fc.assert(
    fc.asyncProperty(order, parts, fc.constantFrom('rows', 'sql'), async (at, part, engine) => {
      const files = [0, 1, 2].flatMap((no) => {
        const mine = at.filter((_, i) => part[i] === no).map((i) => rows[i] ?? [])
        return mine.length === 0 ? [] : [file(asCsv({ header, rows: mine }), 'csv')]
      })
      const { total: found } = await read(files, { engine, wanted: ['model', 'agent'] })
      expect(found).toBe(total)
    }),
    { numRuns: 8 },
  )
})

test('Parquet as the clouds write it: structs, lists, maps, doubles and times', async () => {
  await using desk = await openDesk()
  const gcp = join(folder, 'nested-gcp.parquet')
  const lines = `${samples}gcp/billing_export_detailed.synthetic.jsonl`
  await desk.connection.run(
    `COPY (SELECT * REPLACE (CAST(cost AS DOUBLE) AS cost) FROM read_json('${lines}'))
     TO '${gcp}' (FORMAT parquet)`,
  )
  const cur = join(folder, 'nested-cur.parquet')
  const csv = `${samples}aws/cur2_bedrock.synthetic.csv`
  await desk.connection.run(
    `COPY (SELECT * REPLACE (
       CAST(line_item_unblended_cost AS DOUBLE) AS line_item_unblended_cost,
       CAST(line_item_usage_amount AS DOUBLE) AS line_item_usage_amount,
       CAST(line_item_usage_start_date AS TIMESTAMP) AS line_item_usage_start_date,
       CAST(json(resource_tags) AS MAP(VARCHAR, VARCHAR)) AS resource_tags,
       CAST(json(product) AS MAP(VARCHAR, VARCHAR)) AS product)
     FROM read_csv('${csv}', header=true, all_varchar=true)) TO '${cur}' (FORMAT parquet)`,
  )
  const wanted = ['agent', 'project', 'model', 'day']
  for (const [parquet, text, total] of [
    [gcp, lines, expected.gcp.net_usd],
    [cur, csv, expected.aws_cur2.net_usd],
  ] as const) {
    const plain = await read([text], { wanted })
    for (const engine of ['rows', 'sql'] as const) {
      const found = await read([parquet], { engine, wanted })
      expect(found.total).toBe(total)
      expect(found.report.bad).toEqual([])
      expect(groupsOf(found, wanted)).toEqual(groupsOf(plain, wanted))
    }
  }
})

/** Money by what was asked for. */
function groupsOf({ lines }: Read, wanted: readonly string[]): readonly (readonly string[])[] {
  const found = new Map<string, Decimal>()
  for (const line of lines) {
    const key = JSON.stringify([line.kind, ...wanted.map((name) => partOf(line, name))])
    found.set(key, addDecimals(found.get(key) ?? decimalZero, line.net ?? decimalZero))
  }
  return [...found].map(([key, net]) => [key, formatDecimal(net)]).sort()
}

test('the usage of the AWS bill is apart from its tax, credit and discount', async () => {
  const { lines } = await read([`${samples}aws/cur2_bedrock.synthetic.csv`])
  const rest = new Set(['tax', 'credit', 'discount'])
  const usage = lines.filter(({ kind }) => !rest.has(kind))
  expect(formatDecimal(sumOf(usage))).toBe(expected.aws_cur2.usage_usd)
  const tokens = usage.map(({ quantity, unit }) => [quantity && formatDecimal(quantity), unit])
  expect(tokens).toEqual([
    ['29481', 'tokens'],
    ['12050', 'tokens'],
    ['433893', 'tokens'],
    ['2000000', 'tokens'],
    ['250000', 'tokens'],
    ['1629500', 'tokens'],
  ])
})

test('a line keeps its row, and what it is for', async () => {
  const path = `${samples}azure/openai_actual_cost.synthetic.csv`
  const { lines } = await read([path])
  expect(lines.at(-1)).toMatchObject({
    provider: 'azure',
    source: { file: path, row: 7 },
    day: '2026-10-06',
    month: '2026-10',
    model: 'gpt-4o-mini-0718',
    kind: 'refund',
    quantity: { digits: -15000n, places: 1 },
    tags: { project: 'support-bot', env: 'prod' },
  })
})

test('usage reports have tokens and no money, cached ones not counted twice', async () => {
  for (const name of ['usage_completions.synthetic.json', 'usage_export.synthetic.csv']) {
    const { lines, report } = await read([`${samples}openai/${name}`])
    expect(report.files[0]?.hasMoney).toBe(false)
    const of = (kind: string): Decimal =>
      lines
        .filter((line) => line.kind === kind)
        .reduce((sum, line) => addDecimals(sum, line.quantity ?? decimalZero), decimalZero)
    expect(formatDecimal(of('cache_read'))).toBe('3290400')
  }
  const usage = ['usage_report_messages.synthetic.json', 'console_usage_export.synthetic.csv']
  const [json, csv] = await Promise.all(usage.map((name) => read([`${samples}anthropic/${name}`])))
  const shape = ({ kind, quantity, day }: BillLine) => [day, kind, quantity]
  expect(csv?.lines.map(shape)).toEqual(json?.lines.map(shape))
})

test('numbers of JSON are read from their text, not through a float', async () => {
  const noisy = ['0.1', '0.20000000000000001', '1e-7', '12345678901234567890.000000000000000001']
  const page = {
    object: 'page',
    data: noisy.map((value) => ({
      start_time: 1791158400,
      results: [{ amount: { value: `@${value}@`, currency: 'usd' }, line_item: 'm, input' }],
    })),
  }
  const text = JSON.stringify(page).replace(/"@|@"/g, '')
  expect((await read([file(text)])).total).toBe('12345678901234567890.300000100000000011')
  const lines = `${text}\n${text}\n`
  expect((await read([file(lines)])).total).toBe('24691357802469135780.600000200000000022')
})

test('the database and the reader of rows agree to the last digit, whatever the cells', async () => {
  const amount = fc.oneof(
    fc
      .tuple(fc.bigInt({ min: -(10n ** 9n), max: 10n ** 9n }), fc.integer({ min: 0, max: 24 }))
      .map(([digits, places]) => formatDecimal({ digits, places })),
    fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 }).map(String),
    fc.constantFrom('', 'NULL', '1e-07', '2.5E-6', '$1,000.50 ', '(3.25)', '-.5', '+7', ' 8 '),
    fc.constantFrom('1'.repeat(30), `0.${'0'.repeat(30)}1`, 'free', '1,5', '0x1f'),
  )
  const row = fc.record({
    lineItemType: fc.constantFrom('Usage', 'Tax', 'Credit', 'EdpDiscount', 'SavingsPlanNegation'),
    product: fc.constantFrom('AmazonBedrock', 'AmazonEC2', 'AmazonBedrockService', ''),
    usage: fc.constantFrom('USE1-Nova-input-tokens', 'USE1-Nova-output-tokens-flex', 'x', ''),
    unit: fc.constantFrom('1K tokens', '1M tokens', 'tokens', 'Hours', ''),
    day: fc.constantFrom('2026-10-05T09:00:00Z', '2026-10-06 10:00:00', '10/07/2026', 'then'),
    tags: fc.constantFrom('{"user_agent":"a"}', '{"user_agent":"b, ""c"""}', '{}', 'no json'),
    currency: fc.constantFrom('USD', 'usd', 'EUR'),
    cost: amount,
    quantity: amount,
  })
  const header = [
    'line_item_line_item_type,line_item_product_code,line_item_usage_type,pricing_unit',
    'line_item_usage_start_date,resource_tags,line_item_currency_code,line_item_unblended_cost',
    'line_item_usage_amount',
  ]
    .join(',')
    .split(',')
  await fc.assert(
    fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 40 }), async (rows) => {
      const table = { header, rows: rows.map((one) => Object.values(one)) }
      const wanted = ['agent', 'model', 'day', 'project', 'key', 'service']
      const csv = file(asCsv(table), 'csv')
      const plain = await read([csv], { engine: 'rows', wanted })
      for (const path of [csv, await asParquet(table)]) {
        const squeezed = await read([path], { engine: 'sql', wanted })
        expect(sums(squeezed)).toEqual(sums(plain))
        expect(leftOut(squeezed)).toEqual(leftOut(plain))
        expect(squeezed.report.bad.map(({ row: no, message }) => [no, message])).toEqual(
          plain.report.bad.map(({ row: no, message }) => [
            // A table's header is its first row; Parquet has none.
            no === null || path === csv ? no : no - 1,
            message,
          ]),
        )
      }
    }),
    { numRuns: 40 },
  )
}, 120_000)

test('whatever the quotes and line ends, both ways read the same rows and name the same bad ones', async () => {
  const cell = fc.oneof(
    fc.stringMatching(/^[ab ,"\n\r;']{0,6}$/),
    fc.constantFrom('m', '', 'é', '"'),
  )
  const inQuotes = (text: string): string => `"${text.replaceAll('"', '""')}"`
  const written = fc.tuple(
    cell,
    fc.constantFrom(inQuotes, inCsv, (text: string) => text),
  )
  const row = fc.record({
    model: written,
    key: fc.option(written, { freq: 9 }),
    cost: fc.constantFrom('1', '2.5', '0.25', ''),
    end: fc.constantFrom('\n', '\r\n', '\n\n', '\r\n\r\n', ',\n'),
  })
  const header = 'usage_date_utc,model,token_type,cost_usd,api_key\n'
  await fc.assert(
    fc.asyncProperty(fc.array(row, { maxLength: 30 }), async (rows) => {
      const lines = rows.map(({ model: [model, as], cost, key, end }) => {
        const last = key === null ? [] : [key[1](key[0])]
        return ['2026-10-05', as(model), 'output', cost, ...last].join(',') + end
      })
      const path = file(header + lines.join(''), 'csv')
      const plain = await read([path], { engine: 'rows', wanted: ['model', 'key'] })
      const squeezed = await read([path], { engine: 'sql', wanted: ['model', 'key'] })
      expect(sums(squeezed)).toEqual(sums(plain))
      expect(squeezed.report.bad).toEqual(plain.report.bad)
    }),
    { numRuns: 100 },
  )
}, 120_000)

/** Money and tokens of each group that was asked for. */
function sums({ lines }: Read): ReadonlyMap<string, readonly [string, string, number]> {
  const found = new Map<string, [Decimal, Decimal, number]>()
  for (const { tags, model, day, kind, currency, unit, net, quantity, rows, ...more } of lines) {
    const { project, key: name, service } = more
    const dims = [tags.agent, model, day, project, name, service]
    const key = JSON.stringify([...dims, kind, currency, unit])
    const [money, tokens, count] = found.get(key) ?? [decimalZero, decimalZero, 0]
    found.set(key, [
      addDecimals(money, net ?? decimalZero),
      addDecimals(tokens, quantity ?? decimalZero),
      count + rows,
    ])
  }
  return new Map(
    [...found]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, [money, tokens, count]]) => [
        key,
        [formatDecimal(money), formatDecimal(tokens), count],
      ]),
  )
}

const leftOut = ({ report }: Read) =>
  report.leftOut.map(({ rows, net, currency }) => [currency, rows, formatDecimal(net)]).sort()

/** Real exports are not ours to give: they lie beside the repository, where they do. */
const real = new URL('../../../shared/data/bills/real', import.meta.url).pathname
const realFiles = globSync(`${process.env.BURSAR_REAL_BILLS ?? real}/**/*.csv`)
if (realFiles.length === 0) process.stderr.write('no real bills here: their test is left out\n')

test.runIf(realFiles.length > 0)('real exports are read without a bad row', async () => {
  for (const path of realFiles) {
    const plain = await read([path], { all: true })
    if (plain.report.files.length === 0) continue
    const squeezed = await read([path], { all: true, engine: 'sql' })
    expect(plain.report.bad).toEqual([])
    expect(squeezed.total).toBe(plain.total)
  }
})

test('what is wrong with a file is told, with the row, and never dropped', async () => {
  const head = 'usage_date_utc,model,token_type,cost_usd\n'
  const rows =
    '2026-10-05,m,output,1.5\n2026-13-05,m,output,1\n2026-10-05,m,output,x\n2026-10-05,m\n'
  for (const engine of ['rows', 'sql'] as const) {
    const { total, report } = await read([file(head + rows, 'csv')], { engine })
    expect(total).toBe('1.5')
    expect(report.bad.map(({ row, message }) => [row, message])).toEqual([
      [3, 'usagedateutc: "2026-13-05" is not a date'],
      [4, 'costusd: "x" is not a number'],
      [5, '2 cells, where the header has 4'],
    ])
    const wrong = `${head}2026-10-05,m,output,1.5\nTotal,,,1.6\n`
    const { report: summed } = await read([file(wrong, 'csv')], { engine })
    expect(summed.bad[0]?.message).toBe('its total says 1.6, its rows add up to 1.5')
    const right = `${head}2026-10-05,m,output,1.5\nTotal,,,1.50\n`
    expect((await read([file(right, 'csv')], { engine })).report.bad).toEqual([])
  }
})

test('the same file twice counts once, and says so; unknown columns are handed back', async () => {
  const sample = `${samples}focus/focus_1.2_ai.synthetic.csv`
  const { total, report } = await read([sample, file(readFileSync(sample))])
  expect(total).toBe(expected.focus.billed_usd)
  expect(report.bad[0]?.message).toMatch(/^the same file as .*: it is counted once$/)
  const odd = file('When,What it cost,Bot\n2026-10-05,1.25,a\n', 'csv')
  expect((await read([odd])).report.unknown[0]?.header).toEqual(['When', 'What it cost', 'Bot'])
  const mapping = new Map([
    ['when', 'day'],
    ['whatitcost', 'cost'],
    ['bot', 'agent'],
  ])
  for (const engine of ['rows', 'sql'] as const) {
    const known = await read([odd], { mappingFor: () => mapping, engine, wanted: ['agent'] })
    expect(known.total).toBe('1.25')
    expect(known.lines[0]?.tags).toEqual({ agent: 'a' })
  }
  expect(csvOf([['=1+1', '-5', '-x', '\u{feff}@a', 'plain']])).toBe(
    `'=1+1,-5,'-x,'\u{feff}@a,plain\r\n`,
  )
})
