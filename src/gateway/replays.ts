/**
 * `Idempotency-Key`: a caller that repeats a call it is not sure about gets the first answer again,
 * with no hold, no charge and no second call to the provider. Kept in memory for a day.
 */
import { createHash } from 'node:crypto'
import type { Client } from '#ports/client.ts'

export type Slot =
  | { readonly kind: 'fresh'; readonly slot: string }
  | { readonly kind: 'in_flight' }
  | { readonly kind: 'mismatch' }
  | { readonly kind: 'not_replayable' }
  | { readonly kind: 'replay'; readonly answer: Kept }

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

const keptMs = 24 * 3_600_000
const entriesMax = 10_000
const answerBytesMax = 1024 * 1024
/** Of all answers kept: ten thousand of the largest would be ten gigabytes. */
const allBytesMax = 64 * 1024 * 1024

export class Replays {
  readonly #entries = new Map<string, Entry>()
  /** Slots whose answer is kept, oldest first. */
  readonly #kept = new Set<string>()
  #bytes = 0

  /** Claims the key for this body, or says what became of the first call that used it. */
  claim(keyId: string, path: string, key: string, body: Uint8Array, now: number): Slot {
    const slot = `${keyId}|${path}|${key}`
    const fingerprint = createHash('sha256').update(body).digest('hex')
    const known = this.#entries.get(slot)
    if (known === undefined || now - known.at > keptMs) {
      this.#forget(slot)
      if (this.#entries.size >= entriesMax) this.#forgetOldest()
      this.#entries.set(slot, { fingerprint, at: now, answer: null })
      return { kind: 'fresh', slot }
    }
    if (known.fingerprint !== fingerprint) return { kind: 'mismatch' }
    if (known.answer === null) return { kind: 'in_flight' }
    if (known.answer === 'lost') return { kind: 'not_replayable' }
    return { kind: 'replay', answer: known.answer }
  }

  /**
   * The same client, with its answer kept when it is whole. A call that was refused or failed is
   * forgotten: repeating it is what the caller should do.
   */
  recording(client: Client, slot: string): Client {
    const chunks: Uint8Array[] = []
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
        client.start(status, headers)
      },
      write: (chunk) => {
        size += chunk.byteLength
        if (size <= answerBytesMax) chunks.push(chunk)
        return client.write(chunk)
      },
      end: () => {
        this.#finish(slot, head, size <= answerBytesMax ? Buffer.concat(chunks) : null)
        client.end()
      },
      destroy: () => {
        this.#finish(slot, head, null)
        client.destroy()
      },
      onDrain: (listener) => client.onDrain(listener),
      onGone: (listener) => client.onGone(listener),
    }
  }

  /** The call is over. One that ended without an answer may still have been paid for. */
  close(slot: string, wasSent: boolean): void {
    const entry = this.#entries.get(slot)
    if (entry === undefined || entry.answer !== null) return
    if (wasSent) entry.answer = 'lost'
    else this.#forget(slot)
  }

  #finish(slot: string, head: Omit<Kept, 'body'> | null, body: Uint8Array | null): void {
    const entry = this.#entries.get(slot)
    if (entry === undefined || head === null) return
    const streamed = head.headers['content-type']?.includes('event-stream') === true
    if (head.status >= 400) return this.#forget(slot)
    this.#lose(slot)
    if (body === null || streamed) return
    entry.answer = { ...head, body }
    this.#kept.add(slot)
    this.#bytes += body.byteLength
    // Their answers go, not what is known of them: a repeat is told so, and makes no second call.
    for (const oldest of this.#kept) {
      if (this.#bytes <= allBytesMax) break
      this.#lose(oldest)
    }
  }

  #lose(slot: string): void {
    const entry = this.#entries.get(slot)
    if (entry === undefined) return
    if (this.#kept.delete(slot)) this.#bytes -= sizeOf(entry)
    entry.answer = 'lost'
  }

  #forgetOldest(): void {
    const [oldest] = this.#entries.keys()
    if (oldest !== undefined) this.#forget(oldest)
  }

  #forget(slot: string): void {
    this.#lose(slot)
    this.#entries.delete(slot)
  }
}

function sizeOf({ answer }: Entry): number {
  return answer === null || answer === 'lost' ? 0 : answer.body.byteLength
}
