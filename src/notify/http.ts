/** One POST of an alert, bounded in time, and what came of it in words that hold no secret. */
import { request } from 'undici'
import type { Failure } from '#core/delivery.ts'
import { plain } from '#core/alert-text.ts'
import type { Secret } from '#core/snapshot.ts'
import type { Clock } from '#ports/clock.ts'

export interface Post {
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body: string
  /** What must not be repeated, whoever repeats it. */
  readonly secrets: readonly Secret[]
}

export interface Answer {
  readonly status: number
  /** Its beginning, as it came. */
  readonly text: string
  /** The same for people: one short line, without what is secret. */
  readonly shown: string
  readonly retryAfterMs: number | null
}

const timeoutMs = 10_000
const answerBytesMax = 16_384

/** The answer, or the failure to get one. Redirects are answers: nothing is followed. */
export async function post(
  { url, headers = {}, body, secrets }: Post,
  clock: Clock,
): Promise<Answer | Failure> {
  try {
    const answer = await request(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'user-agent': 'bursar', ...headers },
      body,
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      signal: AbortSignal.timeout(timeoutMs * 2),
    })
    const text = await beginningOf(answer.body)
    return {
      status: answer.statusCode,
      text,
      shown: plain(`${answer.statusCode} ${withoutSecrets(text, secrets)}`, 200),
      retryAfterMs: retryAfter(answer.headers['retry-after'], clock),
    }
  } catch (error) {
    // The URL may hold a token: the error's own text, which may repeat it, is not kept.
    return passing(`could not be reached (${codeOf(error)})`)
  }
}

export const isAnswer = (one: Answer | Failure): one is Answer => 'status' in one

/** Trying again may help. */
export function passing(reason: string, retryAfterMs: number | null = null): Failure {
  return { reason, retryAfterMs, lasting: null }
}

/** What a status says where a receiver says no more than that. */
export function failureOf({ status, shown, retryAfterMs }: Answer): Failure {
  return { reason: `the receiver answered ${shown}`, retryAfterMs, lasting: lastingOf(status) }
}

function lastingOf(status: number): Failure['lasting'] {
  if (status === 400 || status === 413 || status === 422) return 'message'
  const isPassing = status === 408 || status === 425 || status === 429
  return status >= 300 && status < 500 && !isPassing ? 'channel' : null
}

async function beginningOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of body) {
    chunks.push(chunk)
    length += chunk.byteLength
    if (length >= answerBytesMax) break
  }
  return Buffer.concat(chunks).toString('utf8', 0, answerBytesMax)
}

/** Seconds, or a date of HTTP; null: neither. */
function retryAfter(header: string | string[] | undefined, clock: Clock): number | null {
  if (typeof header !== 'string') return null
  const seconds = Number(header)
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - clock.now()
  return Number.isFinite(ms) && ms > 0 ? Math.ceil(ms) : null
}

/** A receiver may repeat what it was sent, as it is or in the forms that it travels in. */
export function withoutSecrets(text: string, secrets: readonly Secret[]): string {
  let clean = text
  for (const one of secrets) {
    for (const form of formsOf(one.reveal())) clean = clean.replaceAll(form, '[redacted]')
  }
  return clean
}

function formsOf(value: string): readonly string[] {
  const parts = [value]
  if (URL.canParse(value)) {
    const { pathname, search, username, password } = new URL(value)
    parts.push(pathname + search, pathname, search.slice(1), username, password)
    parts.push(decoded(username), decoded(password))
    // As a mail server is told it.
    if (password !== '') parts.push(`\0${decoded(username)}\0${decoded(password)}`)
    for (const part of [...pathname.split('/'), ...search.slice(1).split(/[&=]/)]) {
      // A word of a path is no secret; what is long enough to be one is.
      if (part.length >= 8) parts.push(part)
    }
  }
  const long = parts.filter((part) => part.length >= 4)
  const forms = long.flatMap((part) => [
    part,
    encodeURIComponent(part),
    Buffer.from(part).toString('base64').replace(/=+$/, ''),
  ])
  // The longest first: a part must not leave the rest of the whole standing.
  return [...new Set(forms)].sort((a, b) => b.length - a.length)
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (/^[A-Z][A-Z0-9_]{2,40}$/.test(code)) return code
  const isTimeout = error instanceof Error && error.name === 'TimeoutError'
  return isTimeout ? 'no answer in time' : 'unreachable'
}
