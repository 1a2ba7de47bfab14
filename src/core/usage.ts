/**
 * What a provider says it did, in disjoint classes: no token stands in two of them, so a cost is
 * the plain sum over classes. Providers nest these differently (Anthropic leaves cached tokens out
 * of `input_tokens`, OpenAI and Google put them in); `wire/` undoes that, and core knows only this.
 */
export const meters = [
  'input', // prompt tokens neither read from nor written to a cache; text, document, video
  'cache_read',
  'cache_write_5m',
  'cache_write_1h',
  'output', // includes reasoning: every provider bills it as output
  'audio_input',
  'audio_cache_read',
  'audio_output',
  'image_input',
  'image_output',
  'web_search', // calls, not tokens, from here on
  'file_search',
  'code_session',
  'grounded_prompt', // Gemini 2.5: a prompt that was grounded, however many queries it took
  'grounding_query', // Gemini 3: each query
] as const

export type Meter = (typeof meters)[number]

/** Meters that stand for tokens of the prompt: their sum selects the long-context band. */
export const promptMeters = [
  'input',
  'cache_read',
  'cache_write_5m',
  'cache_write_1h',
  'audio_input',
  'audio_cache_read',
  'image_input',
] as const satisfies readonly Meter[]

/** Counts by meter; a meter that is absent counted nothing. Whole, non-negative numbers. */
export interface Usage {
  readonly counts: Readonly<Partial<Record<Meter, number>>>
  /** Part of `output`, for information only. Never priced on its own. */
  readonly reasoningTokens: number
}

export const noUsage: Usage = { counts: {}, reasoningTokens: 0 }

/** Everything about the answer that decides its price. */
export interface UsageReport {
  /** Null where the provider did not say: missing is not zero. */
  readonly usage: Usage | null
  /** The model that answered, where the answer names it. It may differ from the one asked. */
  readonly model: string | null
  /** Service tier in our words (`core/price-book.ts`), or null where the answer has none. */
  readonly tier: string | null
  /** Where inference ran (Anthropic `inference_geo`), or null. */
  readonly geo: string | null
  /** Work billed at other models' prices (advisor, fallback iterations). Usually empty. */
  readonly others: readonly { readonly model: string; readonly usage: Usage }[]
  /** The provider's own id of the answer, for reconciliation. */
  readonly responseId: string | null
  /** What did not add up, in words: a total that is not its parts, a negative count. */
  readonly oddities: readonly string[]
}

export const noReport: UsageReport = {
  usage: null,
  model: null,
  tier: null,
  geo: null,
  others: [],
  responseId: null,
  oddities: [],
}

export function count(usage: Usage, meter: Meter): number {
  return usage.counts[meter] ?? 0
}

export function promptTokens(usage: Usage): number {
  return promptMeters.reduce((sum, meter) => sum + count(usage, meter), 0)
}
