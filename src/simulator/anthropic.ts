/** Anthropic Messages: what is asked, and the answer in its own shapes. */
import { capOf, event, wantsTool } from './openai.ts'
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

export function askedMessages(body: Body): Asked {
  const declared = listOf(body.tools).map(objectOf)
  const messages = listOf(body.messages).map(objectOf)
  const system = typeof body.system === 'string' ? [{ text: body.system }] : listOf(body.system)
  const parts = [
    ...declared.map(partOf),
    ...system.map(objectOf).map(partOf),
    ...messages.flatMap(({ content }) =>
      (typeof content === 'string' ? [{ text: content }] : listOf(content).map(objectOf)).map(
        partOf,
      ),
    ),
  ]
  const automatic = objectOf(body.cache_control)
  const last = parts.at(-1)
  if (automatic.type !== undefined && last !== undefined) {
    parts.splice(-1, 1, { ...last, mark: automatic.ttl === '1h' ? '1h' : '5m' })
  }
  const tools = declared
    .filter(({ input_schema: schema }) => schema !== undefined)
    .map((tool): Tool => ({ name: String(tool.name), schema: tool.input_schema }))
  const turn = messages.at(-1)
  const isAnswer = listOf(turn?.content).some((one) => objectOf(one).type === 'tool_result')
  const choice = objectOf(body.tool_choice).type
  const insists = choice === 'any' || choice === 'tool' ? 'required' : undefined
  return {
    model: String(body.model),
    parts,
    stream: body.stream === true,
    cap: capOf(body.max_tokens),
    choices: 1,
    tools: !isAnswer && wantsTool(textOf(turn), insists) ? tools : [],
    tier: body.speed === 'fast' ? 'fast' : 'standard',
    usageAsked: true,
  }
}

function partOf(one: Body): PromptPart {
  const control = objectOf(one.cache_control)
  const mark = control.type === undefined ? null : control.ttl === '1h' ? '1h' : '5m'
  return { text: textOf(one), mark }
}

function usageOf({ usage }: Plan, output: number): Body {
  const { prompt, cached, written5m, written1h, tier } = usage
  return {
    input_tokens: prompt - cached - written5m - written1h,
    cache_creation_input_tokens: written5m + written1h,
    cache_read_input_tokens: cached,
    cache_creation: {
      ephemeral_5m_input_tokens: written5m,
      ephemeral_1h_input_tokens: written1h,
    },
    output_tokens: output,
    service_tier: 'standard',
    inference_geo: 'global',
    ...(tier === 'fast' ? { speed: 'fast' } : {}),
  }
}

function contentOf({ tool, words }: Plan): readonly Body[] {
  if (tool === null) return [{ type: 'text', text: words.join(''), citations: null }]
  return [
    {
      type: 'tool_use',
      id: tool.id.replace('call_', 'toolu_'),
      name: tool.name,
      input: JSON.parse(tool.arguments) as unknown,
    },
  ]
}

function stopOf(plan: Plan): string {
  return plan.tool !== null ? 'tool_use' : plan.cutShort ? 'max_tokens' : 'end_turn'
}

export function messagesJson(plan: Plan): Body {
  return {
    id: `msg_${plan.id}`,
    type: 'message',
    role: 'assistant',
    model: plan.model,
    content: contentOf(plan),
    stop_reason: stopOf(plan),
    stop_sequence: null,
    ...(plan.directives.usageMissing ? {} : { usage: usageOf(plan, plan.usage.completion) }),
  }
}

export function messagesEvents(plan: Plan): readonly string[] {
  const say = (type: string, more: Body): string => event({ type, ...more }, type)
  const { tool } = plan
  const [content] = contentOf(plan)
  const usage = plan.directives.usageMissing ? {} : { usage: usageOf(plan, 1) }
  const inner =
    tool === null
      ? inChunks(plan.words, plan.chunks).map((text) =>
          say('content_block_delta', { index: 0, delta: { type: 'text_delta', text } }),
        )
      : [
          say('content_block_delta', {
            index: 0,
            delta: { type: 'input_json_delta', partial_json: tool.arguments },
          }),
        ]
  const start = tool === null ? { type: 'text', text: '' } : { ...content, input: {} }
  return [
    say('message_start', {
      message: { ...messagesJson(plan), content: [], stop_reason: null, ...usage },
    }),
    say('content_block_start', { index: 0, content_block: start }),
    say('ping', {}),
    ...inner,
    say('content_block_stop', { index: 0 }),
    say('message_delta', {
      delta: { stop_reason: stopOf(plan), stop_sequence: null },
      ...(plan.directives.usageMissing ? {} : { usage: { output_tokens: plan.usage.completion } }),
    }),
    say('message_stop', {}),
  ]
}
