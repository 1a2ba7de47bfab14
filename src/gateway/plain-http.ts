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
import { Gather } from './gather.ts'
import { PlainClient } from './plain-client.ts'

/** What a plain request asks for, and who asks: known before a body is waited for. */
export interface Opening {
  readonly endpoint: Endpoint
  readonly caller: string
}

/** What the gateway does with a plain request. */
export interface PlainDoor {
  /** Bodies above this go the long way. */
  readonly bodyBytesMax: number
  /** A reader that takes nothing for so long has hung up. */
  readonly stalledMs: number
  /** Room for a body that is not all there yet. False: there is none, and nothing was taken. */
  takeBytes(caller: string, bytes: number): boolean
  giveBytes(caller: string, bytes: number): void
  /** Null: not a call, or one that needs a closer look. */
  open(head: PlainHead): Opening | null
  /**
   * Resolves when nothing of the call is left to do, with how many milliseconds to read nothing
   * more of this connection. Never rejects.
   */
  serve(opening: Opening, request: ClientRequest, client: Client): Promise<number>
}

/** A connection with no request, with one that is not whole, or with one that is being served. */
export type Use = 'idle' | 'half' | 'serving'

export interface PlainLimits {
  readonly requestMs: number
  readonly keepAliveMs: number
}

interface Wanted {
  readonly head: PlainHead
  readonly opening: Opening
  readonly body: Gather
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
  /** Calls not quite done, and rests: until there are none, what was sent ahead waits. */
  #busy = 0
  #since = Date.now()
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
    socket.once('close', () => this.#lost())
    socket.on('drain', () => this.#client?.drained())
  }

  get isIdle(): boolean {
    return this.#client === null && this.#wanted === null && !this.#left
  }

  /** It is `node:http`'s now. */
  get hasLeft(): boolean {
    return this.#left
  }

  /** What would be missed if it were closed; nothing, where nothing has come for so long. */
  useAfter(ms: number): Use {
    if (this.#client !== null || Date.now() - this.#since <= ms) return 'serving'
    return this.#wanted === null ? 'idle' : 'half'
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
    if (this.#client !== null || this.#ahead !== null) {
      this.#ahead = this.#ahead === null ? chunk : Buffer.concat([this.#ahead, chunk])
      if (this.#aheadBytes > aheadBytesMax) this.#socket.pause()
      return
    }
    if (this.#wanted === null) return this.#begin(chunk)
    const { head, opening, body } = this.#wanted
    body.push(chunk)
    if (body.length < head.bodyLength) return
    this.#forget()
    this.#whole(head, opening, body.whole())
  }

  #begin(bytes: Buffer): void {
    const head = plainHead(bytes, this.#door.bodyBytesMax)
    const opening = head === null ? null : this.#door.open(head)
    if (head === null || opening === null) return this.#leave(bytes)
    const first = bytes.subarray(head.bodyStart)
    if (first.length >= head.bodyLength) return this.#whole(head, opening, first)
    // Where there is no room the long way says so.
    if (!this.#door.takeBytes(opening.caller, head.bodyLength)) return this.#leave(bytes)
    const body = new Gather(head.bodyLength)
    body.push(first)
    this.#wanted = { head, opening, body }
    this.#since = Date.now()
  }

  /** No body is awaited any more, whatever came of it. */
  #forget(): void {
    if (this.#wanted === null) return
    this.#door.giveBytes(this.#wanted.opening.caller, this.#wanted.head.bodyLength)
    this.#wanted = null
  }

  #lost(): void {
    this.#forget()
    this.#client?.lost()
  }

  /** `all`: the body, and perhaps what follows it. */
  #whole({ target, headers, bodyLength }: PlainHead, opening: Opening, all: Buffer): void {
    if (all.length > bodyLength) this.#ahead = all.subarray(bodyLength)
    const body = all.subarray(0, bodyLength)
    const client = new PlainClient(this.#socket, () => this.#served())
    this.#client = client
    this.#busy += 1
    void this.#door
      .serve(opening, { method: 'POST', target, headers, body }, client)
      .then((ms) => this.#rest(ms))
  }

  /** Whoever asks again at once, however often it is told to wait, is not heard before. */
  #rest(ms: number): void {
    if (ms <= 0 || this.#left) return this.#free()
    this.#socket.pause()
    setTimeout(() => this.#free(), ms).unref()
  }

  #free(): void {
    this.#busy -= 1
    this.#next()
  }

  /** The answer is written: who waited for it may ask again. */
  #served(): void {
    this.#client = null
    this.#since = Date.now()
    this.#next()
  }

  /** What was sent ahead has its turn once all of what came before it is done. */
  #next(): void {
    if (this.#client !== null || this.#busy > 0 || this.#left) return
    if (this.#ahead === null) return void this.#socket.resume()
    // Not at once: a crowd of small requests in one packet would pile up on the stack.
    queueMicrotask(() => this.#readAhead())
  }

  #readAhead(): void {
    const next = this.#ahead
    if (next === null || this.#client !== null || this.#busy > 0 || this.#left) return
    this.#ahead = null
    this.read(next)
    // What the socket has kept comes behind it, and only while there is room.
    if (!this.#left && this.#aheadBytes <= aheadBytesMax) this.#socket.resume()
  }

  get #aheadBytes(): number {
    return this.#ahead?.length ?? 0
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
