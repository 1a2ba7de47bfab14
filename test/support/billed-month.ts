/**
 * A month of calls over three providers: metered by our ledger, billed by the simulator's own
 * arithmetic, and written down as each provider writes its bill, with faults planted on demand.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { charge } from '#core/charge.ts'
import type { HoldCommand } from '#core/journal.ts'
import { type Nanos, nanos } from '#core/money.ts'
import { type PriceRow, priceOf } from '#core/price-book.ts'
import { type Instant, instant } from '#core/time.ts'
import { noReport } from '#core/usage.ts'
import { csvOf } from '#lib/csv-safe.ts'
import type { CallId, HoldId } from '#lib/id.ts'
import type { Store } from '#ports/store.ts'
import { loadPriceBook } from '#system/price-files.ts'
import { generator } from '#test/sim/clock.ts'
import { nobody } from './ledger.ts'

export interface Planted {
  /** The share that OpenAI charges more for output tokens of its model. */
  readonly drift: number
  /** Calls past the gateway, with a key that it does not have, at Anthropic. */
  readonly bypassCalls: number
  /** Searches that nobody metered, at Anthropic, USD. */
  readonly toolFees: number
  /** Google's credits, USD. */
  readonly credits: number
  /** Calls of the last day that OpenAI has not billed yet. */
  readonly late: boolean
  /** Calls whose usage was never told: posted at their bound. */
  readonly presumed: number
  /** Calls made before midnight and billed after it. */
  readonly midnight: number
}

export interface BilledMonth {
  readonly files: readonly string[]
  /** What was planted, as it came to be in dollars: billed less metered. */
  readonly planted: Readonly<Record<string, number>>
  readonly calls: number
}

const month = { start: Date.UTC(2026, 9, 1), end: Date.UTC(2026, 10, 1) }
const dayMs = 86_400_000

interface Model {
  readonly provider: 'anthropic' | 'openai' | 'google'
  readonly name: string
  /** As the bill calls it. */
  readonly billed: string
}

const models: readonly Model[] = [
  { provider: 'anthropic', name: 'claude-haiku-4-5', billed: 'Claude Haiku 4.5' },
  { provider: 'anthropic', name: 'claude-sonnet-4-5', billed: 'Claude Sonnet 4.5' },
  { provider: 'openai', name: 'gpt-5-mini', billed: 'gpt-5-mini-2025-08-07' },
  { provider: 'google', name: 'gemini-2.5-flash', billed: 'Gemini 2.5 Flash' },
]

type Class = 'input' | 'cache_read' | 'output'
const classes: readonly Class[] = ['input', 'cache_read', 'output']

/** Tokens by day, model, class and key: what a provider adds up. */
type Sums = Map<string, { day: string; model: Model; class: Class; key: string; tokens: number }>

export async function billedMonth(
  store: Store,
  folder: string,
  calls: number,
  planted: Planted,
): Promise<BilledMonth> {
  const random = generator(11)
  const book = loadPriceBook()
  const rowOf = (model: Model): PriceRow => {
    const row = priceOf(book, model.name, instant(month.start))
    if (row === null) throw new Error(`${model.name} has no price`)
    return row
  }
  const sums: Sums = new Map()
  const came: Record<string, number> = { bypass: 0, presumed: 0, late: 0, midnight: 0 }
  const commands: Promise<unknown>[] = []
  for (let no = 0; no < calls; no += 1) {
    const model = pick(models, random)
    const row = rowOf(model)
    const usage = {
      input: 100 + Math.floor(random() * 3000),
      cache_read: random() < 0.5 ? Math.floor(random() * 2000) : 0,
      output: 20 + Math.floor(random() * 800),
    }
    let at = month.start + Math.floor(random() * (month.end - month.start - 60_000))
    const isLastDay = at >= month.end - dayMs
    let billedDay = dayOf(at)
    if (no < planted.midnight) {
      at = month.start + (1 + Math.floor(random() * 20)) * dayMs - 1000
      billedDay = dayOf(at + 2000)
    }
    const isPresumed = no >= planted.midnight && no < planted.midnight + planted.presumed
    if (isPresumed) at = month.start + 22 * dayMs + (at % dayMs)
    if (isPresumed) billedDay = dayOf(at)
    const cost = costOf(usage, row)
    const bound = isPresumed ? cost * 3n : cost
    commands.push(
      settle(store, no, { model, row, usage }, instant(at), isPresumed ? bound : cost, isPresumed),
    )
    if (commands.length >= 500) await Promise.all(commands.splice(0))
    if (isPresumed) came.presumed = (came.presumed ?? 0) - Number(bound - cost) / 1e9
    if (planted.late && isLastDay && !isPresumed && model.provider === 'openai') {
      came.late = (came.late ?? 0) - Number(cost) / 1e9
      continue
    }
    addUsage(sums, billedDay, model, usage, 'gateway')
  }
  await Promise.all(commands)
  for (let no = 0; no < planted.bypassCalls; no += 1) {
    const model = models[1] as Model
    const usage = { input: 4000, cache_read: 0, output: 900 }
    came.bypass = (came.bypass ?? 0) + Number(costOf(usage, rowOf(model))) / 1e9
    addUsage(sums, dayOf(month.start + (no % 31) * dayMs), model, usage, 'laptop of somebody')
  }
  mkdirSync(folder, { recursive: true })
  const files = writeBills(folder, sums, (model) => rowOf(model).bands[0].rates, planted, came)
  return { files, planted: came, calls }
}

function pick<T>(from: readonly T[], random: () => number): T {
  return from[Math.floor(random() * from.length)] as T
}

const dayOf = (at: number): string => new Date(at).toISOString().slice(0, 10)

function costOf(usage: Readonly<Record<Class, number>>, row: PriceRow): Nanos {
  const report = { ...noReport, usage: { counts: usage, reasoningTokens: 0 } }
  const found = charge(report, row, { tier: 'standard', geo: null }, () => null)
  if (!found.ok) throw new Error(found.problem.message)
  return found.value.cost
}

function addUsage(
  sums: Sums,
  day: string,
  model: Model,
  usage: Readonly<Record<Class, number>>,
  key: string,
): void {
  for (const one of classes) {
    if (usage[one] === 0) continue
    const name = `${day}|${model.name}|${one}|${key}`
    const before = sums.get(name) ?? { day, model, class: one, key, tokens: 0 }
    before.tokens += usage[one]
    sums.set(name, before)
  }
}

interface Made {
  readonly model: Model
  readonly row: PriceRow
  readonly usage: Readonly<Record<Class, number>>
}

async function settle(
  store: Store,
  no: number,
  { model, row, usage }: Made,
  at: Instant,
  cost: bigint,
  isPresumed: boolean,
): Promise<void> {
  const hold = `hold_${String(no).padStart(8, '0')}` as HoldId
  const command: HoldCommand = {
    kind: 'hold',
    hold,
    call: `call_${no}` as CallId,
    attribution: { ...nobody, agent: `a${no % 5}`, model: model.name, provider: model.provider },
    accounts: [],
    conversation: null,
    marks: [],
    asking: {
      fixedPicos: cost * 1000n,
      picosPerOutputToken: 0n,
      outputCap: 1,
      outputCapFloor: 1,
      fixedTokens: 10,
      tokensPerCap: 1,
    },
    expiresAt: instant(at + 60_000),
    facts: { dialect: model.provider },
  }
  await store.run(command, at, () => null)
  const { rates } = row.bands[0]
  const lines = classes.map((meter) => {
    const rate = rates[meter] ?? 0n
    const fraction = String(rate % 1_000_000n).padStart(6, '0')
    const price = `${rate / 1_000_000n}.${fraction}000`
    return { meter, quantity: usage[meter], usd_per_million: price }
  })
  const facts = isPresumed ? { reason: 'no usage' } : { usage, charge: lines }
  const basis = isPresumed ? ('presumed' as const) : ('actual' as const)
  const end = { kind: 'settle' as const, hold, cost: nanos(cost), tokens: 1, basis, facts }
  await store.run(end, instant(at + 1000), () => null)
}

/** Dollars with every digit: tokens at pico-dollars each. */
function dollars(picos: bigint): string {
  return `${picos / 10n ** 12n}.${String(picos % 10n ** 12n).padStart(12, '0')}`
}

function writeBills(
  folder: string,
  sums: Sums,
  rates: (model: Model) => Readonly<Partial<Record<string, bigint>>>,
  planted: Planted,
  came: Record<string, number>,
): readonly string[] {
  const anthropic: string[][] = []
  const anthropicUsage: string[][] = []
  const openai: string[][] = []
  const google: string[] = []
  for (const { day, model, class: one, key, tokens } of sums.values()) {
    const rate = rates(model)[one] ?? 0n
    const plain = BigInt(tokens) * rate
    if (model.provider === 'anthropic') {
      const type = { input: 'input_no_cache', cache_read: 'input_cache_read', output: 'output' }[
        one
      ]
      const cost = dollars(plain)
      anthropic.push([day, model.billed, 'Default', key, 'message', type, cost, cost, 'token'])
      const counts = classes.map((each) => (each === one ? String(tokens) : '0'))
      anthropicUsage.push([
        day,
        model.name,
        key,
        'Default',
        counts[0] ?? '',
        '0',
        '0',
        counts[1] ?? '',
        counts[2] ?? '',
        '0',
      ])
    } else if (model.provider === 'openai') {
      const more =
        one === 'output' ? (plain * BigInt(Math.round(planted.drift * 1e6))) / 1_000_000n : 0n
      came.price_drift = (came.price_drift ?? 0) + Number(more) / 1e12
      const words = { input: 'input', cache_read: 'cached input', output: 'output' }[one]
      const start = String(Date.parse(day) / 1000)
      const item = `${model.billed}, ${words}`
      openai.push([start, dollars(plain + more), 'usd', item, 'proj_gateway', String(tokens)])
    } else {
      const sku = { input: 'Text Input', cache_read: 'Cached Text Input', output: 'Text Output' }[
        one
      ]
      const cost = dollars(plain)
      google.push(googleLine(day, `${model.billed} GA ${sku} - Predictions`, cost, tokens))
    }
  }
  if (planted.toolFees > 0) {
    const fee = planted.toolFees.toFixed(2)
    anthropic.push(['2026-10-15', '', 'Default', 'gateway', 'message', '', fee, fee, 'web_search'])
    came.unmetered = planted.toolFees
  }
  if (planted.credits > 0) {
    google.push(googleLine('2026-10-20', 'Gemini credit', '0', 0, -planted.credits))
    came.credit = -planted.credits
  }
  const header = [
    'usage_date_utc',
    'model',
    'workspace',
    'api_key',
    'usage_type',
    'token_type',
    'cost_usd',
    'list_price_usd',
    'cost_type',
  ]
  const usageHeader = [
    'usage_date_utc',
    'model_version',
    'api_key',
    'workspace',
    'usage_input_tokens_no_cache',
    'usage_input_tokens_cache_write_5m',
    'usage_input_tokens_cache_write_1h',
    'usage_input_tokens_cache_read',
    'usage_output_tokens',
    'web_search_count',
  ]
  const openaiHeader = [
    'start_time',
    'amount_value',
    'amount_currency',
    'line_item',
    'project_id',
    'quantity',
  ]
  const write = (name: string, text: string): string => {
    const path = join(folder, name)
    writeFileSync(path, text)
    return path
  }
  return [
    write('anthropic-cost.csv', csvOf([header, ...anthropic])),
    write('anthropic-usage.csv', csvOf([usageHeader, ...anthropicUsage])),
    write('openai.csv', csvOf([openaiHeader, ...openai])),
    write('google.jsonl', `${google.join('\n')}\n`),
  ]
}

function googleLine(day: string, sku: string, cost: string, tokens: number, credit = 0): string {
  return JSON.stringify({
    service: { id: 'C7E2-9256-1C43', description: 'Vertex AI' },
    sku: { id: 'x', description: sku },
    usage_start_time: `${day}T09:00:00Z`,
    usage_end_time: `${day}T10:00:00Z`,
    project: { id: 'gateway', labels: [] },
    labels: [],
    cost,
    currency: 'USD',
    usage: { amount: String(tokens), unit: 'count' },
    credits: credit === 0 ? [] : [{ name: 'promotion', amount: String(credit) }],
    invoice: { month: '202610' },
    cost_type: 'regular',
    cost_at_list: cost,
  })
}
