/**
 * Price files: YAML to a price book, strict. A bad file is refused whole, and the old book stays.
 */
import { createHash } from 'node:crypto'
import { isMap, isScalar, LineCounter, parseDocument } from 'yaml'
import { z } from 'zod'
import { one, parseRatio, parseUsdPerMillion, type PicosPerUnit, type Ratio } from '#core/money.ts'
import type { PriceBand, PriceBook, PriceRow, Rates, Tier } from '#core/price-book.ts'
import { type Instant, parseInstant } from '#core/time.ts'
import { type Meter, meters } from '#core/usage.ts'
import { failed, type Result, succeeded } from '#lib/result.ts'

export interface PriceProblem {
  readonly file: string
  readonly line: number
  readonly message: string
}

export interface PriceFile {
  readonly name: string
  readonly text: string
}

/** A price as written: kept as text, so that no float comes between the file and the ledger. */
const decimal = z.string().regex(/^\d{1,6}(\.\d{1,6})?$/, 'a decimal of at most 6 places')
const ratio = z.string().regex(/^\d{1,4}(\.\d{1,6})?$/, 'a plain number')
const day = z.string().regex(/^\d{4}-\d{2}-\d{2}$/, 'a day, YYYY-MM-DD')
const count = z
  .string()
  .regex(/^\d{1,9}$/, 'a whole number')
  .transform(Number)
const rates = z.partialRecord(z.enum(meters), decimal)
const band = z.object({ prompt_tokens: count }).catchall(decimal)
const period = z
  .object({
    from: day.optional(),
    until: day.optional(),
    above: z.array(band).optional(),
  })
  .catchall(decimal)
const tiers = z.partialRecord(z.enum(['batch', 'flex', 'priority', 'fast']), ratio)
const model = z.strictObject({
  model: z.string(),
  aliases: z.array(z.string()).optional(),
  context_window: count,
  max_output_tokens: count,
  tiers: tiers.optional(),
  geos: z.record(z.string(), ratio).optional(),
  fees: rates.optional(),
  free: z.literal('true').optional(),
  source: z.string().optional(),
  checked: day.optional(),
  prices: z.array(period).min(1),
})
const file = z.strictObject({
  vendor: z.enum(['anthropic', 'openai', 'google']),
  source: z.string(),
  checked: day,
  fees: rates.optional(),
  models: z.array(model).min(1),
})
type FileDocument = z.output<typeof file>
type ModelDocument = z.output<typeof model>

export function parsePriceBook(
  files: readonly PriceFile[],
): Result<PriceBook, readonly PriceProblem[]> {
  const problems: PriceProblem[] = []
  const rows: PriceRow[] = []
  const byName = new Map<string, PriceRow[]>()
  for (const source of files) {
    const lines = new LineCounter()
    const document = parseDocument(source.text, {
      lineCounter: lines,
      uniqueKeys: true,
      schema: 'failsafe',
      logLevel: 'error',
    })
    const at = (path: readonly PropertyKey[]): number => {
      const node = document.getIn(path as (string | number)[], true)
      const range = isScalar(node) || isMap(node) ? node.range : null
      return range === null || range === undefined ? 1 : lines.linePos(range[0]).line
    }
    const report = (message: string, path: readonly PropertyKey[] = []): void => {
      problems.push({ file: source.name, line: at(path), message })
    }
    const [broken] = document.errors
    if (broken !== undefined) {
      report(broken.message.split('\n')[0] ?? 'not valid YAML')
      continue
    }
    const parsed = file.safeParse(document.toJS({ maxAliasCount: 0 }))
    if (!parsed.success) {
      for (const issue of parsed.error.issues) {
        report(`${issue.path.join('.')}: ${issue.message}`, issue.path)
      }
      continue
    }
    parsed.data.models.forEach((one, i) => {
      const complain = (message: string): void =>
        report(`${one.model}: ${message}`, ['models', i, 'model'])
      const own = rowsOf(parsed.data, one, complain)
      rows.push(...own)
      for (const name of [one.model, ...(one.aliases ?? [])]) {
        if (byName.has(name)) complain(`"${name}" is defined twice`)
        byName.set(name, own)
      }
    })
  }
  if (problems.length > 0) return failed(problems)
  return succeeded({ version: versionOf(rows), rows, byName })
}

/** A book with the models of `own` in place of those of the same name, aliases included. */
export function overlay(book: PriceBook, own: PriceBook): PriceBook {
  const replaced = (row: PriceRow): boolean => own.byName.has(row.model)
  const rows = [...book.rows.filter((row) => !replaced(row)), ...own.rows]
  const byName = new Map(
    [...book.byName].filter(([, [row]]) => row === undefined || !replaced(row)),
  )
  for (const [name, found] of own.byName) byName.set(name, found)
  return { version: versionOf(rows), rows, byName }
}

function versionOf(rows: readonly PriceRow[]): string {
  return createHash('sha256').update(canonical(rows)).digest('hex').slice(0, 16)
}

function rowsOf(
  document: FileDocument,
  one: ModelDocument,
  complain: (message: string) => void,
): PriceRow[] {
  const fees = feesOf({ ...document.fees, ...one.fees })
  const rows = one.prices.map((price): PriceRow => {
    const { from, until, above = [], ...plain } = price
    const bands: Bands = [
      { abovePromptTokens: -1, rates: ratesOf(plain, fees, one, complain) },
      ...above.map(({ prompt_tokens, ...higher }) => ({
        abovePromptTokens: prompt_tokens,
        rates: ratesOf(higher, fees, one, complain),
      })),
    ]
    return {
      vendor: document.vendor,
      model: one.model,
      from: dayStart(from),
      until: dayStart(until),
      bands: ascending(bands, complain),
      tiers: tiersOf(one),
      geos: geosOf(one),
      contextWindow: one.context_window,
      maxOutputTokens: one.max_output_tokens,
      source: one.source ?? document.source,
      checked: one.checked ?? document.checked,
    }
  })
  rows.forEach((row, i) => {
    const next = rows[i + 1]
    const gapless = next === undefined || (row.until !== null && row.until === next.from)
    if (!gapless) complain('its periods overlap or leave a gap: until must be the next from')
  })
  return rows
}

type Bands = readonly [PriceBand, ...PriceBand[]]

function ascending(bands: Bands, complain: (message: string) => void): Bands {
  const sorted = bands.every(
    ({ abovePromptTokens }, i) =>
      i === 0 || abovePromptTokens > (bands[i - 1]?.abovePromptTokens ?? -1),
  )
  if (!sorted) complain('its bands do not ascend')
  return bands
}

function ratesOf(
  written: Readonly<Record<string, unknown>>,
  fees: Rates,
  one: ModelDocument,
  complain: (message: string) => void,
): Rates {
  const out: Partial<Record<Meter, PicosPerUnit>> = { ...fees }
  for (const [name, value] of Object.entries(written)) {
    const meter = meters.find((known) => known === name)
    const picos = typeof value === 'string' ? parseUsdPerMillion(value) : null
    if (meter === undefined || picos === null) {
      complain(`"${name}" is not a meter: use ${meters.join(', ')}`)
      continue
    }
    if (picos === 0n && one.free === undefined) complain(`${name} is 0: say free: true if it is`)
    out[meter] = picos
  }
  if (out.input === undefined) complain('it has no input price')
  return out
}

/** Fees are written per thousand uses: a thousand times the price per million. */
function feesOf(written: Readonly<Partial<Record<Meter, string>>>): Rates {
  const out: Partial<Record<Meter, PicosPerUnit>> = {}
  for (const meter of meters) {
    const text = written[meter]
    const picos = text === undefined ? null : parseUsdPerMillion(text)
    if (picos !== null) out[meter] = (picos * 1000n) as PicosPerUnit
  }
  return out
}

function tiersOf({ tiers: written = {} }: ModelDocument): PriceRow['tiers'] {
  const out: Partial<Record<Tier, Ratio>> = { standard: one }
  for (const tier of ['batch', 'flex', 'priority', 'fast'] as const) {
    const by = parseRatio(written[tier] ?? '')
    if (by !== null) out[tier] = by
  }
  return out
}

function geosOf({ geos = {} }: ModelDocument): PriceRow['geos'] {
  return Object.fromEntries(
    Object.entries(geos).flatMap(([place, text]) => {
      const by = parseRatio(text)
      return by === null ? [] : [[place, by]]
    }),
  )
}

/** Prices change at midnight UTC of the day named. */
function dayStart(text: string | undefined): Instant | null {
  return text === undefined ? null : parseInstant(`${text}T00:00:00Z`)
}

function canonical(rows: readonly PriceRow[]): string {
  return JSON.stringify(rows, (_, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value,
  )
}
