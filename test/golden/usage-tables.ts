/** Usage as providers report it, and what it counts: null where nothing can be known. */
import type { Meter } from '#core/usage.ts'

export type Counts = Partial<Record<Meter, number>>
export type Case = readonly [name: string, usage: Record<string, unknown>, counts: Counts | null]

export const openai = (prompt: number, completion: number, inner = {}, outer = {}) => ({
  prompt_tokens: prompt,
  completion_tokens: completion,
  total_tokens: prompt + completion,
  prompt_tokens_details: inner,
  completion_tokens_details: outer,
})
const chat: readonly Case[] = [
  ['plain', openai(10, 5), { input: 10, output: 5 }],
  ['no details', { prompt_tokens: 3, completion_tokens: 4 }, { input: 3, output: 4 }],
  [
    'cached',
    openai(2006, 300, { cached_tokens: 1920 }),
    { input: 86, cache_read: 1920, output: 300 },
  ],
  [
    'written',
    openai(2000, 1, { cache_write_tokens: 1500 }),
    { input: 500, cache_write_5m: 1500, output: 1 },
  ],
  [
    'cached and written',
    openai(3000, 1, { cached_tokens: 1024, cache_write_tokens: 1024 }),
    { input: 952, cache_read: 1024, cache_write_5m: 1024, output: 1 },
  ],
  ['all cached', openai(1024, 1, { cached_tokens: 1024 }), { cache_read: 1024, output: 1 }],
  ['reasoning', openai(9, 256, {}, { reasoning_tokens: 250 }), { input: 9, output: 256 }],
  [
    'rejected prediction',
    openai(9, 30, {}, { rejected_prediction_tokens: 12 }),
    { input: 9, output: 30 },
  ],
  [
    'audio',
    openai(100, 50, { audio_tokens: 80 }, { audio_tokens: 40 }),
    { input: 20, audio_input: 80, output: 10, audio_output: 40 },
  ],
  ['explicit zeros', openai(0, 0, { cached_tokens: 0 }), {}],
  [
    'null details',
    { prompt_tokens: 7, completion_tokens: 1, prompt_tokens_details: null },
    { input: 7, output: 1 },
  ],
  ['more cached than sent', openai(10, 1, { cached_tokens: 12 }), { cache_read: 12, output: 1 }],
  ['long context', openai(300_000, 10), { input: 300_000, output: 10 }],
  ['at the threshold', openai(272_000, 10), { input: 272_000, output: 10 }],
  ['negative', { prompt_tokens: -1, completion_tokens: 4 }, null],
  ['a string', { prompt_tokens: '9', completion_tokens: 4 }, null],
  ['half a token', { prompt_tokens: 1.5, completion_tokens: 4 }, null],
]
const inOut = (input: number, output: number, inner = {}) => ({
  input_tokens: input,
  output_tokens: output,
  input_tokens_details: inner,
})
const responses: readonly Case[] = [
  ['plain', inOut(10, 5), { input: 10, output: 5 }],
  [
    'cached',
    inOut(12_033, 44, { cached_tokens: 11_904 }),
    { input: 129, cache_read: 11_904, output: 44 },
  ],
  [
    'written',
    inOut(2000, 4, { cache_write_tokens: 1999 }),
    { input: 1, cache_write_5m: 1999, output: 4 },
  ],
  ['zeros', inOut(0, 0), {}],
  ['missing output', { input_tokens: 5 }, null],
]
export const claude = (input: number, output: number, more = {}) => ({
  input_tokens: input,
  output_tokens: output,
  ...more,
})
const anthropic: readonly Case[] = [
  ['plain', claude(10, 5), { input: 10, output: 5 }],
  [
    'read',
    claude(10, 5, { cache_read_input_tokens: 1800 }),
    { input: 10, cache_read: 1800, output: 5 },
  ],
  [
    'written, not split',
    claude(10, 5, { cache_creation_input_tokens: 248 }),
    { input: 10, cache_write_5m: 248, output: 5 },
  ],
  [
    'written, split',
    claude(10, 5, {
      cache_creation_input_tokens: 248,
      cache_creation: { ephemeral_5m_input_tokens: 148, ephemeral_1h_input_tokens: 100 },
    }),
    { input: 10, cache_write_5m: 148, cache_write_1h: 100, output: 5 },
  ],
  [
    'written later than split',
    claude(10, 5, {
      cache_creation_input_tokens: 300,
      cache_creation: { ephemeral_5m_input_tokens: 148, ephemeral_1h_input_tokens: 100 },
    }),
    { input: 10, cache_write_5m: 200, cache_write_1h: 100, output: 5 },
  ],
  [
    'only the split',
    claude(10, 5, { cache_creation: { ephemeral_1h_input_tokens: 9 } }),
    { input: 10, cache_write_1h: 9, output: 5 },
  ],
  [
    'thinking',
    claude(10, 503, { output_tokens_details: { thinking_tokens: 300 } }),
    { input: 10, output: 503 },
  ],
  [
    'searches',
    claude(10, 5, { server_tool_use: { web_search_requests: 2 } }),
    { input: 10, output: 5, web_search: 2 },
  ],
  [
    'nulls',
    claude(10, 5, { cache_creation: null, cache_read_input_tokens: null }),
    { input: 10, output: 5 },
  ],
  [
    'compaction',
    claude(23_000, 1000, {
      iterations: [
        { type: 'compaction', input_tokens: 180_000, output_tokens: 3500 },
        { type: 'message', input_tokens: 23_000, output_tokens: 1000 },
      ],
    }),
    { input: 203_000, output: 4500 },
  ],
  ['in the US', claude(10, 5, { inference_geo: 'us' }), { input: 10, output: 5 }],
  ['zero output', claude(10, 0), { input: 10 }],
]
export const gem = (prompt: number, candidates: number, more: Record<string, number> = {}) => ({
  promptTokenCount: prompt,
  candidatesTokenCount: candidates,
  totalTokenCount:
    prompt + candidates + (more.thoughtsTokenCount ?? 0) + (more.toolUsePromptTokenCount ?? 0),
  ...more,
})
const gemini: readonly Case[] = [
  ['plain', gem(10, 5), { input: 10, output: 5 }],
  ['thoughts', gem(41, 5, { thoughtsTokenCount: 343 }), { input: 41, output: 348 }],
  ['tool prompt', gem(10, 5, { toolUsePromptTokenCount: 50 }), { input: 60, output: 5 }],
  [
    'cached',
    gem(2000, 5, { cachedContentTokenCount: 1500 }),
    { input: 500, cache_read: 1500, output: 5 },
  ],
  [
    'audio',
    { ...gem(100, 5), promptTokensDetails: [{ modality: 'AUDIO', tokenCount: 60 }] },
    { input: 40, audio_input: 60, output: 5 },
  ],
  [
    'cached audio',
    {
      ...gem(100, 5, { cachedContentTokenCount: 50 }),
      promptTokensDetails: [{ modality: 'AUDIO', tokenCount: 60 }],
      cacheTokensDetails: [{ modality: 'AUDIO', tokenCount: 50 }],
    },
    { input: 40, audio_input: 10, audio_cache_read: 50, output: 5 },
  ],
  ['a total beyond its parts', { ...gem(41, 5), totalTokenCount: 389 }, { input: 41, output: 348 }],
  ['above 200 k', gem(200_001, 5), { input: 200_001, output: 5 }],
  ['at 200 k', gem(200_000, 5), { input: 200_000, output: 5 }],
  ['no candidates', { promptTokenCount: 9, totalTokenCount: 9 }, { input: 9 }],
]
export const tables: Readonly<Record<string, readonly Case[]>> = {
  chat,
  responses,
  anthropic,
  gemini,
}
