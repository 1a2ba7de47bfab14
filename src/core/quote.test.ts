import fc from 'fast-check'
import { expect, test } from 'vitest'
import { loadPriceBook } from '#system/price-files.ts'
import { bandFor, charge, rateOf } from './charge.ts'
import { roundPicosUp } from './money.ts'
import type { PriceRow, Tier } from './price-book.ts'
import { type CallShape, quote, quoteAtCap, unpricedTool } from './quote.ts'
import type { Meter, Usage, UsageReport } from './usage.ts'

const { rows } = loadPriceBook()

const plainShape: CallShape = {
  textTokensMax: 100,
  textTokensExpected: 30,
  imageTokensMax: 0,
  audioTokensMax: 0,
  hiddenInput: false,
  outputCap: 50,
  thinkingOutsideCap: 0,
  choices: 1,
  cacheWrite: 'none',
  tiers: ['standard'],
  geo: null,
  tools: [],
  audioOutput: false,
  imageOutput: false,
}

const reportOf = (counts: Usage['counts'], tier: string, geo: string | null): UsageReport => ({
  usage: { counts, reasoningTokens: 0 },
  model: null,
  tier,
  geo,
  others: [],
  responseId: null,
  oddities: [],
})

function rowOf(model: string): PriceRow {
  return rows.find((row) => row.model === model) ?? expect.fail(`no ${model}`)
}

/** What an answer at tier `answered` costs whose request asked for `asked`. */
function costOf(
  row: PriceRow,
  counts: Usage['counts'],
  answered = 'standard',
  asked = 'standard',
): bigint {
  const report = reportOf(counts, answered, null)
  const settled = charge(report, row, { tier: asked, geo: null }, () => null)
  return settled.ok ? settled.value.cost : expect.fail(settled.problem.message)
}

/** Sizes around every threshold a row has, and some others. */
function sizesFor(row: PriceRow): fc.Arbitrary<number> {
  const edges = row.bands.flatMap(({ abovePromptTokens: edge }) => [edge - 1, edge, edge + 1])
  const near = edges.filter((size) => size > 0 && size <= row.contextWindow)
  return fc.oneof(
    fc.integer({ min: 1, max: 5000 }),
    fc.integer({ min: 1, max: row.contextWindow }),
    fc.constantFrom(1, ...near, row.contextWindow),
  )
}

const shares = fc.array(fc.integer({ min: 0, max: 100 }), { minLength: 7, maxLength: 7 })

/** `total` dealt out over the classes; classes that the shape cannot reach get nothing. */
function dealt(
  total: number,
  weights: readonly number[],
  meters: readonly Meter[],
): Usage['counts'] {
  const sum = weights.slice(0, meters.length).reduce((a, b) => a + b, 0) || 1
  const counts: Partial<Record<Meter, number>> = {}
  let left = total
  meters.forEach((meter, i) => {
    const share = i === meters.length - 1 ? left : Math.floor((total * (weights[i] ?? 0)) / sum)
    counts[meter] = Math.min(left, share)
    left -= counts[meter] ?? 0
  })
  return counts
}

function shapeFor(row: PriceRow): fc.Arbitrary<{ shape: CallShape; counts: Usage['counts'] }> {
  const tiers = Object.keys(row.tiers) as Tier[]
  const fees = (['web_search', 'file_search', 'code_session'] as const).filter(
    (meter) => rateOf(row.bands[0], meter) !== null,
  )
  return fc
    .record({
      size: sizesFor(row),
      cap: fc.option(fc.integer({ min: 1, max: 200_000 })),
      choices: fc.integer({ min: 1, max: 8 }),
      cacheWrite: fc.constantFrom(
        'none' as const,
        'implicit' as const,
        '5m' as const,
        '1h' as const,
      ),
      tier: fc.constantFrom(...tiers),
      geo: fc.constantFrom(null, ...Object.keys(row.geos)),
      hidden: fc.boolean(),
      uses: fc.integer({ min: 0, max: fees.length === 0 ? 0 : 4 }),
      weights: shares,
      outputShare: fc.integer({ min: 0, max: 100 }),
    })
    .map((given) => {
      const maker: Meter[] = ['input', 'cache_read']
      if (given.cacheWrite !== 'none') maker.push('cache_write_5m')
      if (given.cacheWrite === '1h') maker.push('cache_write_1h')
      const fee = fees[0]
      const tools =
        fee === undefined || given.uses === 0 ? [] : [{ meter: fee, maxUses: given.uses }]
      const shape: CallShape = {
        ...plainShape,
        textTokensMax: given.size,
        outputCap: row.maxOutputTokens === 0 ? 0 : given.cap,
        choices: given.choices,
        cacheWrite: given.cacheWrite,
        tiers: given.tier === 'standard' ? ['standard'] : [given.tier, 'standard'],
        geo: given.geo,
        hiddenInput: given.hidden,
        tools,
      }
      const prompt = given.hidden || tools.length > 0 ? row.contextWindow : given.size
      const cap = Math.min(shape.outputCap ?? row.maxOutputTokens, row.maxOutputTokens)
      const output = Math.floor((cap * given.choices * given.outputShare) / 100)
      return {
        shape,
        counts: {
          ...dealt(prompt, given.weights, maker),
          output,
          ...(fee === undefined ? {} : { [fee]: given.uses }),
        },
      }
    })
}

test.each(rows.map((row, i) => [`${row.model} ${i}`, row] as const))(
  '%s: whatever a request allows settles at no more than its quote',
  (_name, row) => {
    fc.assert(
      fc.property(shapeFor(row), ({ shape, counts }) => {
        const quoted = quote(shape, row)
        for (const tier of shape.tiers) {
          const settled = charge(
            reportOf(counts, tier, shape.geo),
            row,
            { tier, geo: null },
            () => null,
          )
          if (!settled.ok) throw new Error(settled.problem.message)
          expect(settled.value.cost).toBeLessThanOrEqual(quoted.max)
        }
      }),
      { numRuns: 60 },
    )
  },
)

test('the bound is linear in the cap, so any cap between has its own exact bound', () => {
  for (const row of rows) {
    const quoted = quote({ ...plainShape, outputCap: null, choices: 3 }, row)
    expect(quoteAtCap(quoted, quoted.outputCap)).toBe(quoted.max)
    expect(quoteAtCap(quoted, 0)).toBe(roundPicosUp(quoted.fixedPicos))
  }
})

test('over realistic traffic `expected` is within 1.6x of what it costs', () => {
  const row = rowOf('gpt-5-mini')
  // Prompts of ordinary English, answers as long as they tend to be.
  const traffic = [
    [400, 250],
    [1200, 300],
    [3000, 350],
    [800, 200],
    [5000, 420],
    [250, 280],
    [9000, 300],
    [600, 320],
    [2200, 260],
    [15_000, 400],
  ] as const
  let expected = 0n
  let actual = 0n
  for (const [input, output] of traffic) {
    const shape = {
      ...plainShape,
      textTokensMax: input * 4,
      textTokensExpected: input,
      outputCap: 1000,
    }
    expected += quote(shape, row).expected
    actual += costOf(row, { input, output })
  }
  expect(Number(expected) / Number(actual)).toBeLessThan(1.6)
  expect(Number(actual) / Number(expected)).toBeLessThan(1.6)
})

test('thinking outside the cap is held, for each choice', () => {
  const row = rowOf('gemini-2.5-pro')
  const shape = { ...plainShape, thinkingOutsideCap: 1000, choices: 2 }
  const output = (50 + 1000) * 2
  const counts = { input: plainShape.textTokensMax, output }
  expect(quote(shape, row).max).toBe(costOf(row, counts))
  expect(quote(shape, row).tokensMax).toBe(plainShape.textTokensMax + output)
})

test('each use of a tool may read a whole context again', () => {
  const row = rowOf('claude-haiku-4-5')
  const shape = { ...plainShape, tools: [{ meter: 'web_search' as const, maxUses: 2 }] }
  const counts = { input: row.contextWindow * 3, output: 50, web_search: 2 }
  expect(quote(shape, row).max).toBe(costOf(row, counts))
})

test('the tier an answer names wins over the one that was asked for', () => {
  const row = rowOf('gpt-5-mini')
  const counts = { input: 1000, output: 100 }
  const other = Object.keys(row.tiers).find((tier) => tier !== 'standard') ?? expect.fail()
  expect(costOf(row, counts, other, 'standard')).toBe(costOf(row, counts, other, other))
  expect(costOf(row, counts, other, 'standard')).not.toBe(
    costOf(row, counts, 'standard', 'standard'),
  )
})

test('a tool without a fee is named', () => {
  const row = rowOf('claude-haiku-4-5')
  const shape = { ...plainShape, tools: [{ meter: 'file_search' as const, maxUses: 1 }] }
  expect(unpricedTool(shape, row)).toBe('file_search')
  expect(unpricedTool(plainShape, row)).toBeNull()
})

test('the band is the last whose threshold the whole prompt exceeds', () => {
  const row = rowOf('gemini-2.5-pro')
  expect(bandFor(row, 200_000)).toBe(row.bands[0])
  expect(bandFor(row, 200_001)).toBe(row.bands[1])
})
