/** The answer to a plain request, written as HTTP/1.1: one packet where it is whole at once. */
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { assert } from '#lib/assert.ts'
import type { Client } from '#ports/client.ts'

const unsafeValue = /[^\x20-\x7e]/
const unsafeName = /[^!-~]|:/
const lastChunk = '0\r\n\r\n'
/** Above this a body is written as it is, not copied behind its head. */
const copiedMax = 64 * 1024

export class PlainClient implements Client {
  readonly #socket: Socket
  readonly #ended: () => void
  readonly #goneListeners: (() => void)[] = []
  readonly #drainListeners: (() => void)[] = []
  /** Written with the first bytes of the body. */
  #head: string | null = null
  #chunked = false
  #complete = false
  #stalledSince: number | null = null
  gone = false
  started = false

  /** `ended` is called once the answer is complete and the connection free for the next. */
  constructor(socket: Socket, ended: () => void) {
    this.#socket = socket
    this.#ended = ended
    if (socket.destroyed) this.gone = true
  }

  start(status: number, headers: Readonly<Record<string, string>>): void {
    if (this.gone) return
    assert(!this.started, 'an answer is started once')
    this.started = true
    let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Unknown'}\r\n`
    for (const name in headers) {
      const value = headers[name]
      if (value === undefined) continue
      assert(
        !unsafeValue.test(value) && !unsafeName.test(name),
        'a header that cannot be sent',
        name,
      )
      head += `${name}: ${value}\r\n`
    }
    if (headers.date === undefined) head += `date: ${httpDate()}\r\n`
    this.#chunked = headers['content-length'] === undefined
    if (this.#chunked) head += 'transfer-encoding: chunked\r\n'
    this.#head = `${head}connection: keep-alive\r\n\r\n`
    // A stream's head does not wait for its first event, only for what this turn brings.
    if (this.#chunked) setImmediate(() => this.#sendHead())
  }

  write(chunk: Uint8Array): boolean {
    if (this.gone || chunk.byteLength === 0) return true
    assert(this.started, 'a body follows its head')
    const before =
      (this.#head ?? '') + (this.#chunked ? `${chunk.byteLength.toString(16)}\r\n` : '')
    const after = this.#chunked ? '\r\n' : ''
    this.#head = null
    if (this.#chunked) this.#gather()
    const free = this.#send(before, chunk, after)
    if (!free) this.#stalledSince ??= Date.now()
    return free
  }

  end(): void {
    if (this.#complete) return
    this.#complete = true
    if (!this.gone) {
      this.#gather()
      this.#sendHead()
      if (this.#chunked) this.#socket.write(lastChunk, 'latin1')
    }
    // The next request waits until this answer is taken: what it would add has nowhere to go.
    if (this.gone || !this.#socket.writableNeedDrain) this.#ended()
    else this.#stalledSince ??= Date.now()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  onDrain(listener: () => void): void {
    this.#drainListeners.push(listener)
  }

  onGone(listener: () => void): void {
    if (this.gone) listener()
    else this.#goneListeners.push(listener)
  }

  /** The connection is closed, by whomever. */
  lost(): void {
    if (this.gone) return
    if (this.#complete) return this.#ended()
    this.gone = true
    this.drained()
    for (const listener of this.#goneListeners) listener()
  }

  drained(): void {
    this.#stalledSince = null
    for (const listener of this.#drainListeners.splice(0)) listener()
    if (this.#complete) this.#ended()
  }

  /** A reader that takes nothing for so long has hung up, whatever its socket says. */
  check(now: number, stalledMs: number): void {
    if (this.#stalledSince !== null && now - this.#stalledSince > stalledMs) this.destroy()
  }

  /** What one turn brings of a stream leaves as one packet. */
  #gather(): void {
    const socket = this.#socket
    if (!this.#chunked || socket.writableCorked > 0) return
    socket.cork()
    process.nextTick(() => socket.uncork())
  }

  #sendHead(): void {
    if (this.#head === null || this.gone) return
    this.#socket.write(this.#head, 'latin1')
    this.#head = null
  }

  #send(before: string, chunk: Uint8Array, after: string): boolean {
    const socket = this.#socket
    if (chunk.byteLength > copiedMax) {
      socket.cork()
      if (before !== '') socket.write(before, 'latin1')
      const free = socket.write(chunk)
      if (after !== '') socket.write(after, 'latin1')
      socket.uncork()
      return free
    }
    const bytes = Buffer.allocUnsafe(before.length + chunk.byteLength + after.length)
    bytes.write(before, 0, 'latin1')
    bytes.set(chunk, before.length)
    bytes.write(after, before.length + chunk.byteLength, 'latin1')
    return socket.write(bytes)
  }
}

let dateAt = 0
let dateText = ''

/** Made anew once a second. */
function httpDate(): string {
  const now = Date.now()
  if (now - dateAt >= 1000) {
    dateAt = now - (now % 1000)
    dateText = new Date(now).toUTCString()
  }
  return dateText
}
