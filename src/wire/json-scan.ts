/**
 * Strict JSON, once over the bytes: what two parsers could read differently is refused, so that the
 * provider sees the same request that was priced. Gives the value, and where the top-level members
 * stand, so that a change is spliced in and every other byte goes through as it came.
 */
import { failed, type Result, succeeded } from '#lib/result.ts'

export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json }
export type JsonObject = { readonly [key: string]: Json }

/**
 * Byte offsets in the body. `start` and `end` are the value's; `keyStart` is the opening quote's.
 */
export interface Member {
  readonly keyStart: number
  readonly start: number
  readonly end: number
}

export interface Scanned {
  readonly value: JsonObject
  readonly members: ReadonlyMap<string, Member>
  /** Offset of the closing brace. */
  readonly close: number
}

export interface JsonProblem {
  readonly path: string | null
  readonly message: string
}

export interface Limits {
  readonly depth: number
  /** Values in the whole document. */
  readonly nodes: number
  /** Elements of one array. */
  readonly elements: number
}

export const ordinary: Limits = { depth: 64, nodes: 50_000, elements: 20_000 }
const forbiddenKeys = new Set(['__proto__', 'constructor', 'prototype'])
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** An object or array that is open. */
interface Frame {
  /** Names seen so far; null for an array. */
  readonly keys: Set<string> | null
  /** The member being read, for messages and for the top level's spans. */
  key: string
  keyStart: number
  valueStart: number
  expectsKey: boolean
  index: number
}

/** Reads a JSON object. Everything unusual is a problem with the path of the place. */
export function scanJson(
  bytes: Uint8Array,
  limits: Limits = ordinary,
): Result<Scanned, JsonProblem> {
  let text: string
  try {
    text = decoder.decode(bytes)
  } catch {
    return failed({ path: null, message: 'The body is not valid UTF-8.' })
  }
  if (text.charCodeAt(0) === 0xfeff) {
    return failed({ path: null, message: 'The body starts with a byte order mark.' })
  }
  // One character a byte, so that offsets are the body's own.
  const latin =
    text.length === bytes.length
      ? text
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
  // A bomb is told by its walls, before anything is built of it; what is small is built sooner
  // than it is walked, and its faults are then told better.
  const large = bytes.length > largeBytes
  const first = large ? new Walker(latin, limits).walk() : null
  if (first?.ok === false) return first
  const parsed = parse(text)
  if (!parsed.ok) return parsed
  const walked = first ?? new Walker(latin, limits).walk()
  if (!walked.ok) return walked
  return succeeded({ value: parsed.value, ...walked.value })
}

const largeBytes = 64 * 1024

function parse(text: string): Result<JsonObject, JsonProblem> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    // The engine's own words quote the text around the place, which may be anybody's prompt.
    const said = error instanceof Error ? /at position (\d+)/.exec(error.message)?.[1] : undefined
    const where = said === undefined ? '' : ` at character ${said}`
    return failed({ path: null, message: `The body is not valid JSON${where}.` })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return failed({ path: null, message: 'The body must be a JSON object.' })
  }
  return succeeded(value as JsonObject)
}

/** Members of the body, and of objects directly in it: what the gateway itself reads. */
const controlDepth = 2
const quote = 0x22
const backslash = 0x5c

/**
 * Looks only for what `JSON.parse` lets pass: duplicate keys, depth, size, numbers that do not
 * survive. What that refuses is refused by it, so of such text this only has to come to an end. No
 * recursion: depth is the caller's to choose.
 */
class Walker {
  readonly #text: string
  readonly #limits: Limits
  readonly #stack: Frame[] = []
  readonly #members = new Map<string, Member>()
  #i = 0
  #nodes = 0
  #close = 0

  /** `text` holds one character a byte (latin1), whatever the bytes mean. */
  constructor(text: string, limits: Limits) {
    this.#text = text
    this.#limits = limits
  }

  walk(): Result<Pick<Scanned, 'members' | 'close'>, JsonProblem> {
    const text = this.#text
    while (this.#i < text.length) {
      const problem = this.#step(text.charCodeAt(this.#i))
      if (problem !== null) return failed(problem)
    }
    return succeeded({ members: this.#members, close: this.#close })
  }

  #step(byte: number): JsonProblem | null {
    switch (byte) {
      case 0x7b:
        return this.#open(true)
      case 0x5b:
        return this.#open(false)
      case 0x7d:
      case 0x5d:
        return this.#shut()
      case 0x2c:
        return this.#comma()
      case quote:
        return this.#string()
      case 0x20:
      case 0x09:
      case 0x0a:
      case 0x0d:
      case 0x3a:
        this.#i += 1
        return null
      default:
        return this.#scalar()
    }
  }

  #open(isObject: boolean): JsonProblem | null {
    if (this.#stack.length >= this.#limits.depth) {
      return this.#problem(`is nested deeper than ${this.#limits.depth} levels`)
    }
    const problem = this.#value(this.#i)
    this.#stack.push({
      keys: isObject ? new Set() : null,
      key: '',
      keyStart: 0,
      valueStart: 0,
      expectsKey: isObject,
      index: 0,
    })
    this.#i += 1
    return problem
  }

  #shut(): null {
    this.#stack.pop()
    if (this.#stack.length === 0) this.#close = this.#i
    this.#i += 1
    this.#valueDone(this.#i)
    return null
  }

  #comma(): JsonProblem | null {
    this.#i += 1
    const frame = this.#stack.at(-1)
    if (frame === undefined) return null
    frame.index += 1
    frame.expectsKey = frame.keys !== null
    if (frame.keys !== null || frame.index < this.#limits.elements) return null
    return this.#problem(`has more than ${this.#limits.elements} elements`)
  }

  #string(): JsonProblem | null {
    const start = this.#i
    const end = this.#stringEnd(start)
    this.#i = end
    const frame = this.#stack.at(-1)
    if (frame?.expectsKey !== true) {
      const problem = this.#value(start)
      this.#valueDone(end)
      return problem
    }
    const raw = this.#text.slice(start + 1, end - 1)
    frame.key = raw.includes('\\') ? unescaped(raw) : raw
    frame.keyStart = start
    frame.expectsKey = false
    if (frame.keys?.has(frame.key) === true) return this.#problem('appears twice')
    frame.keys?.add(frame.key)
    return this.#stack.length === 1 && forbiddenKeys.has(frame.key)
      ? this.#problem('is not allowed as a name')
      : null
  }

  /** The offset behind the closing quote: the first one that no odd run of backslashes escapes. */
  #stringEnd(start: number): number {
    for (let from = start + 1; ; ) {
      const at = this.#text.indexOf('"', from)
      if (at === -1) return this.#text.length
      let slashes = 0
      while (this.#text.charCodeAt(at - 1 - slashes) === backslash) slashes += 1
      if (slashes % 2 === 0) return at + 1
      from = at + 1
    }
  }

  #scalar(): JsonProblem | null {
    const start = this.#i
    let end = start + 1
    while (end < this.#text.length && !isDelimiter(this.#text.charCodeAt(end))) end += 1
    this.#i = end
    const problem = this.#value(start) ?? this.#number(start, end)
    this.#valueDone(end)
    return problem
  }

  #number(start: number, end: number): JsonProblem | null {
    const first = this.#text.charCodeAt(start)
    if (first !== 0x2d && (first < 0x30 || first > 0x39)) return null
    // A safe integer has at most 16 digits: shorter text needs no look.
    if (end - start < 16 && !/[eE]/.test(this.#text.slice(start, end))) return null
    const text = this.#text.slice(start, end)
    const number = Number(text)
    // Deep inside, a number is the caller's content (a schema's int64 bound): it passes as it is.
    const isControl = this.#stack.length <= controlDepth && !/[.eE]/.test(text)
    const survives = isControl ? Number.isSafeInteger(number) : Number.isFinite(number)
    return survives ? null : this.#problem('is too large a number')
  }

  #value(start: number): JsonProblem | null {
    const frame = this.#stack.at(-1)
    if (frame !== undefined) frame.valueStart = start
    this.#nodes += 1
    return this.#nodes <= this.#limits.nodes
      ? null
      : this.#problem(`has more than ${this.#limits.nodes} values`)
  }

  #valueDone(end: number): void {
    const [top] = this.#stack
    if (top === undefined || this.#stack.length !== 1) return
    const name = Buffer.from(top.key, 'latin1').toString()
    this.#members.set(name, { keyStart: top.keyStart, start: top.valueStart, end })
  }

  #problem(what: string): JsonProblem {
    const path = this.#stack
      .reduce((text, { keys, key, index }) => {
        if (keys === null) return `${text}[${index}]`
        const name = Buffer.from(key, 'latin1').toString()
        return key === '' ? text : text === '' ? name : `${text}.${name}`
      }, '')
      .slice(0, 200)
    return {
      path: path === '' ? null : path,
      message: `${path === '' ? 'The body' : path} ${what}.`,
    }
  }
}

/** A name with escapes, in the same one-character-a-byte form as names without. */
function unescaped(raw: string): string {
  try {
    const text: unknown = JSON.parse(`"${Buffer.from(raw, 'latin1').toString()}"`)
    return Buffer.from(String(text)).toString('latin1')
  } catch {
    // No JSON at all: `JSON.parse` will say so.
    return raw
  }
}

function isDelimiter(byte: number): boolean {
  return byte === 0x2c || byte === 0x7d || byte === 0x5d || byte <= 0x20 || byte === 0x3a
}
