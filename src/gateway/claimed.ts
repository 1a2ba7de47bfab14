/**
 * Outcomes that agents tell of themselves, with the call that brought them: `bursar-outcome: TYPE`
 * or `TYPE/ID`. An agent's own word is the weakest, and is kept as such.
 */
import { eventOf } from '#core/outcome-claim.ts'
import type { OutcomeDefinition, OutcomeEvent } from '#core/outcome.ts'
import { bodyAt, makeId } from '#lib/id.ts'
import { StoreUnavailable } from '#ports/store.ts'
import type { Serving } from './call.ts'
import type { GatewayDeps } from './deps.ts'

/** Why what was claimed counts for nothing, in words; null: it counts, or nothing was claimed. */
export function claimWarning({ principal, snapshot }: Serving): string | null {
  const { outcome } = principal
  if (outcome === null || definitionOf(outcome, snapshot.outcomes) !== null) return null
  const known = snapshot.outcomes.map(({ type }) => type).join(', ')
  return `no outcome type "${typeOf(outcome)}"${known === '' ? '' : `; there are: ${known}`}`
}

const typeOf = (claimed: string): string => claimed.split('/', 1)[0] ?? ''

function definitionOf(
  claimed: string,
  definitions: readonly OutcomeDefinition[],
): OutcomeDefinition | null {
  return definitions.find(({ type }) => type === typeOf(claimed)) ?? null
}

const tries = 5

/** Once the call has ended well. Nobody waits for it; the ledger has the claim with the call. */
export function bookClaim(deps: GatewayDeps, serving: Serving, status: number): void {
  const event = status >= 200 && status < 300 ? claimedBy(deps, serving) : null
  if (event === null) return
  void booked(deps, serving, event).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error)
    deps.observe({ kind: 'unexpected', where: `the outcome of ${serving.id}`, reason })
  })
}

function claimedBy(deps: GatewayDeps, serving: Serving): OutcomeEvent | null {
  const { principal, snapshot, id: call } = serving
  const { outcome, conversation, run } = principal
  const definition = outcome === null ? null : definitionOf(outcome, snapshot.outcomes)
  if (outcome === null || definition === null) return null
  const { business_unit, team, agent, tenant } = principal.attribution
  const place = { business_unit, team, agent }
  const own = outcome.slice(definition.type.length + 1)
  const scope = definition.onePer ?? (conversation === null ? 'call' : 'conversation')
  const named = { conversation, run, call }[scope]
  const made = eventOf(
    {
      id: own === '' ? `${call}/${definition.type}` : own,
      type: definition.type,
      ...(named === null ? {} : { [scope]: named }),
      tenant: tenant ?? undefined,
      attestedBy: 'agent',
    },
    {
      now: deps.clock.now(),
      source: 'header',
      hooks: snapshot.outcomeHooks.map(({ name }) => name),
      definitions: snapshot.outcomes,
      call: { conversation, run, tenant, place },
      place,
      before: null,
      target: null,
    },
  )
  return made.ok ? made.value : null
}

async function booked(deps: GatewayDeps, serving: Serving, event: OutcomeEvent): Promise<void> {
  const { clock, chance, store } = deps
  const { keyId, keyName } = serving.principal
  for (let left = tries, waitMs = 100; ; left -= 1, waitMs *= 3) {
    try {
      // An agent that says it twice under one id has said it once.
      if ((await store.outcomeEvent(event.id)) !== null) return
      return await store.change(
        { kind: 'add_outcomes', events: [event] },
        {
          id: makeId('aud', bodyAt(clock.now(), chance.token(13))),
          at: clock.now(),
          actor: keyName,
          identity: keyId,
          action: 'outcome.claimed',
          subject: event.id,
          reason: null,
          before: null,
          after: { type: event.type, call: serving.id },
        },
      )
    } catch (error) {
      if (!(error instanceof StoreUnavailable) || left <= 1) throw error
      await clock.sleep(waitMs)
    }
  }
}
