/** What callers do that somebody should hear of, as alerts: each is raised once. */
import type { AccountKey } from '#core/account.ts'
import type { Alert } from '#core/alert.ts'
import type { VirtualKey } from '#core/key.ts'
import { alertId } from '#core/ladder.ts'
import { dayMs, dayOf } from '#core/spend.ts'
import { type Instant, instant } from '#core/time.ts'
import { StoreUnavailable } from '#ports/store.ts'
import type { Serving } from './call.ts'
import type { GatewayDeps } from './deps.ts'
import type { IdentityProblem } from './identify.ts'
import type { Loop } from './loops.ts'

/** Once a run, kind of loop and day. */
export function tellLoop(deps: GatewayDeps, { principal }: Serving, loop: Loop): void {
  const { agent, team, user } = principal.attribution
  tell(deps, 'loop', [principal.keyId, loop.kind, loop.run], {
    agent: agent ?? '(none)',
    ...(team === null ? {} : { team }),
    ...(user === null ? {} : { user }),
    run: loop.run,
    key: principal.keyName,
    evidence: loop.evidence,
  })
}

/** A key of one environment that asks for another: refused, and told once a day. */
export function tellCrossUse(
  deps: GatewayDeps,
  key: VirtualKey,
  problem: IdentityProblem,
  asked: string | undefined,
): void {
  if (problem.param !== 'bursar-environment' || asked === undefined) return
  deps.observe({ kind: 'cross_use', key: key.id })
  tell(deps, 'cross_use', [key.id, asked], {
    key: key.name,
    'pinned to': key.environment ?? '(none)',
    'asked for': asked,
  })
}

/** A call that only a credential of another environment could serve. */
export function tellForeignCredential(deps: GatewayDeps, serving: Serving): void {
  const { keyId, keyName, attribution } = serving.principal
  deps.observe({ kind: 'cross_use', key: keyId })
  tell(deps, 'cross_use', [keyId, 'credential', serving.parsed.model], {
    key: keyName,
    environment: attribution.environment ?? '(none)',
    'asked for': `${serving.parsed.model}, which only another environment may use`,
  })
}

/** A model that nobody has a price for: told once a day, whether policy lets it pass or not. */
export function tellUnpriced(deps: GatewayDeps, serving: Serving, outcome: string): void {
  const { keyId, keyName, attribution } = serving.principal
  tell(deps, 'unpriced_model', [keyId, serving.parsed.model], {
    what: serving.parsed.model,
    agent: attribution.agent ?? '(none)',
    key: keyName,
    outcome,
  })
}

/** The first of `names` is who did it: nobody is told more than so much of one in a day. */
function tell(
  deps: GatewayDeps,
  kind: Alert['kind'],
  names: readonly string[],
  details: Readonly<Record<string, string>>,
): void {
  const at = deps.clock.now()
  const day = dayOf(at)
  const alert = plainAlert(kind, [...names, String(day)], at, details)
  // What loops says so at every turn, and must not fill the ledger's queue with it.
  const told = toldBy.get(deps) ?? new Set()
  toldBy.set(deps, told)
  if (told.has(alert.id)) return
  if (told.size >= toldMax) told.clear()
  told.add(alert.id)
  if (isTooMuch(deps, `${kind}|${names[0]}|${day}`)) return
  deps.store.raise(alert).catch((error: unknown) => {
    told.delete(alert.id)
    if (error instanceof StoreUnavailable) return
    deps.observe({ kind: 'unexpected', where: 'an alert', reason: String(error) })
  })
}

const toldMax = 10_000
/** Names come from callers, who could think of a new one for each call. */
const toldOfOneMax = 20
const countsBy = new WeakMap<GatewayDeps, Map<string, number>>()

function isTooMuch(deps: GatewayDeps, name: string): boolean {
  const counts = countsBy.get(deps) ?? new Map<string, number>()
  countsBy.set(deps, counts)
  if (counts.size >= toldMax) counts.clear()
  const count = (counts.get(name) ?? 0) + 1
  counts.set(name, count)
  return count > toldOfOneMax
}

const toldBy = new WeakMap<GatewayDeps, Set<string>>()

/** An alert about no account. */
function plainAlert(
  kind: Alert['kind'],
  names: readonly string[],
  at: Instant,
  details: Readonly<Record<string, string>>,
): Alert {
  return {
    id: alertId([kind, ...names].join('|')),
    kind,
    account: '' as AccountKey,
    budget: 'bud_none',
    value: null,
    unit: 'calls',
    threshold: kind,
    actions: [{ kind: 'notify', channel: 'owner', name: null }],
    at,
    amount: 0n,
    posted: 0n,
    overage: 0n,
    hold: null,
    periodEnd: instant(at + dayMs),
    details,
  }
}
