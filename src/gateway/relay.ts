/**
 * The three shapes of an answer: an error, one JSON document, a stream. Each ends the hold once.
 */
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib'
import { formatUsd } from '#core/money.ts'
import type { UpstreamFailure } from '#ports/upstream.ts'
import { costOf, presumed } from './cost.ts'
import {
  answerFailure,
  endCosted,
  endVoid,
  isRetryable,
  observeFailure,
  servedHeaders,
  type Underway,
} from './underway.ts'

/** Hears the answer as it comes. `ended` or `failed` is called once, last. */
export interface Relay {
  data(chunk: Uint8Array): void
  ended(): Promise<void>
  failed(failure: UpstreamFailure): Promise<void>
}

type Headers = Readonly<Record<string, string>>

const errorBytesMax = 64 * 1024

/** The provider's own refusal: not billed, passed through, marked as theirs. */
export function relayError(underway: Underway, status: number, headers: Headers): Relay {
  const {
    serving,
    attempt: { target },
    final,
  } = underway
  const chunks: Uint8Array[] = []
  let length = 0
  const close = async (): Promise<void> => {
    observeFailure(underway, status, 'the provider refused')
    const outcome = await endVoid(underway, `upstream ${status}`)
    const passOn = (): void => {
      const { client } = serving
      if (client.gone) return
      const secret = target.provider.credential?.reveal()
      const plain = plainBody(chunks, headers, errorBytesMax) ?? new Uint8Array(0)
      const body = withoutSecret(Buffer.from(plain), secret)
      // A redirect is not followed: our credential would follow it. Beyond 599 no status means
      // anything.
      const shown = status < 400 || status > 599 ? 502 : status
      client.start(shown, {
        ...servedHeaders(underway, outcome, headersWithout(headers, secret)),
        'bursar-origin': 'upstream',
        'content-length': String(body.byteLength),
      })
      client.write(body)
      client.end()
    }
    const again = !final && isRetryable(status) && !serving.client.gone
    if (!again) passOn()
    underway.finish(again ? { kind: 'failed', passOn } : { kind: 'answered', paid: false })
  }
  return {
    data: (chunk) => {
      length += chunk.byteLength
      if (length > errorBytesMax) return underway.exchange?.abort()
      chunks.push(chunk)
    },
    ended: close,
    failed: close,
  }
}

/** Some providers repeat the key they refuse. */
function withoutSecret(body: Buffer, secret: string | undefined): Buffer {
  if (secret === undefined || secret.length < 8 || !body.includes(secret)) return body
  return Buffer.from(body.toString('utf8').replaceAll(secret, '[redacted]'))
}

function headersWithout(headers: Headers, secret: string | undefined): Headers {
  if (secret === undefined) return headers
  return Object.fromEntries(Object.entries(headers).filter(([, value]) => !value.includes(secret)))
}

/** Read whole, settled, then answered: the headers say what it did cost. */
export function relayJson(underway: Underway, status: number, headers: Headers): Relay {
  const {
    serving,
    attempt,
    desk: { deps },
  } = underway
  const { client } = serving
  const chunks: Uint8Array[] = []
  let length = 0
  return {
    data: (chunk) => {
      length += chunk.byteLength
      if (length > deps.limits.answerBytesMax) return underway.exchange?.abort()
      chunks.push(chunk)
    },
    ended: async () => {
      const body = plainBody(chunks, headers, deps.limits.answerBytesMax)
      if (body === null) {
        await endCosted(underway, presumed(attempt, 'the answer cannot be unpacked'), status)
        const detail = 'an answer in an encoding nobody asked for'
        answerFailure(underway, { sent: true, reason: 'broken', detail })
        return underway.finish({ kind: 'answered', paid: true })
      }
      const report = serving.dialect.readUsage(serving.parsed, body)
      const costed = costOf(serving, attempt, report)
      const outcome = await endCosted(underway, costed, status)
      if (!client.gone) {
        const told = servedHeaders(underway, outcome, headers)
        told['bursar-cost-usd'] = formatUsd(costed.cost)
        told['content-length'] = String(body.byteLength)
        client.start(status, told)
        client.write(body)
        client.end()
      }
      underway.finish({ kind: 'answered', paid: true })
    },
    failed: async (failure) => {
      observeFailure(underway, status, `${failure.reason}: ${failure.detail}`)
      await endCosted(underway, presumed(attempt, `answer ${failure.reason}`), status)
      answerFailure(underway, failure)
      underway.finish({ kind: 'answered', paid: true })
    },
  }
}

/**
 * We ask for plain bytes. Where a provider packs them all the same they are unpacked, up to the
 * size an answer may have: a small one can be a bomb. Null: not readable.
 */
function plainBody(
  chunks: readonly Uint8Array[],
  headers: Headers,
  bytesMax: number,
): Uint8Array | null {
  const [only] = chunks
  const body = chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks)
  const encoding = headers['content-encoding'] ?? 'identity'
  if (encoding === 'identity') return body
  const unpack = unpackers.get(encoding.toLowerCase())
  if (unpack === undefined) return null
  try {
    return unpack(body, { maxOutputLength: bytesMax })
  } catch {
    return null
  }
}

type Unpack = (body: Uint8Array, options: { maxOutputLength: number }) => Buffer
// A map, not an object: an encoding called `toString` must not find what every object inherits.
const unpackers: ReadonlyMap<string, Unpack> = new Map<string, Unpack>([
  ['gzip', gunzipSync],
  ['deflate', inflateSync],
  ['br', brotliDecompressSync],
])

/** Passed on as it comes. The hold pays for all of it, so it is never cut for money. */
export function relayStream(underway: Underway, status: number, headers: Headers): Relay {
  const { serving, attempt, held } = underway
  const { client, dialect } = serving
  const meter = dialect.meterStream(serving.parsed)
  const { 'content-length': _, ...passed } = headers
  client.start(status, {
    ...servedHeaders(underway, held, passed),
    'bursar-cost-max-usd': formatUsd(attempt.hold.amount),
    'cache-control': 'no-cache',
    'x-accel-buffering': 'no',
  })
  const send = (bytes: Uint8Array): void => {
    if (client.gone || bytes.byteLength === 0 || client.write(bytes)) return
    underway.exchange?.pause()
    client.onDrain(() => underway.exchange?.resume())
  }
  return {
    data: (chunk) => send(meter.push(chunk)),
    ended: async () => {
      const { rest, report, complete } = meter.end()
      send(rest)
      // A stream that ends politely before its last event was cut all the same.
      const costed = complete
        ? costOf(serving, attempt, report)
        : presumed(attempt, 'the stream ended early', report)
      await endCosted(underway, costed, status)
      if (!client.gone) {
        const said = { call: serving.id, cost_usd: formatUsd(costed.cost) }
        client.write(Buffer.from(`: bursar ${JSON.stringify(said)}\n\n`))
        client.end()
      }
      underway.finish({ kind: 'answered', paid: true })
    },
    failed: async (failure) => {
      observeFailure(underway, status, `${failure.reason}: ${failure.detail}`)
      const { report, complete } = meter.end()
      const costed = complete
        ? costOf(serving, attempt, report)
        : presumed(attempt, `stream ${failure.reason}`, report)
      await endCosted(underway, costed, status)
      client.destroy()
      underway.finish({ kind: 'answered', paid: true })
    },
  }
}
