/** OpenAI's three operations: what is asked, and the answer in its own shapes. */
import {
  type Asked,
  listOf,
  objectOf,
  type Plan,
  type PromptPart,
  textOf,
  type Tool,
} from './plan.ts'
import { inChunks } from './text.ts'

type Body = Readonly<Record<string, unknown>>

const tierOf = (value: unknown): string =>
  value === 'flex' || value === 'priority' ? value : 'standard'
const served = (tier: string): string => (tier === 'standard' ? 'default' : tier)

export function askedChat(body: Body): Asked {
  const messages = listOf(body.messages).map(objectOf)
  const parts: PromptPart[] = messages.map((message) => ({ text: textOf(message), mark: null }))
  const declared = listOf(body.tools).map((tool) => objectOf(objectOf(tool).function))
  if (declared.length > 0) parts.unshift({ text: textOf(declared), mark: null })
  const tools = declared.map((tool): Tool => ({ name: String(tool.name), schema: tool.parameters }))
  const last = messages.at(-1)
  return {
    model: String(body.model),
    parts,
    stream: body.stream === true,
    cap: capOf(body.max_completion_tokens ?? body.max_tokens),
    choices: Number(body.n ?? 1),
    tools: last?.role === 'user' && wantsTool(textOf(last), body.tool_choice) ? tools : [],
    tier: tierOf(body.service_tier),
    usageAsked: objectOf(body.stream_options).include_usage === true,
  }
}

export function capOf(value: unknown): number | null {
  return typeof value === 'number' ? value : null
}

/** A tool is called when the caller insists, or the last message asks for one. */
export function wantsTool(text: string, choice: unknown): boolean {
  const insists = choice === 'required' || objectOf(choice).type !== undefined
  return insists || /\btools?\b|weather/i.test(text)
}

function chatUsage({ usage }: Plan): Body {
  const { prompt, cached, written5m, completion } = usage
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: {
      cached_tokens: cached,
      audio_tokens: 0,
      ...(written5m > 0 ? { cache_write_tokens: written5m } : {}),
    },
    completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
  }
}

function chatHead(plan: Plan, object: string): Body {
  return {
    id: `chatcmpl-${plan.id}`,
    object,
    created: 1_767_225_600,
    model: plan.model,
    service_tier: served(plan.usage.tier),
  }
}

function toolCalls({ tool }: Plan): readonly Body[] | undefined {
  if (tool === null) return undefined
  const { id, name } = tool
  return [{ index: 0, id, type: 'function', function: { name, arguments: tool.arguments } }]
}

function finishOf(plan: Plan): string {
  return plan.tool !== null ? 'tool_calls' : plan.cutShort ? 'length' : 'stop'
}

export function chatJson(plan: Plan): Body {
  const calls = toolCalls(plan)
  const choices = Array.from({ length: plan.asked.choices }, (_, index) => ({
    index,
    finish_reason: finishOf(plan),
    logprobs: null,
    message: {
      role: 'assistant',
      refusal: null,
      content: calls === undefined ? plan.words.join('') : null,
      ...(calls === undefined ? {} : { tool_calls: calls.map(({ index: _i, ...call }) => call) }),
    },
  }))
  return {
    ...chatHead(plan, 'chat.completion'),
    choices,
    ...(plan.directives.usageMissing ? {} : { usage: chatUsage(plan) }),
  }
}

export function chatEvents(plan: Plan): readonly string[] {
  const head = chatHead(plan, 'chat.completion.chunk')
  const asked = plan.asked.usageAsked
  const chunk = (delta: Body, finish: string | null = null): string =>
    event({
      ...head,
      choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
      ...(asked ? { usage: null } : {}),
    })
  const calls = toolCalls(plan)
  const inner =
    calls === undefined
      ? inChunks(plan.words, plan.chunks).map((content) => chunk({ content }))
      : [chunk({ tool_calls: calls })]
  const first = chunk({ role: 'assistant', content: '' })
  const usage =
    asked && !plan.directives.usageMissing
      ? [event({ ...head, choices: [], usage: chatUsage(plan) })]
      : []
  return [first, ...inner, chunk({}, finishOf(plan)), ...usage, 'data: [DONE]\n\n']
}

export function event(value: unknown, name?: string): string {
  return `${name === undefined ? '' : `event: ${name}\n`}data: ${JSON.stringify(value)}\n\n`
}

export function askedResponses(body: Body): Asked {
  const input =
    typeof body.input === 'string'
      ? [{ role: 'user', content: body.input }]
      : listOf(body.input).map(objectOf)
  const parts: PromptPart[] = input.map((item) => ({ text: textOf(item), mark: null }))
  if (typeof body.instructions === 'string') parts.unshift({ text: body.instructions, mark: null })
  const declared = listOf(body.tools)
    .map(objectOf)
    .filter(({ type }) => type === 'function')
  if (declared.length > 0) parts.unshift({ text: textOf(declared), mark: null })
  const last = objectOf(input.at(-1))
  const tools = declared.map((tool): Tool => ({ name: String(tool.name), schema: tool.parameters }))
  return {
    model: String(body.model),
    parts,
    stream: body.stream === true,
    cap: capOf(body.max_output_tokens),
    choices: 1,
    tools: last.role === 'user' && wantsTool(textOf(last), body.tool_choice) ? tools : [],
    tier: tierOf(body.service_tier),
    usageAsked: true,
  }
}

function responsesUsage({ usage }: Plan): Body {
  const { prompt, cached, written5m, completion } = usage
  return {
    input_tokens: prompt,
    output_tokens: completion,
    total_tokens: prompt + completion,
    input_tokens_details: {
      cached_tokens: cached,
      ...(written5m > 0 ? { cache_write_tokens: written5m } : {}),
    },
    output_tokens_details: { reasoning_tokens: 0 },
  }
}

function responseItem(plan: Plan, status: string): Body {
  const { tool } = plan
  if (tool !== null) {
    return {
      id: `fc_${plan.id}`,
      type: 'function_call',
      status,
      call_id: tool.id,
      name: tool.name,
      arguments: tool.arguments,
    }
  }
  return {
    id: `msg_${plan.id}`,
    type: 'message',
    role: 'assistant',
    status,
    content: [{ type: 'output_text', text: plan.words.join(''), annotations: [], logprobs: [] }],
  }
}

export function responsesJson(
  plan: Plan,
  status = plan.cutShort ? 'incomplete' : 'completed',
): Body {
  const done = status === 'completed' || status === 'incomplete'
  return {
    id: `resp_${plan.id}`,
    object: 'response',
    created_at: 1_767_225_600,
    status,
    model: plan.model,
    output: done ? [responseItem(plan, 'completed')] : [],
    error: null,
    incomplete_details: status === 'incomplete' ? { reason: 'max_output_tokens' } : null,
    instructions: null,
    metadata: {},
    parallel_tool_calls: true,
    temperature: 1,
    top_p: 1,
    tool_choice: 'auto',
    tools: [],
    truncation: 'disabled',
    previous_response_id: null,
    reasoning: { effort: null, summary: null },
    text: { format: { type: 'text' } },
    service_tier: served(plan.usage.tier),
    usage: done && !plan.directives.usageMissing ? responsesUsage(plan) : null,
  }
}

export function responsesEvents(plan: Plan): readonly string[] {
  let sequence = 0
  const say = (type: string, more: Body): string =>
    event({ type, sequence_number: sequence++, ...more }, type)
  const open = responsesJson(plan, 'in_progress')
  const final = responsesJson(plan)
  const done = responseItem(plan, 'completed')
  const place = { output_index: 0, item_id: done.id }
  const text = plan.words.join('')
  const part = { type: 'output_text', text: '', annotations: [], logprobs: [] }
  const inner =
    plan.tool === null
      ? [
          say('response.output_item.added', {
            output_index: 0,
            item: { ...done, status: 'in_progress', content: [] },
          }),
          say('response.content_part.added', { ...place, content_index: 0, part }),
          ...inChunks(plan.words, plan.chunks).map((delta) =>
            say('response.output_text.delta', { ...place, content_index: 0, delta, logprobs: [] }),
          ),
          say('response.output_text.done', { ...place, content_index: 0, text, logprobs: [] }),
          say('response.content_part.done', {
            ...place,
            content_index: 0,
            part: { ...part, text },
          }),
        ]
      : [
          say('response.output_item.added', {
            output_index: 0,
            item: { ...done, status: 'in_progress', arguments: '' },
          }),
          say('response.function_call_arguments.delta', { ...place, delta: plan.tool.arguments }),
          say('response.function_call_arguments.done', {
            ...place,
            name: plan.tool.name,
            arguments: plan.tool.arguments,
          }),
        ]
  return [
    say('response.created', { response: open }),
    say('response.in_progress', { response: open }),
    ...inner,
    say('response.output_item.done', { output_index: 0, item: done }),
    say(final.status === 'incomplete' ? 'response.incomplete' : 'response.completed', {
      response: final,
    }),
  ]
}

export function askedEmbeddings(body: Body): Asked {
  const input =
    Array.isArray(body.input) && typeof body.input[0] !== 'number' ? body.input : [body.input]
  return {
    model: String(body.model),
    stream: false,
    cap: 0,
    choices: Math.max(1, input.length),
    tools: [],
    parts: input.map((one) => ({
      text: Array.isArray(one) ? 'abc '.repeat(one.length) : String(one),
      mark: null,
    })),
    tier: 'standard',
    usageAsked: true,
  }
}

export function embeddingsJson(plan: Plan, body: Body): Body {
  const size = Math.min(64, Number(body.dimensions ?? 64))
  const vector = (seed: number): readonly number[] =>
    Array.from({ length: size }, (_, i) => Math.round(Math.sin(seed * 31 + i) * 1e6) / 1e6)
  const encoded = (seed: number): unknown =>
    body.encoding_format === 'base64'
      ? Buffer.from(new Float32Array(vector(seed)).buffer).toString('base64')
      : vector(seed)
  const { prompt } = plan.usage
  return {
    object: 'list',
    model: plan.model,
    data: plan.asked.parts.map(({ text }, index) => ({
      object: 'embedding',
      index,
      embedding: encoded(text.length + index),
    })),
    ...(plan.directives.usageMissing
      ? {}
      : { usage: { prompt_tokens: prompt, total_tokens: prompt } }),
  }
}
