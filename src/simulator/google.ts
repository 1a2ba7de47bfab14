/** Gemini: what is asked, and the answer in its own shapes. */
import { capOf, wantsTool } from './openai.ts'
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

export function askedGenerate(body: Body, model: string, stream: boolean): Asked {
  const contents = listOf(body.contents).map(objectOf)
  const parts: PromptPart[] = contents.map((one) => ({ text: textOf(one), mark: null }))
  const declared = listOf(body.tools)
    .flatMap((tool) => listOf(objectOf(tool).functionDeclarations))
    .map(objectOf)
  const system = textOf(body.systemInstruction ?? body.system_instruction)
  if (system !== '') parts.unshift({ text: system, mark: null })
  if (declared.length > 0) parts.unshift({ text: textOf(declared), mark: null })
  const config = objectOf(body.generationConfig ?? body.generation_config)
  const last = contents.at(-1)
  const isAnswer = listOf(last?.parts).some((one) => objectOf(one).functionResponse !== undefined)
  const mode = objectOf(objectOf(body.toolConfig).functionCallingConfig).mode
  const tools = declared.map(
    (tool): Tool => ({
      name: String(tool.name),
      schema: tool.parameters ?? tool.parametersJsonSchema,
    }),
  )
  return {
    model,
    parts,
    stream,
    cap: capOf(config.maxOutputTokens ?? config.max_output_tokens),
    choices: Number(config.candidateCount ?? 1),
    tools:
      !isAnswer && wantsTool(textOf(last), mode === 'ANY' ? 'required' : undefined) ? tools : [],
    tier: 'standard',
    usageAsked: true,
  }
}

function usageOf({ usage }: Plan): Body {
  const { prompt, cached, completion } = usage
  return {
    promptTokenCount: prompt,
    candidatesTokenCount: completion,
    totalTokenCount: prompt + completion,
    ...(cached > 0 ? { cachedContentTokenCount: cached } : {}),
    promptTokensDetails: [{ modality: 'TEXT', tokenCount: prompt }],
  }
}

function answer(plan: Plan, parts: readonly Body[], last: boolean): Body {
  return {
    candidates: [
      {
        content: { role: 'model', parts },
        index: 0,
        ...(last ? { finishReason: plan.cutShort ? 'MAX_TOKENS' : 'STOP' } : {}),
      },
    ],
    modelVersion: plan.model,
    responseId: plan.id,
    ...(last && !plan.directives.usageMissing ? { usageMetadata: usageOf(plan) } : {}),
  }
}

function callPart({ tool }: Plan): readonly Body[] {
  if (tool === null) return []
  const args = JSON.parse(tool.arguments) as unknown
  return [{ functionCall: { name: tool.name, args } }]
}

export function generateJson(plan: Plan): Body {
  return answer(plan, plan.tool === null ? [{ text: plan.words.join('') }] : callPart(plan), true)
}

export function generateChunks(plan: Plan): readonly Body[] {
  if (plan.tool !== null) return [generateJson(plan)]
  const texts = inChunks(plan.words, plan.chunks)
  return texts.map((text, i) => answer(plan, [{ text }], i === texts.length - 1))
}

export function askedEmbed(body: Body, model: string): Asked {
  const requests = Array.isArray(body.requests) ? body.requests.map(objectOf) : [body]
  return {
    model,
    stream: false,
    cap: 0,
    choices: 1,
    tools: [],
    tier: 'standard',
    usageAsked: true,
    parts: requests.map((one) => ({ text: textOf(one.content), mark: null })),
  }
}

export function embedJson(plan: Plan, batch: boolean): Body {
  const vectors = plan.asked.parts.map(({ text }, i) => ({
    values: Array.from(
      { length: 64 },
      (_, k) => Math.round(Math.sin(text.length + i + k) * 1e6) / 1e6,
    ),
  }))
  const { prompt } = plan.usage
  const usage = plan.directives.usageMissing
    ? {}
    : {
        usageMetadata: { promptTokenCount: prompt, totalTokenCount: prompt },
      }
  return batch ? { embeddings: vectors, ...usage } : { embedding: vectors[0], ...usage }
}
