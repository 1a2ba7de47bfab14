/** Our own answers in each dialect, in the shapes that real clients read without retrying. */
import { formatPercent } from '#core/money.ts'
import { type Refusal, refusalCodes } from '#core/refusal.ts'
import { toIso } from '#core/time.ts'
import type { DialectName, RefusalAnswer } from './dialect.ts'

const docs = 'https://bursar.dev/errors#'

export function refusalAnswer(dialect: DialectName, refusal: Refusal): RefusalAnswer {
  const { status, retry } = refusalCodes[refusal.code]
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    'x-request-id': refusal.callId,
    'request-id': refusal.callId,
  }
  if (retry && refusal.retryAfterMs !== null) {
    headers['retry-after'] = String(retryAfterSeconds(refusal.retryAfterMs))
    headers['retry-after-ms'] = String(Math.min(refusal.retryAfterMs, retryAfterMsMax))
  }
  if (!retry) headers['x-should-retry'] = 'false'
  if (status === 401) headers['www-authenticate'] = 'Bearer'
  if (refusal.codex && status === 402) return codexStop(refusal, headers)
  return { status, headers, body: JSON.stringify(bodyOf(dialect, refusal, status)) }
}

/** Some clients give up, and some sleep for good, when they are told to wait longer. */
const retryAfterMsMax = 30_000

function retryAfterSeconds(ms: number): number {
  return Math.max(1, Math.ceil(Math.min(ms, retryAfterMsMax) / 1000))
}

function bodyOf(dialect: DialectName, refusal: Refusal, status: number): unknown {
  switch (dialect) {
    case 'openai':
      return openaiBody(refusal, status)
    case 'anthropic':
      return anthropicBody(refusal, status)
    case 'google':
      return googleBody(refusal, status)
  }
}

/** Codex stops for a 429 of this type only, and prints the promo header. */
function codexStop(refusal: Refusal, headers: Record<string, string>): RefusalAnswer {
  const resetsAt =
    refusal.budget === null
      ? {}
      : {
          resets_at: Math.floor(refusal.budget.resetsAt / 1000),
        }
  return {
    status: 429,
    headers: {
      ...headers,
      'x-codex-promo-message': refusal.message.replace(/[^\x20-\x7e]/g, '?'),
    },
    body: JSON.stringify({
      error: { type: 'usage_limit_reached', message: refusal.message, ...resetsAt },
    }),
  }
}

function details({ budget, code }: Refusal, retryable: boolean): Record<string, unknown> {
  if (budget === null) return { retryable }
  const { id, state, usedPercent, resetsAt } = budget
  return {
    budget: id,
    state,
    used_percent: usedPercent === null ? null : Number(usedPercent),
    resets_at: toIso(resetsAt),
    retryable,
    code,
  }
}

function openaiBody(refusal: Refusal, status: number): unknown {
  const { code, message, param } = refusal
  const retryable = refusalCodes[code].retry
  // Programs test for `insufficient_quota`: it is what they know as "the money is gone".
  const type =
    status === 402
      ? 'insufficient_quota'
      : status === 429
        ? 'rate_limit_error'
        : status === 401
          ? 'authentication_error'
          : status >= 500
            ? 'server_error'
            : 'invalid_request_error'
  return {
    error: {
      message,
      type,
      code,
      param,
      doc_url: `${docs}${code}`,
      details: details(refusal, retryable),
    },
  }
}

const anthropicTypes: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  409: 'conflict_error',
  422: 'invalid_request_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  502: 'api_error',
  503: 'overloaded_error',
  504: 'timeout_error',
}

function anthropicBody(refusal: Refusal, status: number): unknown {
  const { code, message, callId, param } = refusal
  return {
    type: 'error',
    error: {
      type: anthropicTypes[status] ?? 'invalid_request_error',
      message,
      details: {
        error_code: code,
        ...(param === null ? {} : { param }),
        ...details(refusal, refusalCodes[code].retry),
      },
    },
    request_id: callId,
  }
}

const googleStatuses: Readonly<Record<number, string>> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  402: 'FAILED_PRECONDITION',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  429: 'RESOURCE_EXHAUSTED',
  502: 'UNAVAILABLE',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
}

function googleBody(refusal: Refusal, status: number): unknown {
  const { code, message, retryAfterMs, budget, callId } = refusal
  const metadata: Record<string, string> = { call: callId }
  if (budget !== null) {
    metadata.budget = budget.id
    metadata.resets_at = toIso(budget.resetsAt)
    if (budget.used !== null && budget.limit !== null) {
      metadata.used_percent = formatPercent(budget.used, budget.limit)
    }
  }
  const retryInfo =
    retryAfterMs === null
      ? []
      : [
          {
            '@type': 'type.googleapis.com/google.rpc.RetryInfo',
            retryDelay: `${retryAfterSeconds(retryAfterMs)}s`,
          },
        ]
  return {
    error: {
      code: status,
      status: googleStatuses[status] ?? 'INVALID_ARGUMENT',
      message,
      details: [
        {
          '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
          reason: code.toUpperCase(),
          domain: 'bursar',
          metadata,
        },
        ...retryInfo,
      ],
    },
  }
}
