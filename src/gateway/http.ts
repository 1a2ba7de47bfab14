/** The door that every request comes by: what is too much, ambiguous or not ours ends here. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { RefusalCode } from '#core/refusal.ts'
import type { Client, ClientRequest } from '#ports/client.ts'
import { isCodex } from '#wire/claims.ts'
import type { DialectName, Endpoint } from '#wire/dialect.ts'
import { dialectOf } from '#wire/dialects.ts'
import { matchEndpoint } from '#wire/routes.ts'
import { answerBudget, answerModels } from './about.ts'
import { credentialOf, type IdentityProblem, usableKey } from './identify.ts'
import { type Intake, stranger, type TooMuch } from './intake.ts'
import type { Opening, PlainDoor } from './plain-http.ts'
import { receiveOtlp } from './otlp.ts'
import { clientOf, headersOf, readBody } from './node-http.ts'
import { plainRefusal } from './refusals.ts'
import { type Desk, newCallId, refuse, serveCall } from './serve.ts'

/** What is taken in, and whether anything still is. */
export interface Traffic {
  readonly intake: Intake
  stopping: boolean
}

/** Two readers of a request could each take another of these for the one that counts. */
const single = ['host', 'content-type', 'content-encoding', 'content-length', 'idempotency-key']
const idempotencyKeyMax = 255

/** What makes a request ambiguous before a byte of its body is read, or null. */
function ambiguityOf(request: IncomingMessage, headers: ClientRequest['headers']): string | null {
  const unclear = unclearHeader(headers)
  if (unclear !== null) return unclear
  if (request.httpVersionMajor === 0 || request.httpVersion.startsWith('2.') !== isHttp2(request)) {
    return `HTTP/${request.httpVersion} is not served here.`
  }
  const coding = headers['transfer-encoding']
  const chunked = coding?.length === 1 && coding[0]?.toLowerCase() === 'chunked'
  if (coding !== undefined && (!chunked || request.httpVersionMinor === 0)) {
    return 'The only transfer encoding is chunked, in HTTP/1.1.'
  }
  return null
}

function unclearHeader(headers: ClientRequest['headers']): string | null {
  const twice = single.find((name) => (headers[name]?.length ?? 0) > 1)
  if (twice !== undefined) return `Header ${twice} is sent twice.`
  // HTTP/2 names it otherwise, and nothing here is decided by it: a hostile one is only refused.
  const host = headers.host?.[0]
  if (host !== undefined && !/^[\w.:[\]-]*$/.test(host)) return 'The host is not a host name.'
  const again = headers['idempotency-key']?.[0] ?? ''
  return again.length > idempotencyKeyMax
    ? `Header idempotency-key is longer than ${idempotencyKeyMax} characters.`
    : null
}

const isHttp2 = (request: IncomingMessage): boolean => 'stream' in request

/** Serves the data plane. Paths that are not its own are answered 404 and reach no provider. */
export async function handleData(
  desk: Desk,
  traffic: Traffic,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const headers = headersOf(request)
  const target = request.url ?? '/'
  const method = request.method ?? 'GET'
  const client = clientOf(response, desk.deps.limits.stalledMs)
  const matched = matchEndpoint(method, target)
  const no = (code: RefusalCode, message: string): void =>
    turnAway(desk, 'openai', headers, client, code, message)

  switch (matched.kind) {
    case 'bad_target':
      return no('invalid_request', 'This path is not in its plain form.')
    case 'credential_in_url':
      return no('invalid_key', 'A key in the URL ends up in logs: send it in a header.')
    case 'not_found':
      return no('not_found', `Bursar does not serve ${method} ${withoutKey(target)}.`)
    case 'models':
      return answerModels(desk, callerDialect(headers, matched.dialect), headers, client)
    case 'budget':
      return answerBudget(desk, headers, client)
    case 'telemetry': {
      const ambiguous = ambiguityOf(request, headers)
      if (ambiguous === null) {
        const { signal } = matched
        return receiveOtlp(desk.deps, traffic, { request, response, headers, signal })
      }
      response.shouldKeepAlive = false
      return no('invalid_request', ambiguous)
    }
    case 'endpoint':
      return receiveCall(desk, traffic, { request, response, headers, client }, matched.endpoint)
  }
}

/** The path, for a person to find what is wrong with it; some put their key there. */
function withoutKey(target: string): string {
  const [path = ''] = target.split('?')
  return path.slice(0, 200).replace(/vk_[^/]*/g, 'vk_...')
}

interface Arrived {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly headers: ClientRequest['headers']
  readonly client: Client
}

/** From the headers of a call to its whole body: what is ambiguous or too much is not read. */
async function receiveCall(
  desk: Desk,
  traffic: Traffic,
  { request, response, headers, client }: Arrived,
  endpoint: Endpoint,
): Promise<void> {
  const { bodyBytesMax } = desk.deps.limits
  const no = (code: RefusalCode, message: string): void =>
    turnAway(desk, endpoint.dialect, headers, client, code, message)
  const noMore = (code: RefusalCode, message: string): void => {
    // Where this request ends is in doubt or far off: its connection is not used again.
    response.shouldKeepAlive = false
    response.once('finish', () => request.destroy())
    no(code, message)
  }

  if (traffic.stopping) return no('overloaded', 'Bursar is stopping.')
  const caller = callerOf(desk, headers)
  const why = traffic.intake.tooMuch(caller)
  if (why !== null) return noMore(...tooMuch[why])
  const ambiguous = ambiguityOf(request, headers)
  if (ambiguous !== null) return noMore('invalid_request', ambiguous)
  if (!isPlainJson(headers)) {
    const message = 'Send the body as plain JSON, neither compressed nor multipart.'
    return noMore('unsupported_encoding', message)
  }
  const refused = strangerWithMuch(desk, headers)
  if (refused !== null) return noMore(refused.code, refused.message)
  let taken = 0
  const hasRoom = (bytes: number): boolean => {
    if (!traffic.intake.takeBytes(caller, bytes)) return false
    taken += bytes
    return true
  }
  try {
    const body = await readBody(request, bodyBytesMax, hasRoom)
    if (body === 'gone') return
    if (body === 'no_room') return noMore(...tooMuch.bodies_full)
    if (body === 'too_large') {
      return noMore('too_large', `The body is larger than ${bodyBytesMax / 1024 / 1024} MiB.`)
    }
    const { method = 'GET', url: target = '/' } = request
    const opening = { endpoint, caller }
    await serveSafely(desk, traffic, opening, { method, target, headers, body }, client)
  } finally {
    traffic.intake.giveBytes(caller, taken)
  }
}

function isPlainJson(headers: ClientRequest['headers']): boolean {
  const encoding = headers['content-encoding']?.[0] ?? 'identity'
  return encoding === 'identity' && !/^multipart\//i.test(headers['content-type']?.[0] ?? '')
}

/** How each of them is said. A caller who takes too much is told so, and not that we are slow. */
const tooMuch: Readonly<Record<TooMuch, readonly [RefusalCode, string]>> = {
  full: ['overloaded', 'As many calls as Bursar takes are under way, so this one was not sent.'],
  key_full: [
    'rate_limited',
    'As many calls as one key may have are under way, so this one was not sent.',
  ],
  bodies_full: ['overloaded', 'Bursar holds as much of requests as it takes: this was not sent.'],
  late: ['overloaded', 'More calls arrive than Bursar can begin, so this one was not sent.'],
}

/** The key's id, or `stranger`. */
function callerOf({ deps }: Desk, headers: ClientRequest['headers']): string {
  const secret = credentialOf(headers)
  return (secret.ok ? deps.findKey(secret.value)?.id : undefined) ?? stranger
}

/** Resolves when nothing of the call is left to do, with why it was not taken, if it was not. */
function serveSafely(
  desk: Desk,
  { intake }: Traffic,
  { endpoint, caller }: Opening,
  request: ClientRequest,
  client: Client,
): Promise<TooMuch | null> {
  const { headers } = request
  return new Promise((done) => {
    const begin = (): void => {
      void serveBegun(desk, endpoint, request, client).finally(() => {
        intake.leave(caller)
        done(null)
      })
    }
    intake.enter(caller, begin, (why) => {
      turnAway(desk, endpoint.dialect, headers, client, ...tooMuch[why])
      done(why)
    })
  })
}

/** A call that throws is a bug: it is told, and its caller is not left waiting. */
async function serveBegun(
  desk: Desk,
  endpoint: Endpoint,
  request: ClientRequest,
  client: Client,
): Promise<void> {
  // It may have waited for its turn longer than its caller did.
  if (client.gone) return
  try {
    await serveCall(desk, endpoint, request, client)
  } catch (error) {
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error)
    desk.deps.observe({ kind: 'unexpected', where: 'serving a call', reason })
    if (client.started) client.destroy()
    else {
      const message = 'Something unexpected happened in the gateway.'
      turnAway(desk, endpoint.dialect, request.headers, client, 'overloaded', message)
    }
  }
}

/** Calls that need no closer look: what `handleData` would refuse is left to it. */
export function plainDoor(desk: Desk, traffic: Traffic): PlainDoor {
  const { bodyBytesMax, stalledMs } = desk.deps.limits
  return {
    // What is read before anybody is asked who calls.
    bodyBytesMax: Math.min(strangerBytesMax, bodyBytesMax),
    stalledMs,
    takeBytes: (caller, bytes) => traffic.intake.takeBytes(caller, bytes),
    giveBytes: (caller, bytes) => traffic.intake.giveBytes(caller, bytes),
    open: ({ target, headers }) => {
      if (traffic.stopping || unclearHeader(headers) !== null || !isPlainJson(headers)) return null
      const matched = matchEndpoint('POST', target)
      if (matched.kind !== 'endpoint') return null
      return { endpoint: matched.endpoint, caller: callerOf(desk, headers) }
    },
    serve: async (opening, request, client) => {
      const { intake } = traffic
      const { endpoint, caller } = opening
      const { byteLength } = request.body
      if (!intake.takeBytes(caller, byteLength)) {
        turnAway(desk, endpoint.dialect, request.headers, client, ...tooMuch.bodies_full)
        return restMs(desk)
      }
      const why = await serveSafely(desk, traffic, opening, request, client)
      intake.giveBytes(caller, byteLength)
      return why === null ? 0 : restMs(desk)
    },
  }
}

/** About what they are told to wait who are too many, and not all of them equally long. */
const restMs = ({ deps }: Desk): number => 1000 + 1000 * deps.chance.fraction()

/** More than this is read only from a caller we know: memory is not for strangers to fill. */
const strangerBytesMax = 64 * 1024

function strangerWithMuch(
  { deps }: Desk,
  headers: ClientRequest['headers'],
): IdentityProblem | null {
  const declared = headers['content-length']?.[0]
  // A small body is read first and its caller looked up once, as every call's is.
  if (declared !== undefined && Number(declared) <= strangerBytesMax) return null
  const secret = credentialOf(headers)
  if (!secret.ok) return secret.problem
  const key = usableKey(deps.findKey(secret.value), deps.clock.now())
  return key.ok ? null : key.problem
}

/** `/v1/models` is one path for all: the caller's own headers tell which of them it is. */
function callerDialect(headers: ClientRequest['headers'], byPath: DialectName): DialectName {
  if (headers['anthropic-version'] !== undefined) return 'anthropic'
  return headers['x-goog-api-key'] === undefined ? byPath : 'google'
}

/** Refuses what never became a call. */
function turnAway(
  { deps }: Desk,
  dialect: DialectName,
  headers: ClientRequest['headers'],
  client: Client,
  code: RefusalCode,
  message: string,
): void {
  const frame = { callId: newCallId(deps), codex: isCodex(headers) }
  const retryAfterMs = code === 'overloaded' ? 2000 : code === 'rate_limited' ? 1000 : null
  refuse(deps, dialectOf(dialect), client, plainRefusal(frame, code, message, { retryAfterMs }))
}
