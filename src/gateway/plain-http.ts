/**
 * The short way for what nearly every call is: a plain POST on a connection that stays. A request
 * that is anything else, or is not whole at once, takes its connection to `node:http` for good,
 * every byte of it unread. Same answers, less work: `test/faults/plain-http.test.ts` compares them.
 */
import type { Socket } from 'node:net'
import { assert } from '#lib/assert.ts'
import type { Client, ClientRequest } from '#ports/client.ts'
import type { Endpoint } from '#wire/dialect.ts'
import { type PlainHead, plainHead } from '#wire/http-head.ts'
import { PlainClient } from './plain-client.ts'

/** What the gateway does with a plain request. */
export interface PlainDoor {
  /** Bodies above this go the long way. */
  readonly bodyBytesMax: number
  /** A reader that takes nothing for so long has hung up. */
  readonly stalledMs: number
  /** Null: not a call, or one that needs a closer look. */
  open(head: PlainHead): Endpoint | null
  /**
   * Resolves when nothing of the call is left to do, with how many milliseconds to read nothing
   * more of this connection. Never rejects.
   */
  serve(endpoint: Endpoint, request: ClientRequest, client: Client): Promise<number>
}

export interface PlainLimits {
  readonly requestMs: number
  readonly keepAliveMs: number
}

interface Wanted {
  readonly head: PlainHead
  readonly endpoint: Endpoint
  readonly pieces: Buffer[]
  missing: number
}

const tooSlow = 'HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n'

/** Bytes kept of what a caller sends ahead, before it is made to wait. */
const aheadBytesMax = 64 * 1024

export class PlainConnection {
  readonly #socket: Socket
  readonly #door: PlainDoor
  readonly #limits: PlainLimits
  readonly #handOver: (socket: Socket) => void
  readonly #onData = (chunk: Buffer): void => this.read(chunk)
  /** The request whose body is still coming. */
  #wanted: Wanted | null = null
  #client: PlainClient | null = null
  /** Sent ahead of its turn. */
  #ahead: Buffer | null = null
  #since = Date.now()
  /** It is `node:http`'s now. */
  #left = false

  constructor(
    socket: Socket,
    door: PlainDoor,
    limits: PlainLimits,
    handOver: (socket: Socket) => void,
  ) {
    this.#socket = socket
    this.#door = door
    this.#limits = limits
    this.#handOver = handOver
    socket.on('data', this.#onData)
    socket.once('close', () => this.#client?.lost())
    socket.on('drain', () => this.#client?.drained())
  }

  get isIdle(): boolean {
    return this.#client === null && this.#wanted === null && !this.#left
  }

  /** True where nobody would miss it: nothing has come for so long, and nothing is under way. */
  isIdleFor(ms: number): boolean {
    return this.isIdle && Date.now() - this.#since > ms
  }

  /** Closes what has been silent, or half-sent, for too long. */
  check(now: number): void {
    const { keepAliveMs, requestMs } = this.#limits
    if (this.#client !== null) return this.#client.check(now, this.#door.stalledMs)
    const silentMs = now - this.#since
    if (this.#wanted === null && silentMs > keepAliveMs) this.#socket.destroy()
    if (this.#wanted !== null && silentMs > requestMs) this.#socket.end(tooSlow)
  }

  close(): void {
    this.#socket.destroy()
  }

  /** Bytes as they come from the socket, or were read from it before. */
  read(chunk: Buffer): void {
    if (this.#client !== null) {
      this.#ahead = this.#ahead === null ? chunk : Buffer.concat([this.#ahead, chunk])
      if (this.#ahead.length > aheadBytesMax) this.#socket.pause()
      return
    }
    if (this.#wanted === null) return this.#begin(chunk)
    this.#wanted.pieces.push(chunk)
    this.#wanted.missing -= chunk.length
    if (this.#wanted.missing <= 0) this.#whole(this.#wanted)
  }

  #begin(bytes: Buffer): void {
    const head = plainHead(bytes, this.#door.bodyBytesMax)
    const endpoint = head === null ? null : this.#door.open(head)
    if (head === null || endpoint === null) return this.#leave(bytes)
    const first = bytes.subarray(head.bodyStart)
    const wanted = { head, endpoint, pieces: [first], missing: head.bodyLength - first.length }
    if (wanted.missing <= 0) return this.#whole(wanted)
    this.#wanted = wanted
    this.#since = Date.now()
  }

  #whole({ head, endpoint, pieces, missing }: Wanted): void {
    const [only] = pieces
    const all = pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces)
    this.#wanted = null
    if (missing < 0) this.#ahead = all.subarray(head.bodyLength)
    const body = missing < 0 ? all.subarray(0, head.bodyLength) : all
    const client = new PlainClient(this.#socket, () => this.#served())
    this.#client = client
    const { target, headers } = head
    void this.#door
      .serve(endpoint, { method: 'POST', target, headers, body }, client)
      .then((ms) => this.#rest(ms))
  }

  /** Whoever asks again at once, however often it is told to wait, is not heard before. */
  #rest(ms: number): void {
    if (ms <= 0 || this.#left) return
    this.#socket.pause()
    setTimeout(() => {
      if (this.#client === null && !this.#left) this.#socket.resume()
    }, ms).unref()
  }

  /** The answer is written: the next request may be there already. */
  #served(): void {
    this.#client = null
    this.#since = Date.now()
    const next = this.#ahead
    this.#ahead = null
    if (this.#socket.destroyed) return
    this.#socket.resume()
    // Not at once: a crowd of small requests in one packet would pile up on the stack.
    if (next !== null) queueMicrotask(() => this.read(next))
  }

  #leave(bytes: Buffer): void {
    const socket = this.#socket
    assert(this.isIdle, 'a connection is handed over between two requests')
    this.#left = true
    socket.off('data', this.#onData)
    socket.pause()
    socket.unshift(bytes)
    this.#handOver(socket)
    socket.resume()
  }
}
