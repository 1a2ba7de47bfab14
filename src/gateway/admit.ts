/**
 * From a target to a durable hold, or to the reason why not. Waiting happens here, and only here.
 */
import { accountsFor } from '#core/account.ts'
import type { Target } from '#core/decide.ts'
import { frozenBy } from '#core/freeze.ts'
import type { Asking, Hold, HoldCommand, Result } from '#core/journal.ts'
import { type Quote, quote } from '#core/quote.ts'
import type { Refusal } from '#core/refusal.ts'
import { runAccounts } from '#core/run.ts'
import type { Attribution } from '#core/scope.ts'
import { after, type Instant } from '#core/time.ts'
import { makeId } from '#lib/id.ts'
import type { Outcome } from '#ports/store.ts'
import type { Books } from './books.ts'
import type { Attempt, Serving } from './call.ts'
import type { GatewayDeps } from './deps.ts'
import { Paces, pacedRefusal, pacedWait } from './paces.ts'
import { ledgerRefusal, plainRefusal } from './refusals.ts'

export type Admission =
  | { readonly kind: 'admitted'; readonly attempt: Attempt; readonly outcome: Outcome }
  | { readonly kind: 'refused'; readonly refusal: Refusal; readonly outcome: Outcome | null }
  | { readonly kind: 'gone' }

/** Callers waiting for room or pace now. Bounded, so that a crowd is told at once. */
export interface Waiting {
  count: number
}

export async function admit(
  deps: GatewayDeps,
  books: Books,
  waiting: Waiting,
  opened: Serving,
  target: Target,
  no: number,
): Promise<Admission> {
  const deadline = after(deps.clock.now(), opened.snapshot.policy.maxWaitMs)
  const attribution = attributionOf(opened, target)
  let hasSlot = false
  for (;;) {
    if (opened.client.gone) return { kind: 'gone' }
    // Asked for in the same turn as it is put to the ledger: whatever config comes after this is
    // counted after it.
    const serving = { ...opened, snapshot: deps.snapshot() }
    const frozen = frozenRefusal(deps, serving, attribution)
    if (frozen !== null) return { kind: 'refused', refusal: frozen, outcome: null }
    const paced = hasSlot ? null : slowed(deps, attribution)
    if (paced !== null) {
      const waitMs = pacedWait(serving, paced.retryAt, deps.clock.now(), deadline)
      if (waitMs === null || waiting.count >= deps.limits.waitersMax) {
        return { kind: 'refused', refusal: pacedRefusal(deps, serving, paced), outcome: null }
      }
      await pause(waiting, () => deps.clock.sleep(waitMs))
      continue
    }
    // Once is enough, however often it then waits for room.
    hasSlot = true
    const command = holdCommand(serving, target, attribution, no)
    const now = deps.clock.now()
    const expiresAt = after(now, deps.limits.holdMs)
    const outcome = await books.hold({ ...command.hold, expiresAt })
    if (outcome === null) return { kind: 'refused', refusal: unavailable(serving), outcome }
    const { result } = outcome
    if (result.status === 'applied' || result.status === 'repeated') {
      const { hold } = result
      const { quote: wanted } = command
      const asked = serving.parsed.shape.outputCap ?? wanted.outputCap
      const clampedTo = hold.outputCap < asked ? hold.outputCap : null
      const outputCap = capToWrite(serving, wanted, hold)
      const attempt = { target, quote: wanted, hold, outputCap, clampedTo }
      return { kind: 'admitted', attempt, outcome }
    }
    const waitMs = waitFor(serving, result, now, deadline)
    if (waitMs === null || waiting.count >= deps.limits.waitersMax) {
      return { kind: 'refused', refusal: refusalOf(deps, serving, result, now), outcome }
    }
    await pause(waiting, () =>
      result.status === 'throttled' ? deps.clock.sleep(waitMs) : books.roomOr(waitMs),
    )
  }
}

function frozenRefusal(
  deps: GatewayDeps,
  serving: Serving,
  attribution: Attribution,
): Refusal | null {
  const freeze = frozenBy(deps.freezes(), attribution, deps.clock.now())
  if (freeze === null) return null
  const { id, codex } = serving
  const message =
    `Calls of ${freeze.id} are frozen by ${freeze.by}: ${freeze.reason}. ` +
    `They go on once somebody says: bursar unfreeze ${freeze.id}`
  return plainRefusal({ callId: id, codex }, 'frozen', message)
}

async function pause(waiting: Waiting, work: () => Promise<void>): Promise<void> {
  waiting.count += 1
  try {
    await work()
  } finally {
    waiting.count -= 1
  }
}

const pacesOf = new WeakMap<GatewayDeps, Paces>()

function slowed(deps: GatewayDeps, attribution: Attribution): ReturnType<Paces['take']> {
  const paces = pacesOf.get(deps) ?? new Paces()
  pacesOf.set(deps, paces)
  return paces.take(deps.paces(), attribution, deps.clock.now())
}

function attributionOf({ principal }: Serving, { model, provider }: Target): Attribution {
  return { ...principal.attribution, model, provider: provider.name }
}

export function unavailable({ id, codex }: Serving): Refusal {
  const message = 'The ledger cannot record this call now, so it was not sent. Please try again.'
  return plainRefusal({ callId: id, codex }, 'ledger_unavailable', message, { retryAfterMs: 5000 })
}

function refusalOf(deps: GatewayDeps, serving: Serving, result: Result, now: Instant): Refusal {
  const { id, codex, snapshot } = serving
  const frame = { callId: id, codex }
  if (result.status === 'limit_exceeded' || result.status === 'throttled') {
    return ledgerRefusal(frame, result, snapshot, now, deps.chance.fraction())
  }
  // Ids are ours and new: a hold that exists already with other content is a bug, not a caller's.
  throw new Error(`a new hold found its id taken: ${result.status}`)
}

/** Milliseconds worth waiting; null: refuse now. */
function waitFor(
  { snapshot, codex }: Serving,
  result: Result,
  now: Instant,
  deadline: Instant,
): number | null {
  const left = deadline - now
  if (left <= 0 || codex) return null
  if (result.status === 'throttled') {
    return result.retryAt > deadline ? null : result.retryAt - now
  }
  if (result.status !== 'limit_exceeded') return null
  const passes = result.held || ['minute', 'concurrent'].includes(windowOf(result))
  // `refuse` says it plainly: no room now is a refusal now.
  return passes && snapshot.policy.onTight === 'clamp' ? Math.min(left, 1000) : null
}

function windowOf({ rule }: Extract<Result, { status: 'limit_exceeded' }>): string {
  return rule.unit === 'concurrent' ? 'concurrent' : rule.unit === 'usd' ? 'usd' : rule.period
}

/**
 * The cap goes into the body where the caller gave none or a larger one: what the provider may
 * generate is then bounded by what is held.
 */
function capToWrite({ parsed }: Serving, wanted: Quote, hold: Hold): number | null {
  const costsByOutput = wanted.picosPerOutputToken > 0n
  const countsTokens = hold.lines.some(({ unit }) => unit === 'tokens')
  // A free model whose tokens nobody counts needs no cap of ours.
  if (wanted.outputCap === 0 || (!costsByOutput && !countsTokens)) return null
  return parsed.shape.outputCap === hold.outputCap ? null : hold.outputCap
}

function holdCommand(
  serving: Serving,
  target: Target,
  attribution: Attribution,
  no: number,
): { readonly hold: Omit<HoldCommand, 'expiresAt'>; readonly quote: Quote } {
  const { snapshot, parsed, principal, runs, id } = serving
  const free = parsed.endpoint.operation === 'count_tokens'
  const wanted = target.row === null || free ? freeQuote(serving) : quote(parsed.shape, target.row)
  const accounts = [
    ...accountsFor(snapshot.budgets, attribution),
    ...runAccounts(snapshot.runs, runs.scopes, attribution),
  ]
  const hold = {
    kind: 'hold' as const,
    hold: makeId('hold', `${id.slice('call_'.length)}-${no}`),
    call: id,
    attribution,
    accounts: free ? [] : accounts,
    conversation: principal.conversation,
    marks: runs.marks,
    asking: askingOf(wanted, serving),
    facts: {
      asked: parsed.model,
      model: target.model,
      provider: target.provider.name,
      dialect: parsed.endpoint.dialect,
      operation: parsed.endpoint.operation,
      stream: parsed.stream,
      priceVersion: snapshot.priceBook.version,
      config: snapshot.version,
      key: principal.keyId,
      conversation: principal.conversation,
      run: principal.run,
      parentRun: principal.parentRun,
      outcome: principal.outcome,
      tags: principal.tags,
      expected: String(wanted.expected),
      unpriced: target.unpriced,
    },
  }
  return { hold, quote: wanted }
}

function askingOf(wanted: Quote, { snapshot, parsed }: Serving): Asking {
  const { policy } = snapshot
  const clamps = policy.onTight === 'clamp' && wanted.outputCap > 0
  const tokensPerCap = wanted.outputCap === 0 ? 0 : parsed.shape.choices
  return {
    fixedPicos: wanted.fixedPicos,
    picosPerOutputToken: wanted.picosPerOutputToken,
    outputCap: wanted.outputCap,
    outputCapFloor: clamps ? policy.clampFloorTokens : wanted.outputCap,
    fixedTokens: wanted.tokensMax - tokensPerCap * wanted.outputCap,
    tokensPerCap,
  }
}

/** A local model costs nothing, but its tokens and calls still count against quotas. */
function freeQuote({ parsed: { shape } }: Serving): Quote {
  const outputCap = shape.outputCap ?? 4096
  return {
    fixedPicos: 0n,
    picosPerOutputToken: 0n,
    outputCap,
    max: 0n as Quote['max'],
    expected: 0n as Quote['expected'],
    tokensMax:
      shape.textTokensMax + shape.imageTokensMax + shape.audioTokensMax + outputCap * shape.choices,
  }
}
