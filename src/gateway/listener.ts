/**
 * One port for HTTP/1.1 and HTTP/2 without TLS: some SDKs speak h2c with prior knowledge. The first
 * three bytes tell. Limits are set here and nowhere else; Node's own leave holes.
 */
import { createServer as createHttp1, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createHttp2 } from 'node:http2'
import { type AddressInfo, createServer, type Socket } from 'node:net'

export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void

export interface ListenOptions {
  readonly host: string
  readonly port: number
  readonly handle: RequestHandler
  readonly connectionsMax?: number
}

export interface Listener {
  readonly host: string
  readonly port: number
  /** Stops accepting, then waits for what is open, at most `graceMs`, and breaks the rest. */
  close(graceMs: number): Promise<void>
}

const limits = {
  headersTimeout: 10_000,
  requestTimeout: 60_000,
  keepAliveTimeout: 65_000,
  maxHeaderSize: 32 * 1024,
  connectionsMax: 12_000,
}

export async function listen(options: ListenOptions): Promise<Listener> {
  const { handle } = options
  const http1 = createHttp1(
    {
      maxHeaderSize: limits.maxHeaderSize,
      headersTimeout: limits.headersTimeout,
      requestTimeout: limits.requestTimeout,
      keepAliveTimeout: limits.keepAliveTimeout,
      noDelay: true,
      joinDuplicateHeaders: false,
      requireHostHeader: true,
    },
    handle,
  )
  http1.maxHeadersCount = 200
  // It listens by our sniffer. Node sets up its time limits, and what `closeIdleConnections` needs,
  // when a server begins to listen.
  http1.emit('listening')
  // A socket is a socket whichever way it was asked to change: WebSockets are not metered.
  http1.on('upgrade', (_request, socket: Socket) => refuseUpgrade(socket))
  http1.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    if (!socket.writable || error.code === 'ECONNRESET') return socket.destroy()
    const status =
      error.code === 'HPE_HEADER_OVERFLOW'
        ? '431 Request Header Fields Too Large'
        : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
          ? '408 Request Timeout'
          : '400 Bad Request'
    socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
  })
  const http2 = createHttp2({ maxHeaderListPairs: 200 }, (request, response) => {
    // The compatibility API is the same but for types: streams, headers, write, end.
    handle(request as unknown as IncomingMessage, response as unknown as ServerResponse)
  })
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true, keepAlive: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => sockets.delete(socket))
    sniff(socket, (isHttp2) => (isHttp2 ? http2 : http1).emit('connection', socket))
  })
  server.maxConnections = options.connectionsMax ?? limits.connectionsMax
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, options.host, () => resolve())
  })
  const { port } = server.address() as AddressInfo
  return {
    host: options.host,
    port,
    close: (graceMs) => closeGently(server, http1, sockets, graceMs),
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

/** Reads the first bytes and puts them back. A silent connection is closed as slow headers are. */
function sniff(socket: Socket, then: (isHttp2: boolean) => void): void {
  const timer = setTimeout(() => socket.destroy(), limits.headersTimeout)
  socket.once('close', () => clearTimeout(timer))
  socket.once('readable', () => {
    clearTimeout(timer)
    const first = socket.read() as Buffer | null
    if (first === null) return socket.destroy()
    socket.unshift(first)
    then(first.subarray(0, 3).toString('latin1') === 'PRI')
  })
}

async function closeGently(
  server: ReturnType<typeof createServer>,
  http1: ReturnType<typeof createHttp1>,
  sockets: ReadonlySet<Socket>,
  graceMs: number,
): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  http1.closeIdleConnections()
  const idle = setInterval(() => http1.closeIdleConnections(), 50)
  const timer = setTimeout(() => {
    for (const socket of sockets) socket.destroy()
  }, graceMs)
  await closed
  clearInterval(idle)
  clearTimeout(timer)
  http1.close()
}
