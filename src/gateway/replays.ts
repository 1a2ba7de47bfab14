/**
 * `Idempotency-Key`: a caller that repeats a call it is not sure about gets the first answer again,
 * with no hold, no charge and no second call to the provider. Kept in memory for a day.
 */
import { createHash } from 'node:crypto'
import type { Client } from '#ports/client.ts'

export type Slot =
  | { readonly kind: 'fresh'; readonly of: SlotId }
  | { readonly kind: 'in_flight' }
  | { readonly kind: 'mismatch' }
  | { readonly kind: 'not_replayable' }
  | { readonly kind: 'too_many' }
  | { readonly kind: 'replay'; readonly answer: Kept }

/** A caller's key, and what it named under it. */
export interface SlotId {
  readonly key: string
  readonly name: string
}

export interface Kept {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

interface Entry {
  readonly fingerprint: string
  readonly at: number
  /** Null while the first call is under way; `lost` where its answer was not kept. */
  answer: Kept | 'lost' | null
}

export interface ReplayLimits {
  /** Of one key: nobody makes another's calls be forgotten. */
  readonly entriesPerKeyMax: number
  readonly entriesMax: number
  /** Of one answer, and of all: ten thousand of the largest would be ten gigabytes. */
  readonly answerBytesMax: number
  readonly allBytesMax: number
}

const usual: ReplayLimits = {
  entriesPerKeyMax: 10_000,
  entriesMax: 100_000,
  answerBytesMax: 1024 * 1024,
  allBytesMax: 64 * 1024 * 1024,
}
const keptMs = 24 * 3_600_000

export class Replays {
  readonly #limits: ReplayLimits
  /** By key, each in the order of its calls. */
  readonly #entries = new Map<string, Map<string, Entry>>()
  /** Whose answer is kept, oldest first. */
  readonly #kept = new Set<Entry>()
  #count = 0
  #bytes = 0

  constructor(limits: Partial<ReplayLimits> = {}) {
    this.#limits = { ...usual, ...limits }
  }

  /** Claims the name for this body, or says what became of the first call that used it. */
  claim(key: string, path: string, again: string, body: Uint8Array, now: number): Slot {
    const of = { key, name: `${path}|${again}` }
    const fingerprint = createHash('sha256').update(body).digest('hex')
    const known = this.#find(of)
    if (known === undefined || now - known.at > keptMs) {
      if (known !== undefined) this.#forget(of)
      if (!this.#hasRoom(key)) return { kind: 'too_many' }
      const own = this.#entries.get(key) ?? new Map<string, Entry>()
      this.#entries.set(key, own.set(of.name, { fingerprint, at: now, answer: null }))
      this.#count += 1
      return { kind: 'fresh', of }
    }
    if (known.fingerprint !== fingerprint) return { kind: 'mismatch' }
    if (known.answer === null) return { kind: 'in_flight' }
    if (known.answer === 'lost') return { kind: 'not_replayable' }
    return { kind: 'replay', answer: known.answer }
  }

  /**
   * The same client, with its answer kept when it is whole. A call that was refused or failed is
   * forgotten: repeating it is what the caller should do. Of a stream nothing is gathered.
   */
  recording(client: Client, of: SlotId): Client {
    const { answerBytesMax } = this.#limits
    let chunks: Uint8Array[] | null = []
    let size = 0
    let head: Omit<Kept, 'body'> | null = null
    return {
      get gone() {
        return client.gone
      },
      get started() {
        return client.started
      },
      start: (status, headers) => {
        head = { status, headers }
        if (headers['content-type']?.includes('event-stream') === true) chunks = null
        client.start(status, headers)
      },
      write: (chunk) => {
        size += chunk.byteLength
        if (size > answerBytesMax) chunks = null
        chunks?.push(chunk)
        return client.write(chunk)
      },
      end: () => {
        this.#finish(of, head, chunks === null ? null : Buffer.concat(chunks))
        client.end()
      },
      destroy: () => {
        this.#finish(of, head, null)
        client.destroy()
      },
      onDrain: (listener) => client.onDrain(listener),
      onGone: (listener) => client.onGone(listener),
    }
  }

  /** The call is over. One that was paid for is not made again, answered or not. */
  close(of: SlotId, paid: boolean): void {
    const entry = this.#find(of)
    if (entry === undefined || entry.answer !== null) return
    if (paid) entry.answer = 'lost'
    else this.#forget(of)
  }

  #find({ key, name }: SlotId): Entry | undefined {
    return this.#entries.get(key)?.get(name)
  }

  #finish(of: SlotId, head: Omit<Kept, 'body'> | null, body: Buffer | null): void {
    const entry = this.#find(of)
    if (entry === undefined || head === null) return
    if (head.status >= 400) return this.#forget(of)
    this.#lose(entry)
    if (body === null) return
    entry.answer = { ...head, body }
    this.#kept.add(entry)
    this.#bytes += body.byteLength
    // Their answers go, not what is known of them: a repeat is told so, and makes no second call.
    for (const oldest of this.#kept) {
      if (this.#bytes <= this.#limits.allBytesMax) break
      this.#lose(oldest)
    }
  }

  #lose(entry: Entry): void {
    if (this.#kept.delete(entry)) this.#bytes -= sizeOf(entry)
    entry.answer = 'lost'
  }

  /** A call under way is never forgotten: its repeat would be a second call. */
  #hasRoom(key: string): boolean {
    const { entriesPerKeyMax, entriesMax } = this.#limits
    const own = this.#entries.get(key)
    if ((own?.size ?? 0) >= entriesPerKeyMax) return this.#forgetOldest([key])
    return this.#count < entriesMax || this.#forgetOldest(this.#entries.keys())
  }

  /** The oldest that is over, of the first of these keys that has one. */
  #forgetOldest(keys: Iterable<string>): boolean {
    for (const key of keys) {
      for (const [name, { answer }] of this.#entries.get(key) ?? []) {
        if (answer === null) continue
        this.#forget({ key, name })
        return true
      }
    }
    return false
  }

  #forget(of: SlotId): void {
    const own = this.#entries.get(of.key)
    const entry = own?.get(of.name)
    if (own === undefined || entry === undefined) return
    this.#lose(entry)
    own.delete(of.name)
    this.#count -= 1
    if (own.size === 0) this.#entries.delete(of.key)
  }
}

function sizeOf({ answer }: Entry): number {
  return answer === null || answer === 'lost' ? 0 : answer.body.byteLength
}
