import { existsSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseCsv } from '#lib/csv.ts'
import { holdsArb } from '#test/support/focus.ts'
import { holdId, nobody } from '#test/support/ledger.ts'
import { addDecimals, decimalZero, formatDecimal, parseDecimal } from './decimal.ts'
import { checkHeader, rowChecker } from './focus-check.ts'
import { type FocusRow, focusCells, focusColumns, focusRow } from './focus-columns.ts'
import { columnRules } from './focus-rules.ts'
import {
  addCharges,
  chargesOf,
  type FocusTally,
  focusVersions,
  grainMs,
  inFocusOrder,
} from './focus.ts'
import type { Hold } from './journal.ts'
import type { Nanos } from './money.ts'
import { spendOf } from './spend.ts'
import { instant } from './time.ts'

const start = Date.UTC(2026, 9, 30)
const names = { provider: 'AWS', publisher: 'Anthropic', service: 'Amazon Bedrock' }

function rowsOf(holds: readonly Hold[], grain: 'day' | 'hour'): readonly FocusRow[] {
  const tally: FocusTally = new Map()
  for (const hold of holds) addCharges(tally, chargesOf(hold, grain))
  return inFocusOrder(tally).map((charge) => focusRow(charge, names, grainMs(grain)))
}

const total = (rows: readonly FocusRow[], column: string): string =>
  formatDecimal(
    rows.reduce(
      (sum, row) => addDecimals(sum, parseDecimal(row[column] ?? '0') ?? decimalZero),
      decimalZero,
    ),
  )

test('any ledger keeps the rules of both versions and adds up to itself, to the nano-dollar', () => {
  fc.assert(
    fc.property(
      fc.array(holdsArb(start), { maxLength: 120 }),
      fc.constantFrom(...focusVersions),
      fc.constantFrom('day', 'hour'),
      (holds, version, grain) => {
        const columns = focusColumns(version)
        expect(checkHeader(version, columns)).toEqual([])
        const check = rowChecker(version, columns)
        const rows = rowsOf(holds, grain)
        for (const row of rows) {
          expect(check(row)).toEqual([])
          expect(focusCells(row, columns)).toHaveLength(columns.length)
        }
        const ledger = holds.reduce((sum, hold) => sum + spendOf(hold).cost, 0n)
        const wanted = formatDecimal({ digits: ledger, places: 9 })
        expect(total(rows, 'BilledCost')).toBe(wanted)
        expect(total(rows, 'EffectiveCost')).toBe(wanted)
        const presumed = holds.reduce((sum, hold) => sum + spendOf(hold).presumed, 0n)
        expect(
          total(
            rows.filter((row) => row.x_CostBasis === 'presumed'),
            'BilledCost',
          ),
        ).toBe(formatDecimal({ digits: presumed, places: 9 }))
        expect(rowsOf(holds.toReversed(), grain)).toEqual(rows)
      },
    ),
    { numRuns: 100, seed: 6 },
  )
})

const usd = (text: string): Nanos => BigInt(text.replace('.', '')) as Nanos
const holdWith = (more: Partial<Hold>): Hold => ({
  id: holdId(1),
  call: 'call_1',
  state: 'settled',
  lines: [],
  attribution: {
    ...nobody,
    business_unit: 'support',
    team: 'care',
    agent: 'resolver',
    environment: 'prod',
    key: 'key_1',
    provider: 'bedrock',
    model: 'claude-haiku-4-5',
  },
  amount: usd('1.000000000'),
  tokens: 1500,
  outputCap: 500,
  cost: usd('0.001900000'),
  basis: 'actual',
  madeAt: instant(Date.UTC(2026, 9, 30, 13, 5)),
  expiresAt: instant(Date.UTC(2026, 9, 30, 14)),
  endedAt: instant(Date.UTC(2026, 9, 30, 13, 6)),
  facts: {
    tier: 'batch',
    usage: { input: 1000, output: 500 },
    charge: [
      { meter: 'input', quantity: 1000, usd_per_million: '1.000000000', multiplier: '1/2' },
      { meter: 'output', quantity: 500, usd_per_million: '5.600000000', multiplier: '1/2' },
    ],
  },
  ...more,
})

test('a call at half the price, as rows', () => {
  const [input, output, ...rest] = rowsOf([holdWith({})], 'day')
  expect(rest).toEqual([])
  expect(input).toEqual({
    BilledCost: '0.000500000',
    BillingAccountId: 'acme',
    BillingAccountName: 'acme',
    BillingAccountType: 'Organization',
    BillingCurrency: 'USD',
    BillingPeriodEnd: '2026-11-01T00:00:00Z',
    BillingPeriodStart: '2026-10-01T00:00:00Z',
    ChargeCategory: 'Usage',
    ChargeClass: null,
    ChargeDescription: 'claude-haiku-4-5 input (batch)',
    ChargeFrequency: 'Usage-Based',
    ChargePeriodEnd: '2026-10-31T00:00:00Z',
    ChargePeriodStart: '2026-10-30T00:00:00Z',
    ConsumedQuantity: '1000',
    ConsumedUnit: 'Tokens',
    ContractedCost: '0.0005',
    ContractedUnitPrice: '0.5',
    EffectiveCost: '0.000500000',
    HostProviderName: 'AWS',
    InvoiceIssuerName: 'AWS',
    ListCost: '0.0005',
    ListUnitPrice: '0.5',
    PricingCategory: 'Standard',
    PricingQuantity: '0.001',
    PricingUnit: '1000000 Tokens',
    ProviderName: 'AWS',
    PublisherName: 'Anthropic',
    ResourceId: 'key_1',
    ResourceType: 'Virtual Key',
    ServiceCategory: 'AI and Machine Learning',
    ServiceName: 'Amazon Bedrock',
    ServiceProviderName: 'AWS',
    ServiceSubcategory: 'Generative AI',
    SkuId: 'claude-haiku-4-5',
    SkuMeter: 'input',
    SkuPriceDetails: '{"x_Model":"claude-haiku-4-5","x_ServiceTier":"batch","x_TokenType":"input"}',
    SkuPriceId: 'claude-haiku-4-5/input/batch/0.5',
    SubAccountId: 'care',
    SubAccountName: 'care',
    SubAccountType: 'Team',
    Tags:
      '{"business_unit":"support","team":"care","agent":"resolver","environment":"prod",' +
      '"cost_basis":"metered"}',
    x_Agent: 'resolver',
    x_BusinessUnit: 'support',
    x_Calls: '1',
    x_CostBasis: 'metered',
    x_Environment: 'prod',
    x_Model: 'claude-haiku-4-5',
    x_Provider: 'bedrock',
    x_ServiceTier: 'batch',
    x_Team: 'care',
    x_TokenType: 'input',
  })
  expect(output).toMatchObject({ BilledCost: '0.001400000', x_Calls: '0', ListUnitPrice: '2.8' })
})

test('a correction is a row of its own, a presumed cost too', () => {
  const rows = rowsOf([holdWith({ cost: usd('0.001650000') })], 'hour')
  const correction = rows.find((row) => row.ChargeClass === 'Correction')
  expect(correction).toMatchObject({
    BilledCost: '-0.000250000',
    ChargeCategory: 'Usage',
    ConsumedQuantity: null,
    PricingQuantity: null,
    ChargePeriodStart: '2026-10-30T13:00:00Z',
    ChargePeriodEnd: '2026-10-30T14:00:00Z',
    x_CostBasis: 'corrected',
  })
  expect(total(rows, 'BilledCost')).toBe('0.00165')
  const presumed = holdWith({ basis: 'presumed', cost: usd('1.000000000'), facts: { usage: {} } })
  expect(rowsOf([presumed], 'day')).toMatchObject([
    { BilledCost: '1.000000000', ConsumedQuantity: '1500', x_CostBasis: 'presumed' },
  ])
})

test('a dearer model that answered in place of ours is use, not a correction', () => {
  const facts = { ...holdWith({}).facts, oddities: ['answered by x, asked for y'] }
  const rows = rowsOf([holdWith({ cost: usd('0.003800000'), facts })], 'day')
  expect(rows.map((row) => row.BilledCost)).toEqual(['0.001000000', '0.002800000'])
  expect(rows.map((row) => row.ChargeClass)).toEqual([null, null])
})

test('each broken rule is found', () => {
  const columns = focusColumns('1.2')
  const [row] = rowsOf([holdWith({})], 'day')
  const found = (broken: FocusRow): readonly string[] =>
    rowChecker('1.2', columns)({ ...row, ...broken })
  const broken: readonly (readonly [FocusRow, RegExp])[] = [
    [{ BilledCost: null }, /BilledCost is null/],
    [{ BilledCost: '1,000.00' }, /not a plain number/],
    [{ BilledCost: '-1' }, /less than nothing/],
    [{ ChargeCategory: 'Use' }, /not one of: Usage/],
    [{ ChargeClass: 'correction' }, /not one of: Correction/],
    [{ ChargePeriodStart: '2026-10-30 00:00:00' }, /not a time/],
    [{ ChargePeriodStart: '2026-02-30T00:00:00Z' }, /not a time/],
    [{ ChargePeriodEnd: '2026-10-30T00:00:00Z' }, /not after ChargePeriodStart/],
    [{ BillingCurrency: 'usd' }, /ISO 4217/],
    [{ Tags: '{"a":{"b":1}}' }, /plain values/],
    [{ Tags: '[]' }, /plain values/],
    [{ PublisherName: '' }, /null is no text/],
    [{ SkuMeter: 'NULL' }, /null is no text/],
    [{ PricingQuantity: null }, /PricingQuantity is null/],
    [{ ListCost: '0.0006' }, /ListCost is not ListUnitPrice times/],
    [{ ConsumedUnit: null }, /not both null/],
    [{ SubAccountId: null }, /SubAccountName without/],
    [{ ServiceCategory: 'AI' }, /ServiceCategory is "AI"/],
  ]
  expect(found({})).toEqual([])
  for (const [cells, what] of broken) expect(found(cells).join('; ')).toMatch(what)
  expect(checkHeader('1.4', columns)).toEqual([
    'the column HostProviderName is missing',
    'the column ServiceProviderName is missing',
    expect.stringContaining('FOCUS 1.4 has no column ProviderName'),
    expect.stringContaining('FOCUS 1.4 has no column PublisherName'),
  ])
  expect(checkHeader('1.2', ['x_A', 'Tags', 'Tags'])).toEqual(
    expect.arrayContaining([
      'the column Tags stands after columns of your own',
      'the column Tags is there twice',
      'the column BilledCost is missing',
    ]),
  )
})

/** The list of columns as the specification has it, where the shared data is on this machine. */
const real = new URL('../../../shared/data/bills/real', import.meta.url).pathname
const listed = `${process.env.BURSAR_REAL_BILLS ?? real}/focus/focus_1.2_columns.csv`

test('our table of columns is the specification’s', (context) => {
  if (!existsSync(listed)) return context.skip('the list of columns is not on this machine')
  const [head, ...rows] = parseCsv(readFileSync(listed, 'utf8'))
  const at = (name: string): number => head?.cells.indexOf(name) ?? -1
  const theirs = rows.map(({ cells }) => ({
    name: cells[at('column')],
    isMandatory: cells[at('feature_level')] === 'Mandatory',
    allowsNull: cells[at('allows_nulls')] === 'True',
  }))
  const ours = columnRules('1.2').map(({ name, isMandatory, allowsNull }) => ({
    name,
    isMandatory,
    allowsNull,
  }))
  expect(ours).toEqual(theirs)
  expect(ours).toHaveLength(57)
})
