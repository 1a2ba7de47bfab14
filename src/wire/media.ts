/**
 * Bounds for what is in a prompt. Text is bounded by its bytes: byte-level tokenizers make at most
 * one token a byte. Media is bounded by the provider's ceiling an item, not by its base64 length.
 */
import { isList, isObject, visitObjects } from './fields.ts'
import type { Json, JsonObject } from './json-scan.ts'

export interface PromptParts {
  readonly textTokensMax: number
  readonly imageTokensMax: number
  readonly audioTokensMax: number
  readonly hiddenInput: boolean
}

/**
 * Tokens an item, above every documented ceiling (OpenAI original detail, Claude, Gemini tiles).
 */
const imageCeiling = 10_240
/** A page of PDF is an image and its text; 100 pages are the limit of all three. */
const documentCeiling = 100 * 3_000
/** Gemini counts 32 a second, OpenAI 10; base64 of 8 kbit/s speech bounds the seconds. */
const audioTokensPerByte = 0.05
const templateBase = 64
const templateEach = 16

export interface Found {
  images: number
  documents: number
  mediaBytes: number
  audioBytes: number
  /** Parts that stand elsewhere: a file id, a remote document or video, a stored answer. */
  hidden: boolean
  messages: number
}

/** Walks the prompt once. `classify` says what an object is, if it is media. */
export function promptParts(
  body: JsonObject,
  bodyBytes: number,
  options: {
    readonly messages: number
    readonly tools: number
    readonly toolOverhead: number
    readonly hidden: boolean
  },
): PromptParts {
  const found: Found = {
    images: 0,
    documents: 0,
    mediaBytes: 0,
    audioBytes: 0,
    hidden: options.hidden,
    messages: options.messages,
  }
  visitObjects(body, (object) => classify(object, found))
  const text =
    Math.max(0, bodyBytes - found.mediaBytes) +
    templateBase +
    templateEach * (options.messages + options.tools) +
    (options.tools > 0 ? options.toolOverhead : 0)
  return {
    textTokensMax: text + found.documents * documentCeiling,
    imageTokensMax: found.images * imageCeiling,
    audioTokensMax: Math.ceil(found.audioBytes * audioTokensPerByte),
    hiddenInput: found.hidden,
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
  found.audioBytes += data.length
}

function file(object: JsonObject, found: Found): void {
  const inner = isObject(object.file) ? object.file : object
  const data = inner.file_data
  if (typeof data === 'string') {
    found.documents += 1
    found.mediaBytes += data.length
  } else found.hidden = true
}

function source(from: JsonObject, found: Found, isImage: boolean): void {
  if (isImage) found.images += 1
  else if (from.type === 'base64') found.documents += 1
  if (from.type === 'base64' && typeof from.data === 'string') found.mediaBytes += from.data.length
  else if (!isImage && from.type !== 'text' && from.type !== 'content') found.hidden = true
  if (from.type === 'file') found.hidden = true
}

function gemini(inline: JsonObject, found: Found): void {
  const kind = String(inline.mimeType ?? inline.mime_type ?? '')
  const length = typeof inline.data === 'string' ? inline.data.length : 0
  found.mediaBytes += length
  if (kind.startsWith('image/')) found.images += 1
  else if (kind.startsWith('audio/')) found.audioBytes += length
  else if (kind.startsWith('text/')) found.mediaBytes -= length
  else if (kind === 'application/pdf') found.documents += 1
  // A video's tokens depend on its length, which the bytes do not tell.
  else found.hidden = true
}

export function countOf(value: Json | undefined): number {
  return isList(value) ? value.length : 0
}
