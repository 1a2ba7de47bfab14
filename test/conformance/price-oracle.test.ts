/** Our book against an independent one: a disagreement is listed with its reason, never silent. */
import { calcPrice } from '@pydantic/genai-prices'
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { charge } from '#core/charge.ts'
import type { PriceRow } from '#core/price-book.ts'
import { type Instant, instant } from '#core/time.ts'
import type { Usage } from '#core/usage.ts'
import { loadPriceBook } from '#system/price-files.ts'

const listed = parse(
  readFileSync(new URL('price-disagreements.yaml', import.meta.url), 'utf8'),
) as { readonly [model: string]: string }

interface Shape {
  readonly name: string
  readonly counts: Usage['counts']
  readonly theirs: Readonly<Record<string, number>>
}

const shapes: readonly Shape[] = [
  {
    name: 'plain',
    counts: { input: 1000, output: 500 },
    theirs: { input_tokens: 1000, output_tokens: 500 },
  },
  {
    name: 'cached',
    counts: { input: 1000, cache_read: 9000, output: 500 },
    theirs: { input_tokens: 10_000, cache_read_tokens: 9000, output_tokens: 500 },
  },
  {
    name: 'long',
    counts: { input: 300_000, output: 500 },
    theirs: { input_tokens: 300_000, output_tokens: 500 },
  },
]

const book = loadPriceBook()
const now = instant(Date.UTC(2026, 10, 24))

/** A moment in which the row is in force. */
function momentOf(row: PriceRow): Instant {
  if (row.from === null) return row.until === null ? now : instant(row.until - 86_400_000)
  return instant(Math.max(row.from + 86_400_000, Math.min(now, row.until ?? now)))
}

/** What differs, in words; null: nothing does. */
function difference(row: PriceRow): string | null {
  const moment = momentOf(row)
  for (const { name, counts, theirs } of shapes) {
    if (row.maxOutputTokens === 0 && name !== 'plain') continue
    const usage = row.maxOutputTokens === 0 ? { input_tokens: 1000 } : theirs
    const own = row.maxOutputTokens === 0 ? { input: 1000 } : counts
    const report = {
      usage: { counts: own, reasoningTokens: 0 },
      model: null,
      tier: null,
      geo: null,
      others: [],
      responseId: null,
      oddities: [],
    }
    const ours = charge(report, row, { tier: 'standard', geo: null }, () => null)
    if (!ours.ok) return ours.problem.message
    const other = calcPrice(usage, row.model, {
      providerId: row.vendor,
      timestamp: new Date(moment),
    })
    if (other === null) return 'unknown there'
    const cost = Number(ours.value.cost) / 1e9
    if (Math.abs(cost - other.total_price) > 2e-9) {
      return `${name}: ours ${cost}, theirs ${other.total_price}`
    }
  }
  return null
}

const differences = new Map<string, string>()
for (const row of book.rows) {
  const found = difference(row)
  if (found !== null) differences.set(row.model, found)
}

test('every row agrees, or its disagreement is listed with a reason', () => {
  expect([...differences].filter(([model]) => !(model in listed))).toEqual([])
})

test('no listed disagreement is stale', () => {
  expect(Object.keys(listed).filter((model) => !differences.has(model))).toEqual([])
})

test('most of the book is checked', () => {
  const models = new Set(book.rows.map(({ model }) => model))
  expect(models.size - differences.size).toBeGreaterThan(models.size * 0.7)
})
