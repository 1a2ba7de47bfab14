/** Server-sent events, split at any byte. Bounded: what is too long to be an event is not kept. */
export interface SseEvent {
  readonly event: string
  readonly data: string
}

const eventBytesMax = 1024 * 1024
const newline = 0x0a
const carriageReturn = 0x0d

/** A whole event. `text` has one character a byte: quick to search, and never to be decoded. */
export interface RawEvent {
  readonly bytes: Uint8Array
  readonly text: string
}

function rawEvent(bytes: Uint8Array): RawEvent {
  return { bytes, text: latin(bytes) }
}

const latin = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')

/** Where events end. Without a carriage return, as nearly all are, text is searched natively. */
function endsIn({ bytes, text }: RawEvent): (from: number) => number {
  if (text.includes('\r')) return (from) => eventEnd(bytes, from)
  return (from) => {
    const at = text.indexOf('\n\n', from)
    return at === -1 ? -1 : at + 2
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
  push(chunk: Uint8Array): readonly RawEvent[] {
    if (this.#overflowed) return [rawEvent(chunk)]
    const seen = this.#tail.length
    if (seen > 0 && endsIn(rawEvent(Buffer.concat([this.#tail, chunk])))(0) === -1) {
      this.#hold(chunk)
      return this.#overflow()
    }
    const before = this.#held
    this.#pieces.push(chunk)
    const bytes = this.#take()
    const whole = rawEvent(bytes)
    const events: RawEvent[] = []
    let from = 0
    const nextEnd = endsIn(whole)
    const first = nextEnd(Math.max(0, before - overlap))
    for (let end = first; end !== -1; end = nextEnd(from)) {
      // A chunk that is one event, as most are, is not cut up.
      if (from === 0 && end === bytes.length) return [whole]
      events.push({ bytes: bytes.subarray(from, end), text: whole.text.slice(from, end) })
      from = end
    }
    if (from < bytes.length) this.#hold(bytes.subarray(from))
    events.push(...this.#overflow())
    return events
  }

  /** What is left when the stream ends: an event without its blank line. */
  take(): RawEvent {
    return rawEvent(this.#take())
  }

  #hold(bytes: Uint8Array): void {
    this.#pieces.push(bytes)
    this.#held += bytes.length
    this.#tail =
      bytes.length >= overlap
        ? bytes.subarray(-overlap)
        : Buffer.concat([this.#tail, bytes]).subarray(-overlap)
  }

  #overflow(): readonly RawEvent[] {
    if (this.#held <= eventBytesMax) return []
    this.#overflowed = true
    return [rawEvent(this.#take())]
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

/** True where a member of this name has a value other than null, as far as the text tells. */
export function mentionsMember(text: string, name: string): boolean {
  const quoted = `"${name}"`
  for (let at = text.indexOf(quoted); at !== -1; at = text.indexOf(quoted, at)) {
    at += quoted.length
    while (' :\t\n'.includes(text[at] ?? '.')) at += 1
    if (text[at] !== 'n') return true
  }
  return false
}

/** What is said of a stream whose event was too long to keep. */
export const overflowOddity = `an event is longer than ${eventBytesMax} bytes: not metered`
