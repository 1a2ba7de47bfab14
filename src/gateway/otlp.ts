/**
 * OTLP over HTTP: telemetry of calls that did not pass here. JSON or protobuf, plain or gzip; the
 * answer is in the encoding of the request, as the specification asks.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { StoreUnavailable } from '#ports/store.ts'
import type { ClientRequest } from '#ports/client.ts'
import { type HeaderClaims, readHeaderClaims } from '#wire/claims.ts'
import { decodeJson } from '#wire/otlp-json.ts'
import { decodeProto, encodeStatus, encodeTaken } from '#wire/otlp-proto.ts'
import { type Decoded, recordsMax, type Signal } from '#wire/telemetry.ts'
import type { VirtualKey } from '#core/key.ts'
import { failed, type Result, succeeded } from '#lib/result.ts'
import type { GatewayDeps } from './deps.ts'
import { credentialOf, usableKey } from './identify.ts'
import type { Intake } from './intake.ts'
import { readBody } from './node-http.ts'
import { observe } from './observe.ts'

export interface OtlpRequest {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly headers: ClientRequest['headers']
  /** Metrics are taken and not kept: they cannot tell one call from another. */
  readonly signal: Signal | 'metrics'
}

/** As sent, and unpacked. */
const sentBytesMax = 4 * 1024 * 1024
const bytesMax = 16 * 1024 * 1024
const unpack = promisify(gunzip)

/** HTTP status, what it is as `google.rpc.Code`, and a sentence. */
interface Refused {
  readonly status: 400 | 401 | 413 | 415 | 429 | 503
  readonly message: string
}

const rpcCodes = { 400: 3, 401: 16, 413: 8, 415: 3, 429: 8, 503: 14 } as const

interface Taken {
  readonly rejected: number
  readonly message: string
}

export async function receiveOtlp(
  deps: GatewayDeps,
  traffic: { readonly intake: Intake; readonly stopping: boolean },
  asked: OtlpRequest,
): Promise<void> {
  const { request, response, headers } = asked
  const isProto = /^application\/x-protobuf\b/i.test(headers['content-type']?.[0] ?? '')
  let taken = 0
  const caller = known(deps, headers)
  const who = caller.ok ? caller.value.key.id : 'stranger'
  const hasRoom = (bytes: number): boolean => {
    if (!traffic.intake.takeBytes(who, bytes)) return false
    taken += bytes
    return true
  }
  try {
    const done = traffic.stopping
      ? refused(503, 'Bursar is stopping: send it again.')
      : caller.ok
        ? await take(deps, asked, { ...caller.value, isProto, hasRoom })
        : caller
    if (response.destroyed) return
    if (!done.ok && !request.complete) {
      // Its end is far off: the connection is not used again.
      response.shouldKeepAlive = false
      response.once('finish', () => request.destroy())
    }
    answer(response, isProto, asked.signal, done)
  } catch (error) {
    const away = error instanceof StoreUnavailable
    if (!away) {
      const reason = error instanceof Error ? (error.stack ?? error.message) : String(error)
      deps.observe({ kind: 'unexpected', where: 'taking telemetry', reason })
    }
    const message = 'It could not be kept now: send it again.'
    answer(response, isProto, asked.signal, refused(503, message))
  } finally {
    traffic.intake.giveBytes(who, taken)
  }
}

const refused = (status: Refused['status'], message: string): Result<never, Refused> =>
  failed({ status, message })

interface Caller {
  readonly key: VirtualKey
  readonly claims: HeaderClaims
}

function known(deps: GatewayDeps, headers: ClientRequest['headers']): Result<Caller, Refused> {
  const secret = credentialOf(headers)
  if (!secret.ok) return refused(401, secret.problem.message)
  const key = usableKey(deps.findKey(secret.value), deps.clock.now())
  if (!key.ok) return refused(401, key.problem.message)
  const claims = readHeaderClaims(headers)
  if (!claims.ok) return refused(400, claims.problem.message)
  return succeeded({ key: key.value, claims: claims.value })
}

type Known = Caller & {
  readonly isProto: boolean
  readonly hasRoom: (bytes: number) => boolean
}

async function take(
  deps: GatewayDeps,
  { request, headers, signal }: OtlpRequest,
  { key, claims, isProto, hasRoom }: Known,
): Promise<Result<Taken, Refused>> {
  const type = headers['content-type']?.[0] ?? ''
  if (!isProto && !/^application\/json\b/i.test(type)) {
    return refused(415, 'Send application/x-protobuf or application/json.')
  }
  const encoding = headers['content-encoding']?.[0] ?? 'identity'
  if (encoding !== 'identity' && encoding !== 'gzip') {
    return refused(415, `Send it plain or as gzip, not as ${encoding.slice(0, 40)}.`)
  }
  const sent = await readBody(request, sentBytesMax, hasRoom)
  if (sent === 'gone') return refused(400, 'The body ended early.')
  if (sent === 'no_room') return refused(429, 'More than Bursar holds at once: send it again.')
  if (sent === 'too_large') return refused(413, 'The body is larger than 4 MiB: send less at once.')
  const body = encoding === 'gzip' ? await unpacked(sent, hasRoom) : succeeded(sent)
  if (!body.ok) return body
  if (signal === 'metrics') return succeeded({ rejected: 0, message: '' })
  const decoded = decode(signal, body.value, isProto)
  if (!decoded.ok) return refused(400, `${decoded.problem}.`)
  const { records, left } = decoded.value
  const snapshot = deps.snapshot()
  const told = observe(records, { snapshot, key, headers: claims, now: deps.clock.now() })
  if (told.calls.length > 0) await deps.store.observe(told.calls)
  const beyond = left === 0 ? '' : `only the first ${recordsMax} records of a request are read`
  return succeeded({
    rejected: told.rejected + left,
    message: [told.message, beyond].filter((part) => part !== '').join('; '),
  })
}

function decode(signal: Signal, body: Uint8Array, isProto: boolean): Result<Decoded, string> {
  return isProto
    ? decodeProto(signal, body)
    : decodeJson(signal, Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString())
}

async function unpacked(
  sent: Uint8Array,
  hasRoom: (bytes: number) => boolean,
): Promise<Result<Uint8Array, Refused>> {
  const whole = await unpack(sent, { maxOutputLength: bytesMax }).catch((error: unknown) => {
    const code = error instanceof Error && 'code' in error ? error.code : null
    return code === 'ERR_BUFFER_TOO_LARGE' ? ('too_large' as const) : null
  })
  if (whole === null) return refused(400, 'The body is not gzip.')
  if (whole === 'too_large') return refused(413, 'The body unpacks to more than 16 MiB.')
  if (!hasRoom(whole.byteLength)) return refused(429, 'More than Bursar holds at once.')
  return succeeded(whole)
}

const rejectedName = {
  traces: 'rejectedSpans',
  logs: 'rejectedLogRecords',
  metrics: 'rejectedDataPoints',
} as const

function answer(
  response: ServerResponse,
  isProto: boolean,
  signal: OtlpRequest['signal'],
  done: Result<Taken, Refused>,
): void {
  if (response.headersSent) return
  const status = done.ok ? 200 : done.problem.status
  const body = isProto ? protoAnswer(done) : Buffer.from(JSON.stringify(jsonAnswer(signal, done)))
  response.writeHead(status, {
    'content-type': isProto ? 'application/x-protobuf' : 'application/json',
    'content-length': body.byteLength,
    ...(status === 429 || status === 503 ? { 'retry-after': '5' } : {}),
  })
  response.end(body)
}

function protoAnswer(done: Result<Taken, Refused>): Uint8Array {
  if (done.ok) return encodeTaken(done.value.rejected, done.value.message)
  return encodeStatus(rpcCodes[done.problem.status], done.problem.message)
}

/** In OTLP's JSON a 64-bit number is a string. */
function jsonAnswer(signal: OtlpRequest['signal'], done: Result<Taken, Refused>): unknown {
  if (!done.ok) return { code: rpcCodes[done.problem.status], message: done.problem.message }
  const { rejected, message } = done.value
  if (rejected === 0 && message === '') return {}
  return {
    partialSuccess: { [rejectedName[signal]]: String(rejected), errorMessage: message },
  }
}
