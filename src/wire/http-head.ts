/**
 * The head of a plain HTTP/1.1 request, and of nothing else: one that every reader of HTTP reads
 * the same way. Whatever is unusual is left to a full parser.
 */

export interface PlainHead {
  readonly target: string
  /** Lower-case names, every value, in order. */
  readonly headers: Readonly<Record<string, readonly string[]>>
  /** Where the body starts in the bytes, and how long it is. */
  readonly bodyStart: number
  readonly bodyLength: number
}

const headBytesMax = 16 * 1024
const headersMax = 100
const requestLine = /^POST (\/[!-~]*) HTTP\/1\.1$/
const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const visible = /^[\x20-\x7e]*$/
const blankLine = Buffer.from('\r\n\r\n')
/** Headers by which a body ends elsewhere, or a connection becomes something else. */
const unusual = ['transfer-encoding', 'expect', 'upgrade', 'trailer', 'te', 'proxy-connection']

/** Null: not plain, or not whole. `bytes` begin where the request does. */
export function plainHead(bytes: Buffer, bodyBytesMax: number): PlainHead | null {
  if (bytes[0] !== 0x50) return null
  const end = bytes.indexOf(blankLine)
  if (end === -1 || end > headBytesMax) return null
  const lines = bytes.toString('latin1', 0, end).split('\r\n')
  const target = requestLine.exec(lines[0] ?? '')?.[1]
  if (target === undefined || lines.length > headersMax) return null
  const headers: Record<string, string[]> = Object.create(null)
  for (let i = 1; i < lines.length; i += 1) {
    const line = lines[i] ?? ''
    const colon = line.indexOf(':')
    const name = line.slice(0, Math.max(0, colon)).toLowerCase()
    if (!token.test(name) || !visible.test(line)) return null
    const value = line.slice(colon + 1).trim()
    const known = headers[name]
    if (known === undefined) headers[name] = [value]
    else known.push(value)
  }
  const bodyLength = lengthOf(headers)
  if (bodyLength === null || bodyLength > bodyBytesMax || !isPlain(headers)) return null
  return { target, headers, bodyStart: end + blankLine.length, bodyLength }
}

function lengthOf(headers: PlainHead['headers']): number | null {
  const [length, second] = headers['content-length'] ?? []
  if (length === undefined || second !== undefined || !/^(0|[1-9]\d{0,7})$/.test(length))
    return null
  return Number(length)
}

function isPlain(headers: PlainHead['headers']): boolean {
  if (headers.host?.length !== 1) return false
  const connection = headers.connection
  if (connection !== undefined) {
    if (connection.length > 1 || connection[0]?.toLowerCase() !== 'keep-alive') return false
  }
  return unusual.every((name) => headers[name] === undefined)
}
