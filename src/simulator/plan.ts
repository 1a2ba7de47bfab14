/** What an answer will be, before a byte of it is sent: the same for the same request and seed. */
import type { PriceRow } from '#core/price-book.ts'
import type { Billable } from './bill.ts'
import type { PromptCache } from './cache.ts'
import type { Directives } from './directives.ts'
import { hashOf, wordsFor } from './text.ts'

/** One message, system text or tool list of the prompt. */
export interface PromptPart {
  readonly text: string
  /** A cache mark at its end: for how long, or null. */
  readonly mark: '5m' | '1h' | null
}

export interface Tool {
  readonly name: string
  /** JSON Schema of its arguments. */
  readonly schema: unknown
}

export interface Asked {
  readonly model: string
  readonly parts: readonly PromptPart[]
  readonly cap: number | null
  readonly stream: boolean
  readonly choices: number
  /** Tools the caller runs, when this turn should call one; else empty. */
  readonly tools: readonly Tool[]
  readonly tier: string
  readonly usageAsked: boolean
}

export interface Plan {
  readonly id: string
  readonly model: string
  readonly usage: Billable
  readonly words: readonly string[]
  readonly cutShort: boolean
  readonly tool: { readonly id: string; readonly name: string; readonly arguments: string } | null
  readonly chunks: number
  readonly asked: Asked
  readonly directives: Directives
}

const cacheLeast = 1024

export function tokensOf(text: string): number {
  return Math.max(1, Math.ceil(Buffer.byteLength(text) / 4))
}

export function planFor(
  asked: Asked,
  row: PriceRow,
  directives: Directives,
  around: {
    readonly seed: number
    readonly serial: number
    readonly cache: PromptCache
    readonly account: string
    readonly dialect: 'openai' | 'anthropic' | 'google'
  },
): Plan {
  const sizes = asked.parts.map(({ text }) => ({ text, tokens: tokensOf(text) }))
  const counted = sizes.reduce((sum, { tokens }) => sum + tokens, 0)
  const prompt = directives.input ?? counted
  const chance = hashOf(
    `${around.seed}|${asked.model}|${asked.parts.map(({ text }) => text).join('|')}`,
  )
  const wished = directives.tokens ?? 40 + (chance % 361)
  const cap = asked.cap ?? row.maxOutputTokens
  const made = row.maxOutputTokens === 0 ? 0 : Math.max(1, Math.min(wished, cap))
  const [wanted] = asked.tools
  const tool =
    wanted === undefined
      ? null
      : {
          id: `call_${chance.toString(36)}${around.serial.toString(36)}`,
          name: wanted.name,
          arguments: JSON.stringify(argumentsFor(wanted.schema)),
        }
  const cached =
    directives.input === null && counted >= cacheLeast
      ? cachedParts(asked, row, sizes, around)
      : { cached: 0, written5m: 0, written1h: 0 }
  const perChoice = tool === null ? made : Math.min(made, tokensOf(tool.arguments) + 12)
  return {
    id: `${chance.toString(36)}${around.serial.toString(36)}`,
    model: asked.model,
    tool,
    usage: {
      prompt,
      ...cached,
      completion: perChoice * asked.choices + directives.overbill,
      tier: directives.tier ?? asked.tier,
    },
    words: wordsFor(chance, Math.min(perChoice, 20_000)),
    cutShort: tool === null && wished > cap,
    chunks: directives.chunks ?? chunksFor(perChoice),
    asked,
    directives,
  }
}

function chunksFor(tokens: number): number {
  return Math.min(400, Math.max(2, Math.ceil(tokens / 8)))
}

type CachedParts = Pick<Billable, 'cached' | 'written5m' | 'written1h'>

function cachedParts(
  asked: Asked,
  row: PriceRow,
  sizes: readonly { text: string; tokens: number }[],
  { cache, account, dialect }: { cache: PromptCache; account: string; dialect: string },
): CachedParts {
  const scope = `${account}|${asked.model}`
  if (dialect === 'anthropic') {
    const last = asked.parts.findLastIndex(({ mark }) => mark !== null)
    const marked = sizes.slice(0, last + 1).reduce((sum, { tokens }) => sum + tokens, 0)
    if (last === -1 || marked < cacheLeast) return { cached: 0, written5m: 0, written1h: 0 }
    const hour = asked.parts[last]?.mark === '1h'
    const { read, written } = cache.look(scope, sizes, last + 1, hour ? 3_600_000 : 300_000)
    return { cached: read, written5m: hour ? 0 : written, written1h: hour ? written : 0 }
  }
  const { read } = cache.look(scope, sizes, sizes.length)
  const cached = read < cacheLeast ? 0 : Math.floor(read / 128) * 128
  const total = sizes.reduce((sum, { tokens }) => sum + tokens, 0)
  const writes = dialect === 'openai' && row.bands[0].rates.cache_write_5m !== undefined
  return { cached, written5m: writes ? total - cached : 0, written1h: 0 }
}

/** Values that satisfy a schema's required properties, as far as a first answer needs to. */
function argumentsFor(schema: unknown): unknown {
  const { properties = {}, required } = objectOf(schema)
  const wanted = Array.isArray(required) ? required.map(String) : Object.keys(objectOf(properties))
  return Object.fromEntries(wanted.map((name) => [name, valueFor(objectOf(properties)[name])]))
}

function valueFor(schema: unknown): unknown {
  const { type, enum: choices } = objectOf(schema)
  if (Array.isArray(choices)) return choices[0]
  switch (String(Array.isArray(type) ? type[0] : type).toLowerCase()) {
    case 'number':
    case 'integer':
      return 7
    case 'boolean':
      return true
    case 'array':
      return []
    case 'object':
      return argumentsFor(schema)
    default:
      return 'Berlin'
  }
}

export function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {}
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

/** All text below a value, in order: the prompt as far as its tokens are concerned. */
export function textOf(value: unknown): string {
  if (typeof value === 'string') return value
  if (Array.isArray(value)) return value.map(textOf).join(' ')
  if (typeof value !== 'object' || value === null) return ''
  return Object.entries(value)
    .filter(([key]) => !['type', 'role', 'id', 'cache_control'].includes(key))
    .map(([, inner]) => textOf(inner))
    .filter((text) => text !== '')
    .join(' ')
}
