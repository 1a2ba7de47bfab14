/** Node's request and response as the ports see them. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Client, ClientRequest } from '#ports/client.ts'
import { Gather } from './gather.ts'

/** Lower-case names, every value a client sent, in order: a header sent twice stays twice. */
export function headersOf(request: IncomingMessage): ClientRequest['headers'] {
  const { rawHeaders } = request
  const out: Record<string, string[]> = Object.create(null)
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] ?? '').toLowerCase()
    const value = rawHeaders[i + 1] ?? ''
    const known = out[name]
    if (known === undefined) out[name] = [value]
    else known.push(value)
  }
  return out
}

/** `hasRoom` is asked for each piece before it is kept; where it says no, nothing more is read. */
export function readBody(
  request: IncomingMessage,
  bytesMax: number,
  hasRoom: (bytes: number) => boolean,
): Promise<Uint8Array | 'too_large' | 'no_room' | 'gone'> {
  const declared = Number(request.headers['content-length'] ?? bytesMax)
  if (declared > bytesMax) return Promise.resolve('too_large')
  return new Promise((resolve) => {
    const body = new Gather(declared)
    const stop = (why: 'too_large' | 'no_room'): void => {
      request.pause()
      request.off('data', read)
      resolve(why)
    }
    const read = (chunk: Buffer): void => {
      if (body.length + chunk.byteLength > bytesMax) return stop('too_large')
      if (!hasRoom(chunk.byteLength)) return stop('no_room')
      body.push(chunk)
    }
    request.on('data', read)
    request.once('end', () => resolve(body.whole()))
    request.once('error', () => resolve('gone'))
    request.once('close', () => resolve('gone'))
  })
}

/** `stalledMs`: a reader that takes nothing for so long has hung up, whatever its socket says. */
export function clientOf(response: ServerResponse, stalledMs: number): Client {
  let gone = false
  let stalled: NodeJS.Timeout | null = null
  let complete = false
  const listeners: (() => void)[] = []
  const watch = (): void => {
    if (stalled !== null) return
    stalled = setTimeout(() => response.destroy(), stalledMs)
    response.once('drain', moved)
  }
  const moved = (): void => {
    if (stalled !== null) clearTimeout(stalled)
    stalled = null
  }
  response.on('error', () => {})
  response.once('finish', moved)
  response.once('close', () => {
    moved()
    gone = !complete && !response.writableFinished
    if (gone) for (const listener of listeners) listener()
  })
  return {
    get gone() {
      return gone
    },
    get started() {
      return response.headersSent
    },
    start: (status, headers) => {
      if (!gone) response.writeHead(status, headers as Record<string, string>)
    },
    write: (chunk) => {
      if (gone || response.write(chunk)) return true
      watch()
      return false
    },
    end: () => {
      complete = true
      response.end()
      // Its end is all that a caller may refuse to take, with a window of nothing.
      if (!response.writableFinished) watch()
    },
    destroy: () => {
      // An HTTP/2 response shares its connection: only its stream is broken.
      if (response.socket !== null) response.destroy()
      else response.end()
    },
    onDrain: (listener) => void response.once('drain', listener),
    onGone: (listener) => {
      if (gone) listener()
      else listeners.push(listener)
    },
  }
}
