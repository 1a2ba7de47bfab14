/**
 * A call's life: identify, quote, decide, hold, forward, meter, settle. Every path ends its hold.
 */
import { accountsFor } from '#core/account.ts'
import { route, type Target } from '#core/decide.ts'
import { unpricedTool } from '#core/quote.ts'
import type { Refusal } from '#core/refusal.ts'
import { generationsMax } from '#core/run.ts'
import type { Attribution } from '#core/scope.ts'
import { viewsOf } from '#core/view.ts'
import { makeId } from '#lib/id.ts'
import type { Result } from '#lib/result.ts'
import type { Client, ClientRequest } from '#ports/client.ts'
import type { Outcome } from '#ports/store.ts'
import { isCodex, readHeaderClaims } from '#wire/claims.ts'
import type { Endpoint } from '#wire/dialect.ts'
import { dialectOf } from '#wire/dialects.ts'
import { StoreUnavailable } from '#ports/store.ts'
import { admit, unavailable, type Waiting } from './admit.ts'
import { attempt } from './attempt.ts'
import { rulesOf } from './books.ts'
import type { Attempt, Serving } from './call.ts'
import type { GatewayDeps } from './deps.ts'
import { tellCrossUse, tellForeignCredential, tellLoop, tellUnpriced } from './told.ts'
import { budgetHeaders } from './headers.ts'
import {
  credentialOf,
  type IdentityProblem,
  inConversation,
  principalOf,
  usableKey,
} from './identify.ts'
import type { Loops } from './loops.ts'
import { plainRefusal, type RefusalFrame } from './refusals.ts'
import type { Replays, Slot } from './replays.ts'
import { noRuns, type RunChain, type Runs } from './runs.ts'
import type { AttemptDesk, AttemptEnd } from './underway.ts'

export interface Desk extends AttemptDesk {
  readonly waiting: Waiting
  readonly replays: Replays
  readonly runs: Runs
  readonly loops: Loops
}

/** Serves one request to a known endpoint. Resolves when nothing of the call is left to do. */
export async function serveCall(
  desk: Desk,
  endpoint: Endpoint,
  request: ClientRequest,
  client: Client,
): Promise<void> {
  const frame: RefusalFrame = {
    callId: newCallId(desk.deps),
    codex: isCodex(request.headers),
  }
  const opened = openCall(desk.deps, endpoint, request, client, frame)
  if (!opened.ok) return refuse(desk.deps, dialectOf(endpoint.dialect), client, opened.problem)
  const serving = opened.value
  const [again] = request.headers['idempotency-key'] ?? []
  if (again === undefined) return void (await serveOpened(desk, serving))
  // Two users behind one key may have thought of the same name.
  const { keyId, attribution } = serving.principal
  const slot = desk.replays.claim(
    keyId,
    JSON.stringify([endpoint.upstreamPath, attribution.user, attribution.tenant]),
    again,
    request.body,
    serving.at,
  )
  if (slot.kind !== 'fresh') return answerRepeat(desk, serving, slot)
  const recorded = desk.replays.recording(client, slot.of)
  // What throws is a bug: nobody knows then what was paid.
  let paid = true
  try {
    paid = await serveOpened(desk, { ...serving, client: recorded })
  } finally {
    desk.replays.close(slot.of, paid)
  }
}

/** A call that came before under the same Idempotency-Key: nothing is held, sent or charged. */
function answerRepeat(desk: Desk, serving: Serving, slot: Exclude<Slot, { kind: 'fresh' }>): void {
  const { client } = serving
  const frame = frameOf(serving)
  const no = (refusal: Refusal): void => refuseServing(desk.deps, serving, refusal)
  switch (slot.kind) {
    case 'replay': {
      const { status, headers, body } = slot.answer
      client.start(status, { ...headers, 'idempotent-replayed': 'true' })
      client.write(body)
      return client.end()
    }
    case 'in_flight': {
      const message = 'The first call with this Idempotency-Key is still under way.'
      return no(plainRefusal(frame, 'idempotency_in_flight', message, { retryAfterMs: 1000 }))
    }
    case 'mismatch': {
      const message = 'This Idempotency-Key was used with another body: use a new one.'
      return no(plainRefusal(frame, 'idempotency_mismatch', message))
    }
    case 'too_many': {
      const message = 'Too many calls with an Idempotency-Key are under way for this key.'
      return no(plainRefusal(frame, 'rate_limited', message, { retryAfterMs: 1000 }))
    }
    case 'not_replayable': {
      const message = 'The first call with this Idempotency-Key was made; its answer was not kept.'
      return no(plainRefusal(frame, 'idempotency_not_replayable', message))
    }
  }
}

/** Routes, holds and forwards a call whose caller and content are known. True: it was paid for. */
function serveOpened(desk: Desk, serving: Serving): Promise<boolean> | boolean {
  const { parsed, snapshot, principal } = serving
  const frame = frameOf(serving)
  const { dialect } = parsed.endpoint
  const asked = { model: parsed.model, dialect, shape: parsed.shape }
  const routing = route(snapshot, asked, principal.attribution, serving.at)
  if (routing.kind === 'refused') {
    const { code, message, param, foreign } = routing
    if (foreign) tellForeignCredential(desk.deps, serving)
    if (code === 'model_unpriced') tellUnpriced(desk.deps, serving, 'refused: it has no price')
    refuseServing(desk.deps, serving, plainRefusal(frame, code, message, { param }))
    return false
  }
  const barred = barredBy(serving, routing.targets[0])
  if (routing.targets[0].unpriced) tellUnpriced(desk.deps, serving, 'let pass by the policy')
  if (barred === null) return serveRun(desk, serving, routing.targets)
  refuseServing(desk.deps, serving, barred)
  return false
}

/** The call among those it belongs to. */
function serveRun(desk: Desk, serving: Serving, targets: readonly Target[]): Promise<boolean> {
  const { snapshot, principal } = serving
  if (snapshot.runs.length === 0 && snapshot.loops.length === 0) {
    return tryTargets(desk, serving, targets)
  }
  const runs = desk.runs.remembered(principal)
  return runs === null
    ? serveUnknownRun(desk, serving, targets)
    : serveInRun(desk, serving, targets, runs)
}

async function serveUnknownRun(
  desk: Desk,
  serving: Serving,
  targets: readonly Target[],
): Promise<boolean> {
  let runs: RunChain
  try {
    runs = await desk.runs.chainOf(serving.principal)
  } catch (error) {
    if (!(error instanceof StoreUnavailable)) throw error
    refuseServing(desk.deps, serving, unavailable(serving))
    return false
  }
  return serveInRun(desk, serving, targets, runs)
}

/** It may be one too many of the same. */
async function serveInRun(
  desk: Desk,
  serving: Serving,
  targets: readonly Target[],
  runs: RunChain,
): Promise<boolean> {
  if (runs.isTooDeep) {
    const message = `Run "${serving.principal.run}" comes from more than ${generationsMax} others.`
    const more = { param: 'bursar-parent-run' }
    const refusal = plainRefusal(frameOf(serving), 'invalid_request', message, more)
    refuseServing(desk.deps, serving, refusal)
    return false
  }
  const loop = desk.loops.found(serving.snapshot.loops, serving, runs.scopes)
  if (loop === null) return tryTargets(desk, { ...serving, runs }, targets)
  tellLoop(desk.deps, serving, loop)
  const message = `This looks like a loop: ${loop.evidence}. It was not sent; find what repeats it.`
  refuseServing(desk.deps, serving, plainRefusal(frameOf(serving), 'loop_detected', message))
  return false
}

/** What no hold can answer for: a tool without a fee, or no budget where policy wants one. */
function barredBy(serving: Serving, { row, model, provider }: Target): Refusal | null {
  const { parsed, snapshot, principal } = serving
  const frame = frameOf(serving)
  const tool = row === null ? null : unpricedTool(parsed.shape, row)
  if (tool !== null) {
    const message = `Model "${model}" has no fee for ${tool}, so its cost cannot be bounded.`
    return plainRefusal(frame, 'unbounded_cost', message, { param: 'tools' })
  }
  if (snapshot.policy.noBudget === 'allow' || parsed.endpoint.operation === 'count_tokens')
    return null
  const attribution = { ...principal.attribution, model, provider: provider.name }
  const covered = accountsFor(snapshot.budgets, attribution).some(({ rule }) => rule.unit === 'usd')
  if (covered) return null
  const message = 'No budget covers this call, and policy.no_budget is deny: add a budget for it.'
  return plainRefusal(frame, 'not_allowed', message)
}

/** Targets in order, each with its retries; a try that provably cost nothing may be followed. */
async function tryTargets(
  desk: Desk,
  serving: Serving,
  targets: readonly Target[],
): Promise<boolean> {
  const { deps, books, waiting } = desk
  const plan = targets
    .flatMap((target) => Array<Target>(1 + target.provider.retries).fill(target))
    .slice(0, deps.limits.attemptsMax)
  let last: Extract<AttemptEnd, { kind: 'failed' }> | null = null
  for (const [no, target] of plan.entries()) {
    const admission = await admit(deps, books, waiting, serving, target, no)
    if (admission.kind === 'gone') return false
    if (admission.kind === 'refused') {
      // The provider's own error says more about why there is no answer than our lack of room.
      if (last !== null) last.passOn()
      else refuseServing(deps, serving, admission.refusal, admission.outcome)
      return false
    }
    if (serving.client.gone) {
      await giveBack(desk, admission.attempt)
      return false
    }
    const final = no === plan.length - 1
    const end = await attempt(desk, serving, admission.attempt, admission.outcome, final)
    if (end.kind === 'answered') return end.paid
    last = end
  }
  last?.passOn()
  return false
}

/** The caller hung up before anything was sent: nothing is owed. */
async function giveBack({ books }: Desk, { hold }: Attempt): Promise<void> {
  const facts = { reason: 'the caller hung up before it was sent' }
  await books.end({ kind: 'void', hold: hold.id, facts })
}

type Opened = Result<Serving, Refusal>

/** Everything that needs no ledger: who calls, and what is asked. */
function openCall(
  deps: GatewayDeps,
  endpoint: Endpoint,
  request: ClientRequest,
  client: Client,
  frame: RefusalFrame,
): Opened {
  const at = deps.clock.now()
  const snapshot = deps.snapshot()
  const no = ({ code, message, param }: IdentityProblem): Opened => ({
    ok: false,
    problem: plainRefusal(frame, code, message, { param }),
  })

  const secret = credentialOf(request.headers)
  if (!secret.ok) return no(secret.problem)
  const key = usableKey(deps.findKey(secret.value), at)
  if (!key.ok) return no(key.problem)
  const claims = readHeaderClaims(request.headers)
  if (!claims.ok) return no({ ...claims.problem, code: 'invalid_request' })
  const dialect = dialectOf(endpoint.dialect)
  const parsed = dialect.parse(endpoint, request.body)
  if (!parsed.ok) {
    const { code, message, param } = parsed.problem
    return { ok: false, problem: plainRefusal(frame, code, message, { param }) }
  }
  const principal = principalOf(snapshot, key.value, claims.value, parsed.value.claims)
  if (!principal.ok) {
    tellCrossUse(deps, key.value, principal.problem, claims.value.explicit.environment)
    return no(principal.problem)
  }
  return {
    ok: true,
    value: {
      id: frame.callId as Serving['id'],
      at,
      snapshot,
      request,
      client,
      dialect,
      parsed: parsed.value,
      principal: inConversation(principal.value, parsed.value.opening),
      runs: noRuns,
      codex: frame.codex,
    },
  }
}

const frameOf = ({ id, codex }: Serving): RefusalFrame => ({ callId: id, codex })

function refuseServing(
  deps: GatewayDeps,
  serving: Serving,
  refusal: Refusal,
  outcome: Outcome | null = null,
): void {
  const { principal, dialect, client } = serving
  const snapshot = deps.snapshot()
  const views =
    outcome === null
      ? []
      : viewsOf(outcome.accounts, rulesOf(snapshot), outcome.overrides, deps.clock.now())
  refuse(deps, dialect, client, refusal, budgetHeaders(views, snapshot), principal.attribution)
}

export function refuse(
  deps: GatewayDeps,
  dialect: Serving['dialect'],
  client: Client,
  refusal: Refusal,
  headers: Readonly<Record<string, string>> = {},
  attribution: Attribution | null = null,
): void {
  const { code, callId, message } = refusal
  deps.observe({
    kind: 'call_refused',
    call: callId,
    code,
    agent: attribution?.agent ?? null,
    message,
  })
  if (client.gone) return
  const answer = dialect.refuse(refusal)
  client.start(answer.status, { ...headers, 'bursar-call-id': callId, ...answer.headers })
  client.write(Buffer.from(answer.body))
  client.end()
}

/** Sorts by time, so that the ledger grows at its end: 9 characters of time, 13 of chance. */
export function newCallId({ clock, chance }: GatewayDeps): `call_${string}` {
  const time = clock.now().toString(36).padStart(9, '0')
  return makeId('call', `${time}${chance.token(13)}`)
}
