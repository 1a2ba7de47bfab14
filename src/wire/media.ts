/**
 * Bounds for what is in a prompt. Text is bounded by its bytes: byte-level tokenizers make at most
 * one token a byte. Media is bounded by the provider's ceiling an item, not by its base64 length.
 */
import { isList, isObject } from './fields.ts'
import type { Json, JsonObject } from './json-scan.ts'

export interface PromptParts {
  readonly textTokensMax: number
  readonly imageTokensMax: number
  readonly audioTokensMax: number
  readonly hiddenInput: boolean
}

/** Tokens an image: above every ceiling that OpenAI, Anthropic and Google document. */
const imageCeiling = 32_768
/** Neither a document's pages nor a recording's seconds can be told from its bytes. */
const unknown = Number.MAX_SAFE_INTEGER
const templateBase = 64
const templateEach = 16

interface Found {
  images: number
  mediaBytes: number
  audio: boolean
  /**
   * Parts whose length is not in the body: a document, a video, a file id, a stored answer. The
   * prompt is then bounded by the context window.
   */
  hidden: boolean
}

/**
 * Walks the parts of `body` that a model sees as content. Elsewhere (a tool's schema, the arguments
 * of a call) what looks like media is text to the provider, and is counted as text here.
 */
export function promptParts(
  content: readonly (Json | undefined)[],
  bodyBytes: number,
  options: {
    readonly messages: number
    readonly tools: number
    readonly toolOverhead: number
    readonly hidden: boolean
  },
): PromptParts {
  const found: Found = { images: 0, mediaBytes: 0, audio: false, hidden: options.hidden }
  for (const part of content) visitContent(part ?? null, found)
  const textTokensMax =
    Math.max(0, bodyBytes - found.mediaBytes) +
    templateBase +
    templateEach * (options.messages + options.tools) +
    (options.tools > 0 ? options.toolOverhead : 0)
  return {
    textTokensMax,
    imageTokensMax: found.images * imageCeiling,
    audioTokensMax: found.audio ? unknown : 0,
    hiddenInput: found.hidden,
  }
}

/** Members whose value the provider renders as text, whatever it looks like. */
const opaque = new Set([
  'args',
  'arguments',
  'input_schema',
  'metadata',
  'parameters',
  'response',
  'schema',
])

function visitContent(root: Json, found: Found): void {
  const waiting: Json[] = [root]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (isList(next)) waiting.push(...next)
    else if (isObject(next)) {
      classify(next, found)
      const isCall = typeof next.type === 'string' && next.type.endsWith('tool_use')
      for (const [name, value] of Object.entries(next)) {
        if (!opaque.has(name) && !(isCall && name === 'input')) waiting.push(value)
      }
    }
  }
}

/** Objects that carry media, in the three dialects' spellings. */
function classify(object: JsonObject, found: Found): void {
  const { type } = object
  if (type === 'image_url' || type === 'input_image')
    return image(object.image_url ?? null, object, found)
  if (type === 'input_audio') return audio(object, found)
  if (type === 'file' || type === 'input_file') return file(object, found)
  if (type === 'image' && isObject(object.source)) return source(object.source, found, true)
  if (type === 'document' && isObject(object.source)) return source(object.source, found, false)
  if (type === 'container_upload') found.hidden = true
  const inline = object.inlineData ?? object.inline_data
  if (isObject(inline)) return gemini(inline, found)
  if (isObject(object.fileData ?? object.file_data)) found.hidden = true
}

function image(url: Json, object: JsonObject, found: Found): void {
  found.images += 1
  const text = typeof url === 'string' ? url : isObject(url) ? url.url : null
  if (typeof text === 'string' && text.startsWith('data:')) found.mediaBytes += text.length
  if (object.file_id !== undefined && object.file_id !== null) found.hidden = true
}

function audio(object: JsonObject, found: Found): void {
  const inner = object.input_audio
  const data = isObject(inner) ? inner.data : null
  if (typeof data !== 'string') return
  found.mediaBytes += data.length
  found.audio = true
}

function file(object: JsonObject, found: Found): void {
  const inner = isObject(object.file) ? object.file : object
  if (typeof inner.file_data === 'string') found.mediaBytes += inner.file_data.length
  found.hidden = true
}

function source(from: JsonObject, found: Found, isImage: boolean): void {
  const inline = from.type === 'base64' && typeof from.data === 'string' ? from.data.length : 0
  found.mediaBytes += inline
  if (isImage) found.images += 1
  // A text document stands in the body as text; every other one is as long as it is.
  else if (from.type !== 'text' && from.type !== 'content') found.hidden = true
  if (from.type === 'file') found.hidden = true
}

function gemini(inline: JsonObject, found: Found): void {
  const kind = String(inline.mimeType ?? inline.mime_type ?? '')
  if (kind.startsWith('text/')) return
  found.mediaBytes += typeof inline.data === 'string' ? inline.data.length : 0
  if (kind.startsWith('image/')) found.images += 1
  else if (kind.startsWith('audio/')) found.audio = true
  // A document's pages and a video's seconds are not in its bytes.
  else found.hidden = true
}

export function countOf(value: Json | undefined): number {
  return isList(value) ? value.length : 0
}
