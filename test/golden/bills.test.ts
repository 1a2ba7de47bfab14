/** Every sample of a bill gives its total to the last digit, in whatever form it comes. */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { BillLine } from '#core/bill-line.ts'
import { addDecimals, type Decimal, decimalZero, formatDecimal } from '#core/decimal.ts'
import { csvOf } from '#lib/csv-safe.ts'
import { openDesk } from '#files/duckdb.ts'
import {
  asCsv,
  asParquet,
  file,
  folder,
  groupsOf,
  read,
  sumOf,
  sums,
  tableOf,
} from '#test/support/bills.ts'

const samples = new URL('./bills/', import.meta.url).pathname
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
  if (name.endsWith('.csv')) {
    expect((await read([zipped], { engine: 'sql' })).total).toBe(total)
  }
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
