/** Each step of an override, as an alert: who asked, who decided, what it lets through. */
import type { AccountKey } from '#core/account.ts'
import type { Alert } from '#core/alert.ts'
import { alertId } from '#core/ladder.ts'
import { formatUsdShort } from '#core/money.ts'
import type { Override } from '#core/override.ts'
import { type Instant, toIso } from '#core/time.ts'
import { StoreUnavailable } from '#ports/store.ts'
import type { ControlDeps } from './deps.ts'

export type Step = 'requested' | 'approved' | 'denied' | 'ended'

/** Told once a step. The step itself is done: that it cannot be told now does not undo it. */
export async function tellOverride(
  deps: ControlDeps,
  override: Override,
  step: Step,
): Promise<void> {
  await deps.store.raise(alertOf(override, step, deps.clock.now())).catch((error: unknown) => {
    if (!(error instanceof StoreUnavailable)) throw error
  })
}

function alertOf(override: Override, step: Step, at: Instant): Alert {
  const { id, budget, value, extra, until, reason, requestedBy, decidedBy } = override
  return {
    id: alertId(`override|${id}|${step}`),
    kind: 'override',
    account: '' as AccountKey,
    budget,
    value,
    unit: 'usd',
    threshold: `override.${step}`,
    actions: [{ kind: 'notify', channel: 'owner', name: null }],
    at,
    amount: 0n,
    posted: 0n,
    overage: 0n,
    hold: null,
    periodEnd: until,
    details: {
      override: id,
      state: step,
      extra: extra === null ? 'no limit' : formatUsdShort(extra),
      until: toIso(until),
      'asked by': requestedBy,
      ...(decidedBy === null ? {} : { 'decided by': decidedBy }),
      reason,
    },
  }
}
