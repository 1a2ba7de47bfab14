/** The database's sums against the reader of rows, over tables that no provider would write. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatDecimal } from '#core/decimal.ts'
import { asCsv, asParquet, file, inCsv, leftOut, read, sums } from '#test/support/bills.ts'

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
    end: fc.constantFrom('\n', '\r\n', '\n\n', '\r\n\r\n', ',\n', ',,,\r\n'),
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
