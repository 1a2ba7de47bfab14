/**
 * One port for HTTP/1.1 and HTTP/2 without TLS: some SDKs speak h2c with prior knowledge. The first
 * three bytes tell. Limits are set here and nowhere else; Node's own leave holes.
 */
import {
  createServer as createHttp1,
  type Server as Http1Server,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import {
  constants,
  createServer as createHttp2,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { PlainConnection, type PlainDoor, type Use } from './plain-http.ts'

const http2Cancel = constants.NGHTTP2_CANCEL

export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void

export interface ListenOptions {
  readonly host: string
  readonly port: number
  readonly handle: RequestHandler
  /** Takes plain calls the short way; left out, everything goes by `handle`. */
  readonly plain?: PlainDoor
  readonly limits?: Partial<ConnectionLimits>
}

/** What a connection may take before it is answered or closed. Milliseconds and bytes. */
export interface ConnectionLimits {
  readonly headersMs: number
  /** A whole request, its body too. */
  readonly requestMs: number
  readonly keepAliveMs: number
  /** Idle for so long, a connection gives way to a new one where there are as many as may be. */
  readonly givesWayMs: number
  /** How often the limits above are looked at. */
  readonly checkMs: number
  readonly headerBytesMax: number
  readonly headersMax: number
  readonly connectionsMax: number
  /** Requests at a time on one HTTP/2 connection. */
  readonly streamsMax: number
}

export interface Listener {
  readonly host: string
  readonly port: number
  /** Stops accepting, then waits for what is open, at most `graceMs`, and breaks the rest. */
  close(graceMs: number): Promise<void>
}

export const usualConnections: ConnectionLimits = {
  headersMs: 10_000,
  requestMs: 60_000,
  keepAliveMs: 65_000,
  givesWayMs: 1000,
  checkMs: 2000,
  headerBytesMax: 32 * 1024,
  headersMax: 200,
  connectionsMax: 12_000,
  streamsMax: 100,
}

export async function listen(options: ListenOptions): Promise<Listener> {
  const { handle, plain } = options
  const limits = { ...usualConnections, ...options.limits }
  const http1 = http1Server(handle, limits)
  const http2 = http2Server(handle, limits)
  /** In the order in which they came, each with what it is used for now. */
  const sockets = new Map<Socket, () => Use>()
  const toHttp1 = (socket: Socket): void => {
    sockets.set(socket, http1.useOf(socket))
    http1.server.emit('connection', socket)
  }
  const short = shortWay(plain, limits, toHttp1)
  const server = createServer({ noDelay: true, keepAlive: true }, (socket) => {
    if (sockets.size >= limits.connectionsMax && !madeRoom(sockets)) {
      return socket.destroy()
    }
    const since = Date.now()
    sockets.set(socket, () => (Date.now() - since > limits.givesWayMs ? 'idle' : 'serving'))
    socket.on('error', () => socket.destroy())
    socket.once('close', () => sockets.delete(socket))
    sniff(socket, limits.headersMs, (first) => {
      const isHttp2 = first.subarray(0, 3).toString('latin1') === 'PRI'
      const plain = isHttp2 ? null : short.take(socket, first)
      if (plain !== null) {
        if (!plain.hasLeft) sockets.set(socket, () => plain.useAfter(limits.givesWayMs))
        return
      }
      socket.unshift(first)
      if (isHttp2) sockets.set(socket, http2(socket))
      else toHttp1(socket)
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, options.host, () => resolve())
  })
  const { port } = server.address() as AddressInfo
  return {
    host: options.host,
    port,
    close: (graceMs) => {
      const closeIdle = (): void => {
        http1.server.closeIdleConnections()
        short.closeIdle()
      }
      return closeGently(server, closeIdle, sockets, graceMs).finally(() => {
        short.stop()
        http1.server.close()
      })
    },
  }
}

interface Http1 {
  readonly server: Http1Server
  /** What a connection will be used for, whenever that is asked. */
  useOf(socket: Socket): () => Use
}

function http1Server(handle: RequestHandler, limits: ConnectionLimits): Http1 {
  const last = new WeakMap<Socket, ServerResponse>()
  const since = new WeakMap<Socket, number>()
  const http1 = createHttp1(
    {
      maxHeaderSize: limits.headerBytesMax,
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      keepAliveTimeout: limits.keepAliveMs,
      connectionsCheckingInterval: limits.checkMs,
      noDelay: true,
      joinDuplicateHeaders: false,
      requireHostHeader: true,
    },
    (request, response) => {
      last.set(request.socket, response)
      since.set(request.socket, Date.now())
      handle(request, response)
    },
  )
  http1.maxHeadersCount = limits.headersMax
  // It listens by our sniffer. Node sets up its time limits, and what `closeIdleConnections` needs,
  // when a server begins to listen.
  http1.emit('listening')
  // A socket is a socket whichever way it was asked to change: WebSockets are not metered.
  http1.on('upgrade', (_request, socket: Socket) => refuseUpgrade(socket))
  http1.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    if (!socket.writable || error.code === 'ECONNRESET') return socket.destroy()
    const answer = last.get(socket)
    if (answer !== undefined && isUnderWay(answer)) {
      // Sent behind a request that was to be the last: never read, and no reason not to answer it.
      if (error.code === 'HPE_CLOSED_CONNECTION') return
      // Our words would stand in the middle of the answer, or be taken for it.
      return answer.writableEnded ? void socket.end() : socket.destroy()
    }
    const status =
      error.code === 'HPE_HEADER_OVERFLOW'
        ? '431 Request Header Fields Too Large'
        : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
          ? '408 Request Timeout'
          : '400 Bad Request'
    socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
  })
  const useNow = (socket: Socket): Use => {
    if (Date.now() - (since.get(socket) ?? 0) <= limits.givesWayMs) return 'serving'
    const answer = last.get(socket)
    if (answer === undefined || !answer.req.complete) return 'half'
    return answer.writableFinished ? 'idle' : 'serving'
  }
  const useOf = (socket: Socket): (() => Use) => {
    since.set(socket, Date.now())
    return () => useNow(socket)
  }
  return { server: http1, useOf }
}

/** Its request was read whole, or it has begun, and the connection is not free for another. */
function isUnderWay(answer: ServerResponse): boolean {
  const { headersSent, req, writableFinished, shouldKeepAlive } = answer
  return (headersSent || req.complete) && (!writableFinished || !shouldKeepAlive)
}

/**
 * Node watches the clock for HTTP/1.1 only: here the limits are kept by hand. Takes a connection,
 * and says what it will be used for, whenever that is asked.
 */
function http2Server(
  handle: RequestHandler,
  limits: ConnectionLimits,
): (socket: Socket) => () => Use {
  const http2 = createHttp2(
    {
      maxHeaderListPairs: limits.headersMax,
      settings: {
        maxConcurrentStreams: limits.streamsMax,
        maxHeaderListSize: limits.headerBytesMax,
      },
    },
    (request, response) => {
      const late = setTimeout(() => request.stream.close(http2Cancel), limits.requestMs)
      request.once('end', () => clearTimeout(late))
      request.once('close', () => clearTimeout(late))
      // The compatibility API is the same but for types: streams, headers, write, end.
      handle(request as unknown as IncomingMessage, response as unknown as ServerResponse)
    },
  )
  return (socket) => {
    const since = Date.now()
    let use = (): Use => 'half'
    http2.once('session', (session) => {
      use = watched(session, limits.keepAliveMs)
    })
    // The session is made before this returns.
    http2.emit('connection', socket)
    return () => (Date.now() - since > limits.givesWayMs ? use() : 'serving')
  }
}

/** Ends a connection on which no request has been open for `idleMs`. */
function watched(session: ServerHttp2Session, idleMs: number): () => Use {
  let open = 0
  const whole = new Set<ServerHttp2Stream>()
  const rest = (): NodeJS.Timeout => setTimeout(() => session.close(), idleMs)
  let idle = rest()
  session.on('stream', (stream) => {
    open += 1
    clearTimeout(idle)
    stream.once('end', () => whole.add(stream))
    stream.once('close', () => {
      open -= 1
      whole.delete(stream)
      if (open === 0 && !session.destroyed) idle = rest()
    })
  })
  session.once('close', () => clearTimeout(idle))
  return () => {
    // An answer that has ended and is not taken is no reason to stay.
    for (const stream of whole) if (!stream.writableEnded) return 'serving'
    return open > 0 ? 'half' : 'idle'
  }
}

function refuseUpgrade(socket: Socket): void {
  const body =
    '{"error":{"message":"WebSocket is not served here: use HTTP.",' +
    '"type":"invalid_request_error","code":"upgrade_required"}}'
  socket.end(
    `HTTP/1.1 426 Upgrade Required\r\ncontent-type: application/json\r\nupgrade: HTTP/1.1\r\n` +
      `connection: close\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}

interface ShortWay {
  /** Null: there is no short way here. */
  take(socket: Socket, first: Buffer): PlainConnection | null
  closeIdle(): void
  stop(): void
}

/** The connections that go the short way, until they are handed over or closed. */
function shortWay(
  door: PlainDoor | undefined,
  limits: ConnectionLimits,
  handOver: (socket: Socket) => void,
): ShortWay {
  const connections = new Set<PlainConnection>()
  const watch = setInterval(() => {
    const now = Date.now()
    for (const connection of connections) connection.check(now)
  }, limits.checkMs)
  watch.unref()
  return {
    take: (socket, first) => {
      if (door === undefined) return null
      const connection = new PlainConnection(socket, door, limits, () => {
        connections.delete(connection)
        handOver(socket)
      })
      connections.add(connection)
      socket.once('close', () => connections.delete(connection))
      connection.read(first)
      return connection
    },
    closeIdle: () => {
      for (const connection of connections) if (connection.isIdle) connection.close()
    },
    stop: () => clearInterval(watch),
  }
}

/**
 * Whoever only keeps a connection open, or does not finish a request, gives way to whoever has
 * something to say, an operator in the middle of a flood among them. The oldest first.
 */
function madeRoom(sockets: Map<Socket, () => Use>): boolean {
  let half: Socket | null = null
  for (const [socket, useNow] of sockets) {
    const use = socket.destroyed ? 'idle' : useNow()
    if (use === 'half') half ??= socket
    if (use === 'idle') return gone(sockets, socket)
  }
  return half !== null && gone(sockets, half)
}

function gone(sockets: Map<Socket, () => Use>, socket: Socket): true {
  sockets.delete(socket)
  socket.destroy()
  return true
}

/** Reads the first bytes. A silent connection is closed as slow headers are. */
function sniff(socket: Socket, waitMs: number, then: (first: Buffer) => void): void {
  const timer = setTimeout(() => socket.destroy(), waitMs)
  socket.once('close', () => clearTimeout(timer))
  socket.once('readable', () => {
    clearTimeout(timer)
    const first = socket.read() as Buffer | null
    if (first === null) return socket.destroy()
    then(first)
  })
}

async function closeGently(
  server: ReturnType<typeof createServer>,
  closeIdle: () => void,
  sockets: ReadonlyMap<Socket, unknown>,
  graceMs: number,
): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  closeIdle()
  const idle = setInterval(closeIdle, 50)
  const timer = setTimeout(() => {
    for (const socket of sockets.keys()) socket.destroy()
  }, graceMs)
  await closed
  clearInterval(idle)
  clearTimeout(timer)
}
