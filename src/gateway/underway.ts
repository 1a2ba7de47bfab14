/** An attempt under way: what its relays share, and the ways its hold ends. */
import type { Facts } from '#core/journal.ts'
import { viewsOf } from '#core/view.ts'
import type { Outcome } from '#ports/store.ts'
import type { UpstreamExchange, UpstreamFailure } from '#ports/upstream.ts'
import { type Books, rulesOf } from './books.ts'
import type { Attempt, Serving } from './call.ts'
import { bookClaim, claimWarning } from './claimed.ts'
import type { Costed } from './cost.ts'
import type { GatewayDeps } from './deps.ts'
import { answerHeaders, budgetHeaders } from './headers.ts'
import { plainRefusal } from './refusals.ts'

export type AttemptEnd =
  /** It is over, and `paid` for or not: a call that cost nothing may be made again. */
  | { readonly kind: 'answered'; readonly paid: boolean }
  /** It cost nothing and the caller has heard nothing: another try may follow, or `passOn`. */
  | { readonly kind: 'failed'; readonly passOn: () => void }

/** Callers that hung up, still read for their usage. */
export interface Drains {
  count: number
}

export interface AttemptDesk {
  readonly deps: GatewayDeps
  readonly books: Books
  readonly drains: Drains
}

/** What the relays need of an attempt under way. */
export interface Underway {
  readonly desk: AttemptDesk
  readonly serving: Serving
  readonly attempt: Attempt
  readonly held: Outcome
  readonly final: boolean
  readonly sentAt: number
  exchange: UpstreamExchange | null
  firstByteAt: number | null
  /** The provider's own name for the request, where it gives one. */
  requestId: string | null
  finish(end: AttemptEnd): void
}

const retryable = new Set([408, 429, 500, 502, 503, 504, 529])

/** Our words for a provider that could not be reached, in the caller's dialect. */
export function answerFailure({ desk, serving }: Underway, failure: UpstreamFailure): void {
  const { client, dialect, id, codex } = serving
  if (client.gone) return
  const code = failure.reason === 'timeout' ? 'upstream_timeout' : 'upstream_unreachable'
  const message =
    failure.reason === 'timeout'
      ? 'The provider did not answer in time.'
      : 'The provider could not be reached.'
  const refusal = plainRefusal({ callId: id, codex }, code, message, { retryAfterMs: 2000 })
  const answer = dialect.refuse(refusal)
  desk.deps.observe({ kind: 'call_refused', call: id, code, agent: null, message })
  client.start(answer.status, { 'bursar-call-id': id, ...answer.headers })
  client.write(Buffer.from(answer.body))
  client.end()
}

/**
 * Resolves when durable, with what is known of the accounts: while the ledger is away that is what
 * they were with the hold.
 */
export async function endVoid(underway: Underway, reason: string): Promise<Outcome> {
  const {
    desk: { books },
    attempt: { hold },
    held,
  } = underway
  return (await books.end({ kind: 'void', hold: hold.id, facts: { reason } })) ?? held
}

/** Settles at what is known, or at the most it can have been. Resolves as `endVoid` does. */
export async function endCosted(
  underway: Underway,
  costed: Costed,
  status: number,
): Promise<Outcome> {
  const {
    desk: { deps, books },
    attempt: { hold, target },
    serving,
    held,
  } = underway
  const timing = timingOf(underway)
  if (costed.cost > hold.amount) {
    deps.observe({
      kind: 'overage',
      call: serving.id,
      model: target.model,
      held: hold.amount,
      cost: costed.cost,
    })
  }
  if (costed.oddities.length > 0) {
    const { oddities } = costed
    deps.observe({ kind: 'odd_usage', call: serving.id, model: target.model, oddities })
  }
  const outcome = await books.end({
    kind: 'settle',
    hold: hold.id,
    cost: costed.cost,
    tokens: costed.tokens,
    basis: costed.basis,
    facts: { ...costed.facts, status, upstreamMs: timing.upstreamMs, ...requestOf(underway) },
  })
  deps.observe({
    kind: 'call_ended',
    call: serving.id,
    agent: serving.principal.attribution.agent,
    model: target.model,
    provider: target.provider.name,
    status,
    cost: costed.cost,
    basis: costed.basis,
    ...timing,
  })
  bookClaim(deps, serving, status)
  return outcome ?? held
}

const requestOf = ({ requestId }: Underway): Facts => (requestId === null ? {} : { requestId })

export function timingOf(underway: Underway): { ownMs: number; upstreamMs: number } {
  const {
    desk: { deps },
    serving,
    sentAt,
    firstByteAt,
  } = underway
  const now = deps.clock.now()
  const upstreamMs = (firstByteAt ?? now) - sentAt
  return { upstreamMs, ownMs: Math.max(0, now - serving.at - upstreamMs) }
}

export function observeFailure(underway: Underway, status: number, reason: string): void {
  const {
    desk: { deps },
    serving,
    attempt: { target },
  } = underway
  const provider = target.provider.name
  deps.observe({ kind: 'attempt_failed', call: serving.id, provider, status, reason })
}

export const isRetryable = (status: number): boolean => retryable.has(status)

/** Everything we tell about a call that was served, before its body. */
export function servedHeaders(
  underway: Underway,
  outcome: Outcome,
  upstream: Readonly<Record<string, string>>,
): Record<string, string> {
  const {
    serving,
    attempt: { target, clampedTo },
  } = underway
  const { deps } = underway.desk
  const snapshot = deps.snapshot()
  const now = deps.clock.now()
  const views = viewsOf(outcome.accounts, rulesOf(snapshot), outcome.overrides, now)
  const { ownMs, upstreamMs } = timingOf(underway)
  const out: Record<string, string> = {
    ...answerHeaders(upstream),
    'bursar-call-id': serving.id,
    'bursar-model': target.model.replace(/[^\x20-\x7e]/g, '?'),
    ...budgetHeaders(views, snapshot),
    'server-timing': `bursar;dur=${ownMs}, upstream;dur=${upstreamMs}`,
  }
  out['x-request-id'] ??= serving.id
  if (clampedTo !== null) out['bursar-clamped-max-tokens'] = String(clampedTo)
  const warnings = [
    out['bursar-warning'] ?? null,
    target.unpriced ? `model "${target.model}" has no price` : null,
    claimWarning(serving),
  ].filter((one) => one !== null)
  if (warnings.length > 0) out['bursar-warning'] = warnings.join('; ')
  return out
}
