/** `bursar-sim`: what the caller wants to go wrong. `tokens=4000; delay=800; cut=after:30`. */
import { failed, type Result, succeeded } from '#lib/result.ts'

export interface Directives {
  /** Output tokens to make, before the caller's own cap. */
  readonly tokens: number | null
  /** Input tokens to report, whatever the prompt. */
  readonly input: number | null
  /** Chunks to stream the answer in. */
  readonly chunks: number | null
  readonly delayMs: number | null
  readonly paceMs: number | null
  readonly status: number | null
  /** How often the fault happens for this request before it succeeds; null: always. */
  readonly times: number | null
  /** Chunks after which the connection breaks. */
  readonly cutAfter: number | null
  readonly usageMissing: boolean
  readonly gzip: boolean
  /** Output tokens billed beyond the cap. */
  readonly overbill: number
  readonly reset: boolean
  readonly hang: boolean
  readonly malformed: boolean
  readonly tier: string | null
}

const none: Directives = {
  tokens: null,
  input: null,
  chunks: null,
  delayMs: null,
  paceMs: null,
  status: null,
  times: null,
  cutAfter: null,
  usageMissing: false,
  gzip: false,
  overbill: 0,
  reset: false,
  hang: false,
  malformed: false,
  tier: null,
}

const known =
  'tokens, input, chunks, delay, pace, status, times, cut=after:N, usage=missing, ' +
  'gzip=1, overbill, reset=1, hang=1, malformed=1, tier'

export function parseDirectives(header: string | undefined): Result<Directives, string> {
  let out = none
  for (const part of (header ?? '').split(';').map((one) => one.trim())) {
    if (part === '') continue
    const [name = '', value = ''] = part.split('=').map((one) => one.trim())
    const next = applied(out, name, value)
    if (next === null) return failed(`bursar-sim does not know "${part}"; it knows: ${known}`)
    out = next
  }
  return succeeded(out)
}

function applied(out: Directives, name: string, value: string): Directives | null {
  const number = /^\d{1,9}$/.test(value) ? Number(value) : null
  switch (name) {
    case 'usage':
      return value === 'missing' ? { ...out, usageMissing: true } : null
    case 'tier':
      return { ...out, tier: value }
    case 'cut': {
      const after = /^after:(\d{1,9})$/.exec(value)
      return after === null ? null : { ...out, cutAfter: Number(after[1]) }
    }
  }
  if (number === null) return null
  switch (name) {
    case 'tokens':
      return { ...out, tokens: number }
    case 'input':
      return { ...out, input: number }
    case 'chunks':
      return { ...out, chunks: number }
    case 'delay':
      return { ...out, delayMs: number }
    case 'pace':
      return { ...out, paceMs: number }
    case 'status':
      return number >= 300 && number <= 599 ? { ...out, status: number } : null
    case 'times':
      return { ...out, times: number }
    case 'overbill':
      return { ...out, overbill: number }
    case 'gzip':
      return { ...out, gzip: number === 1 }
    case 'reset':
      return { ...out, reset: number === 1 }
    case 'hang':
      return { ...out, hang: number === 1 }
    case 'malformed':
      return { ...out, malformed: number === 1 }
    default:
      return null
  }
}

export function isFault(d: Directives): boolean {
  return d.status !== null || d.reset || d.hang || d.malformed || d.cutAfter !== null
}
