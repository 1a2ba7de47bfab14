/**
 * What a call may cost before it runs. `max` is a bound, not a guess: a settled cost above it is an
 * overage, which is printed, alerted and our bug (or a provider billing more than its own
 * contract).
 *
 * The bound is linear in the output cap, so the ledger can choose the cap and the amount in one
 * step: `max(cap) = roundPicosUp(fixedPicos + picosPerOutputToken * cap)`.
 */
import { bandFor, multiplierOf, rateOf } from './charge.ts'
import { type Nanos, type Ratio, roundPicosUp } from './money.ts'
import type { PriceRow, Tier } from './price-book.ts'
import { type Meter, meters } from './usage.ts'

/**
 * What `wire/` reads from a request body: everything that bounds its cost. Counts are upper bounds.
 */
export interface CallShape {
  /** Text bytes + template overhead: byte-level tokenizers cannot make more tokens than bytes. */
  readonly textTokensMax: number
  /** A realistic count of the same text, for `expected`. */
  readonly textTokensExpected: number
  readonly imageTokensMax: number
  readonly audioTokensMax: number
  /**
   * True when the prompt has parts that are not in the body (`previous_response_id`, `file_id`, a
   * remote URL): its bound is then the model's context window.
   */
  readonly hiddenInput: boolean
  /** The caller's output cap per choice; null where the caller gave none. 0 for embeddings. */
  readonly outputCap: number | null
  /** Thinking tokens that may come on top of the cap (Gemini with an explicit budget), else 0. */
  readonly thinkingOutsideCap: number
  /** n, candidateCount. At least 1. */
  readonly choices: number
  /** The dearest cache write the prompt may cause. `implicit`: the provider decides (OpenAI). */
  readonly cacheWrite: 'none' | 'implicit' | '5m' | '1h'
  /** Tiers the answer may be billed at. `['standard']` unless the caller asks for another. */
  readonly tiers: readonly Tier[]
  /** Place of inference the caller asks for, or null. */
  readonly geo: string | null
  /** Server-side tools with the number of times each may be billed. */
  readonly tools: readonly { readonly meter: Meter; readonly maxUses: number }[]
  /** Output in other modalities that the request allows. */
  readonly audioOutput: boolean
  readonly imageOutput: boolean
}

export interface Quote {
  /** Input, cache writes, tool fees: all that does not depend on the output cap. Pico-USD. */
  readonly fixedPicos: bigint
  /** Pico-USD for each token of output cap, all choices together. */
  readonly picosPerOutputToken: bigint
  /** The cap to send when money is no concern: min(caller's cap, model's maximum). */
  readonly outputCap: number
  /** The worst case at `outputCap`. */
  readonly max: Nanos
  /** The likely cost, for forecasts and routing; never enforced. */
  readonly expected: Nanos
  /** Bound of prompt + output tokens at `outputCap`, for token quotas. */
  readonly tokensMax: number
}

/** What an answer usually takes when nobody limits it; only `expected` rests on it. */
const typicalOutputTokens = 300

/** Prompt classes a prompt token may end up in; the dearest reachable one bounds them all. */
const textMeters: readonly Meter[] = ['input', 'cache_read']
const imageMeters: readonly Meter[] = ['image_input']
const audioMeters: readonly Meter[] = ['audio_input', 'audio_cache_read']
const outputMeters: readonly Meter[] = ['output']

export function quote(shape: CallShape, row: PriceRow): Quote {
  const outputCap = Math.min(shape.outputCap ?? row.maxOutputTokens, row.maxOutputTokens)
  const prompt = promptBound(shape, row)
  const bands = row.bands.filter(({ abovePromptTokens }) => prompt.total > abovePromptTokens)
  const multipliers = shape.tiers.flatMap((tier) => {
    const found = multiplierOf(row, { tier, geo: shape.geo })
    return found.ok ? [found.value] : []
  })
  // A tier this model does not list cannot be billed at; with none left, the dearest listed one is.
  const reachable = multipliers.length > 0 ? multipliers : Object.values(row.tiers)
  const dearest = (of: readonly Meter[]): bigint => {
    let worst = 0n
    for (const band of bands) {
      for (const meter of of) {
        const rate = rateOf(band, meter) ?? 0n
        for (const by of reachable) worst = larger(worst, scaledUp(rate, by))
      }
    }
    return worst
  }
  const atDearest = (tokens: number, of: readonly Meter[], more: readonly Meter[] = []): bigint =>
    tokens === 0 ? 0n : BigInt(tokens) * larger(dearest(of), dearest(more))
  const text = [...textMeters, ...writeMeters(shape)]
  // Audio and images may be billed as plain tokens too: the dearer of both bounds them.
  const fixedPicos =
    atDearest(prompt.text, text) +
    atDearest(prompt.image, text, imageMeters) +
    atDearest(prompt.audio, text, audioMeters) +
    atDearest(shape.thinkingOutsideCap * shape.choices, outputMeters) +
    toolFees(shape, row) +
    roundingAllowance(reachable)
  const output = dearest([
    'output',
    ...(shape.audioOutput ? ['audio_output' as const] : []),
    ...(shape.imageOutput ? ['image_output' as const] : []),
  ])
  const picosPerOutputToken = output * BigInt(shape.choices)
  const likely = likelyOutput(shape, outputCap)
  const plain = bandFor(row, shape.textTokensExpected)
  const expectedPicos =
    BigInt(shape.textTokensExpected) * (rateOf(plain, 'input') ?? 0n) +
    BigInt(likely * shape.choices) * (rateOf(plain, 'output') ?? 0n)
  return {
    fixedPicos,
    picosPerOutputToken,
    outputCap,
    max: roundPicosUp(fixedPicos + picosPerOutputToken * BigInt(outputCap)),
    expected: roundPicosUp(expectedPicos),
    tokensMax: prompt.total + (outputCap + shape.thinkingOutsideCap) * shape.choices,
  }
}

/** `charge` carries fractions of a pico-dollar up once a line: one for each meter covers them. */
const roundingAllowance = (multipliers: readonly Ratio[]): bigint =>
  multipliers.some(({ denominator }) => denominator !== 1n) ? BigInt(meters.length) : 0n

interface PromptBound {
  readonly text: number
  readonly image: number
  readonly audio: number
  readonly total: number
}

/**
 * No prompt is longer than the context window. Each use of a server-side tool may feed its result
 * back and read the whole prompt again.
 */
function promptBound(shape: CallShape, row: PriceRow): PromptBound {
  const uses = shape.tools.reduce((sum, { maxUses }) => sum + maxUses, 0)
  const window = row.contextWindow
  const image = Math.min(shape.imageTokensMax, window)
  const audio = Math.min(shape.audioTokensMax, window)
  const once = shape.hiddenInput || uses > 0 ? window : Math.min(shape.textTokensMax, window)
  const text = once * (uses + 1)
  return { text, image: image * (uses + 1), audio: audio * (uses + 1), total: text + image + audio }
}

function writeMeters({ cacheWrite }: CallShape): readonly Meter[] {
  switch (cacheWrite) {
    case 'none':
      return []
    case 'implicit':
    case '5m':
      return ['cache_write_5m']
    case '1h':
      return ['cache_write_5m', 'cache_write_1h']
  }
}

function toolFees(shape: CallShape, row: PriceRow): bigint {
  return shape.tools.reduce((sum, { meter, maxUses }) => {
    const dearest = row.bands.reduce((worst, band) => larger(worst, rateOf(band, meter) ?? 0n), 0n)
    return sum + dearest * BigInt(maxUses)
  }, 0n)
}

function likelyOutput(shape: CallShape, outputCap: number): number {
  return shape.outputCap === 0 ? 0 : Math.min(outputCap, typicalOutputTokens)
}

const larger = (a: bigint, b: bigint): bigint => (a > b ? a : b)

function scaledUp(rate: bigint, { numerator, denominator }: Ratio): bigint {
  if (numerator === denominator) return rate
  return (rate * numerator + denominator - 1n) / denominator
}

/** The worst case with another output cap. */
export function quoteAtCap(quoted: Quote, cap: number): Nanos {
  return roundPicosUp(quoted.fixedPicos + quoted.picosPerOutputToken * BigInt(cap))
}

/** A tool the request allows but the model has no fee for cannot be bounded: its name, or null. */
export function unpricedTool(shape: CallShape, row: PriceRow): Meter | null {
  const [band] = row.bands
  return shape.tools.find(({ meter }) => rateOf(band, meter) === null)?.meter ?? null
}
