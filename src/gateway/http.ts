/** Node's request and response as the ports see them, and the door that every request comes by. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Refusal, RefusalCode } from '#core/refusal.ts'
import type { Client, ClientRequest } from '#ports/client.ts'
import { isCodex } from '#wire/claims.ts'
import type { DialectName } from '#wire/dialect.ts'
import { dialectOf } from '#wire/dialects.ts'
import { matchEndpoint } from '#wire/routes.ts'
import { answerBudget, answerModels } from './about.ts'
import { plainRefusal } from './refusals.ts'
import { type Desk, newCallId, refuse, serveCall } from './serve.ts'

/** Calls under way, for a clean stop. */
export interface Traffic {
  inFlight: number
  stopping: boolean
}

/** Two readers of a request could each take another of these for the one that counts. */
const single = ['host', 'content-type', 'content-encoding', 'content-length', 'idempotency-key']

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
  const client = clientOf(response)
  const matched = matchEndpoint(method, target)
  const no = (code: RefusalCode, message: string, dialect: DialectName = 'openai'): void =>
    refuse(desk.deps, dialectOf(dialect), client, refusal(desk, headers, code, message))

  switch (matched.kind) {
    case 'bad_target':
      return no('invalid_request', 'This path is not in its plain form.')
    case 'credential_in_url':
      return no('invalid_key', 'A key in the URL ends up in logs: send it in a header.')
    case 'not_found':
      return no('not_found', `Bursar does not serve ${method} ${target.split('?')[0]}.`)
    case 'models':
      return answerModels(desk, callerDialect(headers, matched.dialect), headers, client)
    case 'budget':
      return answerBudget(desk, headers, client)
    case 'endpoint':
      break
  }
  const { endpoint } = matched
  if (traffic.stopping) return no('overloaded', 'Bursar is stopping.', endpoint.dialect)
  const twice = single.find((name) => (headers[name]?.length ?? 0) > 1)
  if (twice !== undefined) {
    return no('invalid_request', `Header ${twice} is sent twice.`, endpoint.dialect)
  }
  const encoding = headers['content-encoding']?.[0] ?? 'identity'
  const type = headers['content-type']?.[0] ?? ''
  if (encoding !== 'identity' || type.startsWith('multipart/')) {
    const message = 'Send the body as plain JSON, neither compressed nor multipart.'
    return no('unsupported_encoding', message, endpoint.dialect)
  }
  const body = await readBody(request, desk.deps.limits.bodyBytesMax)
  if (body === 'gone') return
  if (body === 'too_large') {
    const limit = `${desk.deps.limits.bodyBytesMax / 1024 / 1024} MiB`
    response.once('finish', () => request.destroy())
    return no('too_large', `The body is larger than ${limit}.`, endpoint.dialect)
  }
  traffic.inFlight += 1
  try {
    await serveCall(desk, endpoint, { method, target, headers, body }, client)
  } catch (error) {
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error)
    desk.deps.observe({ kind: 'unexpected', where: 'serving a call', reason })
    if (response.headersSent) client.destroy()
    else no('overloaded', 'Something unexpected happened in the gateway.', endpoint.dialect)
  } finally {
    traffic.inFlight -= 1
  }
}

/** `/v1/models` is one path for all: the caller's own headers tell which of them it is. */
function callerDialect(headers: ClientRequest['headers'], byPath: DialectName): DialectName {
  if (headers['anthropic-version'] !== undefined) return 'anthropic'
  return headers['x-goog-api-key'] === undefined ? byPath : 'google'
}

function refusal(
  desk: Desk,
  headers: ClientRequest['headers'],
  code: RefusalCode,
  message: string,
): Refusal {
  const frame = { callId: newCallId(desk.deps), codex: isCodex(headers) }
  const retryAfterMs = code === 'overloaded' ? 2000 : null
  return plainRefusal(frame, code, message, { retryAfterMs })
}

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

export function readBody(
  request: IncomingMessage,
  bytesMax: number,
): Promise<Uint8Array | 'too_large' | 'gone'> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let length = 0
    request.on('data', (chunk: Buffer) => {
      length += chunk.byteLength
      if (length > bytesMax) {
        request.pause()
        resolve('too_large')
      } else chunks.push(chunk)
    })
    request.once('end', () => {
      const [only] = chunks
      resolve(chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks))
    })
    request.once('error', () => resolve('gone'))
    request.once('close', () => resolve('gone'))
  })
}

export function clientOf(response: ServerResponse): Client {
  let gone = false
  let complete = false
  const listeners: (() => void)[] = []
  response.on('error', () => {})
  response.once('close', () => {
    gone = !complete && !response.writableFinished
    if (gone) for (const listener of listeners) listener()
  })
  return {
    get gone() {
      return gone
    },
    start: (status, headers) => {
      if (!gone) response.writeHead(status, headers as Record<string, string>)
    },
    write: (chunk) => gone || response.write(chunk),
    end: () => {
      complete = true
      response.end()
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
