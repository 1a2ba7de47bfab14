/** Bytes on a socket, exactly as written: what no HTTP client would agree to send. */
import { connect, type Socket } from 'node:net'

export interface RawAnswer {
  /** Status of each answer on the connection, in order. */
  readonly statuses: readonly number[]
  readonly text: string
  /** True where the server closed the connection; false where it was still open at the end. */
  readonly closed: boolean
}

export interface RawOptions {
  /** How long a server that neither answers nor closes is waited for. */
  readonly waitMs?: number
  /** Answers after which we stop waiting and close the connection ourselves. */
  readonly answers?: number
}

/** Sends `bytes` and reads until the server closes, has given `answers`, or says nothing more. */
export function raw(
  url: string,
  bytes: string | Uint8Array,
  options: RawOptions = {},
): Promise<RawAnswer> {
  const { waitMs = 1000, answers = Number.POSITIVE_INFINITY } = options
  return new Promise((resolve) => {
    let text = ''
    const socket = open(url)
    const finish = (closed: boolean): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve({ statuses: statusesOf(text), text, closed })
    }
    const timer = setTimeout(() => finish(false), waitMs)
    socket.on('connect', () => {
      socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
    })
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      if (statusesOf(text).length >= answers && isWhole(text)) finish(false)
    })
    socket.on('error', () => {})
    socket.on('close', () => finish(true))
  })
}

export function open(url: string): Socket {
  const { hostname, port } = new URL(url)
  return connect({ host: hostname, port: Number(port), noDelay: true })
}

/** A body is JSON or text of ours here, so a status line can only stand where an answer begins. */
export function statusesOf(text: string): readonly number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d{3}) [^\r\n]*\r\n/g)].map(([, status]) => Number(status))
}

/** The last answer has all the bytes that its content-length promised. */
function isWhole(text: string): boolean {
  const head = text.lastIndexOf('HTTP/1.1 ')
  const end = text.indexOf('\r\n\r\n', head)
  if (end === -1) return false
  const length = /\r\ncontent-length: (\d+)/i.exec(text.slice(head, end))?.[1]
  return length === undefined || text.length - end - 4 >= Number(length)
}

/** A request line, headers and a body, with nothing added. */
export function requestText(
  line: string,
  headers: readonly string[],
  body = '',
  ending = '\r\n',
): string {
  return [line, ...headers, '', body].join(ending)
}
