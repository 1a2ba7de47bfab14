/** Server-sent events, split at any byte. Bounded: what is too long to be an event is not kept. */
export interface SseEvent {
  readonly event: string
  readonly data: string
}

const eventBytesMax = 1024 * 1024
const newline = 0x0a
const carriageReturn = 0x0d

const blankLine = Buffer.from('\n\n')

/** Where events end: bytes without a carriage return, as nearly all are, are searched natively. */
function endsIn(bytes: Uint8Array): (from: number) => number {
  const buffer = asBuffer(bytes)
  if (buffer.includes(carriageReturn)) return (from) => eventEnd(bytes, from)
  return (from) => {
    const at = buffer.indexOf(blankLine, from)
    return at === -1 ? -1 : at + blankLine.length
  }
}

/** Where the next event ends in `bytes` from `from`: behind its blank line, or -1. */
function eventEnd(bytes: Uint8Array, from: number): number {
  for (let i = from; i < bytes.length; i += 1) {
    const byte = bytes[i]
    if (byte !== newline && byte !== carriageReturn) continue
    const after = lineEnd(bytes, i)
    if (after >= bytes.length) return -1
    const next = bytes[after]
    if (next === newline || next === carriageReturn) {
      const end = lineEnd(bytes, after)
      // A lone CR at the very end may be half of a CRLF: wait for the next byte.
      if (next === carriageReturn && end === bytes.length && end - after === 1) return -1
      return end
    }
    i = after - 1
  }
  return -1
}

function lineEnd(bytes: Uint8Array, at: number): number {
  return bytes[at] === carriageReturn && bytes[at + 1] === newline ? at + 2 : at + 1
}

/** An event's end is at most four bytes, so three of those before a chunk may belong to it. */
const overlap = 3

/** Collects bytes into whole events. Every byte is looked at once, however small the chunks are. */
export class SseSplitter {
  #pieces: Uint8Array[] = []
  #held = 0
  #tail: Uint8Array = new Uint8Array(0)
  #overflowed = false

  /** True once an event was longer than is kept: nothing is known of the stream after that. */
  get overflowed(): boolean {
    return this.#overflowed
  }

  /** Whole events, as bytes, in order. */
  push(chunk: Uint8Array): readonly Uint8Array[] {
    if (this.#overflowed) return [chunk]
    const seen = this.#tail.length
    if (seen > 0 && endsIn(Buffer.concat([this.#tail, chunk]))(0) === -1) {
      this.#hold(chunk)
      return this.#overflow()
    }
    const before = this.#held
    this.#pieces.push(chunk)
    const bytes = this.#take()
    const events: Uint8Array[] = []
    let from = 0
    const nextEnd = endsIn(bytes)
    const first = nextEnd(Math.max(0, before - overlap))
    for (let end = first; end !== -1; end = nextEnd(from)) {
      events.push(bytes.subarray(from, end))
      from = end
    }
    if (from < bytes.length) this.#hold(bytes.subarray(from))
    return [...events, ...this.#overflow()]
  }

  /** What is left when the stream ends: an event without its blank line. */
  take(): Uint8Array {
    return this.#take()
  }

  #hold(bytes: Uint8Array): void {
    this.#pieces.push(bytes)
    this.#held += bytes.length
    this.#tail =
      bytes.length >= overlap
        ? bytes.subarray(-overlap)
        : Buffer.concat([this.#tail, bytes]).subarray(-overlap)
  }

  #overflow(): readonly Uint8Array[] {
    if (this.#held <= eventBytesMax) return []
    this.#overflowed = true
    return [this.#take()]
  }

  #take(): Uint8Array {
    const [only] = this.#pieces
    const bytes =
      this.#pieces.length === 1 && only !== undefined ? only : Buffer.concat(this.#pieces)
    this.#pieces = []
    this.#held = 0
    this.#tail = new Uint8Array(0)
    return bytes
  }
}

/** Name and data of an event; comments and other fields are passed over. */
export function readEvent(bytes: Uint8Array): SseEvent {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
  let event = ''
  const data: string[] = []
  for (const line of text.replace(/^\ufeff/, '').split(/\r\n|\n|\r/)) {
    if (line.startsWith('data:')) data.push(line.slice(line[5] === ' ' ? 6 : 5))
    else if (line.startsWith('event:')) event = line.slice(6).trim()
  }
  return { event, data: data.join('\n') }
}

/** True where `needle` (ASCII) stands in `bytes`: cheaper than parsing what is of no interest. */
export function mentions(bytes: Uint8Array, needle: Buffer): boolean {
  return asBuffer(bytes).includes(needle)
}

/** True where a member of this name has a value other than null, as far as the text tells. */
export function mentionsMember(bytes: Uint8Array, quotedName: Buffer): boolean {
  const buffer = asBuffer(bytes)
  for (let at = buffer.indexOf(quotedName); at !== -1; at = buffer.indexOf(quotedName, at)) {
    at += quotedName.length
    while (isSpaceOrColon(buffer[at])) at += 1
    if (buffer[at] !== 0x6e) return true
  }
  return false
}

function isSpaceOrColon(byte: number | undefined): boolean {
  return byte === 0x3a || byte === 0x20 || byte === 0x09 || byte === newline
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** What is said of a stream whose event was too long to keep. */
export const overflowOddity = `an event is longer than ${eventBytesMax} bytes: not metered`
