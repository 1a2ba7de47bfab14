/** A person's exception to a budget: how much more, until when, why, and who let it pass. */
import type { BudgetId, OverrideId } from '#lib/id.ts'
import type { Nanos } from './money.ts'
import type { Instant } from './time.ts'

export interface Override {
  readonly id: OverrideId
  readonly budget: BudgetId
  /** The account of one value of a `per` budget; null: every account of the budget. */
  readonly value: string | null
  /** On top of the hard limit; null: no limit at all until `until`. */
  readonly extra: Nanos | null
  /** It ends by itself here: the end of the budget's period unless somebody said otherwise. */
  readonly until: Instant
  readonly reason: string
  readonly requestedBy: string
  /**
   * Who asked, as a person and not as a name that anybody can write; left out by versions that knew
   * the installation's own token only.
   */
  readonly requester?: string
  /** Who wrote the name, where it was somebody else's: an admin, in the other's stead. */
  readonly requestedThrough?: string
  readonly requestedAt: Instant
  readonly state: 'requested' | 'approved' | 'denied'
  readonly decidedBy: string | null
  readonly decidedThrough?: string
  readonly decidedAt: Instant | null
  /** True where requester and approver are one: said on purpose, and recorded. */
  readonly self: boolean
}

export interface Relief {
  /** Sum of extras in force. */
  readonly extra: Nanos
  /** True while an override without an amount is in force: the stages are lifted. */
  readonly lifted: boolean
}

export const noRelief: Relief = { extra: 0n as Nanos, lifted: false }

export function isInForce(override: Override, now: Instant): boolean {
  return override.state === 'approved' && now < override.until
}

/** What the overrides of one account allow at `now`. */
export function reliefOf(
  overrides: readonly Override[],
  account: { budget: BudgetId; value: string | null },
  now: Instant,
): Relief {
  if (overrides.length === 0) return noRelief
  let extra = 0n
  let lifted = false
  for (const override of overrides) {
    if (override.budget !== account.budget || !isInForce(override, now)) continue
    if (override.value !== null && override.value !== account.value) continue
    if (override.extra === null) lifted = true
    else extra += override.extra
  }
  return { extra: extra as Nanos, lifted }
}

/** Ended before its time, by a person; what it let through stays. */
export function endNow(override: Override, now: Instant): Override | 'not_in_force' {
  return isInForce(override, now) ? { ...override, until: now } : 'not_in_force'
}

export type Decision = 'approved' | 'denied'
export type DecisionProblem = 'already_decided' | 'needs_another_person' | 'too_late'

/** Who decides. */
export interface Decider {
  /** The person: the installation's token is one, and all tokens that a person made are his. */
  readonly person: string
  readonly name: string
  /** Who wrote the name, where it is somebody else's. */
  readonly through: string | null
  /** Said by an admin; the caller has checked that role. */
  readonly self: boolean
}

/**
 * The override after somebody decided. An approver differs from the requester, whatever names are
 * said, unless `self` is said by an admin.
 */
export function decide(
  override: Override,
  by: Decider,
  decision: Decision,
  now: Instant,
): Override | DecisionProblem {
  if (override.state !== 'requested') return 'already_decided'
  const same =
    by.person === (override.requester ?? 'admin') ||
    by.name === override.requestedBy ||
    by.through === override.requestedBy
  if (decision === 'approved' && same && !by.self) return 'needs_another_person'
  if (decision === 'approved' && now >= override.until) return 'too_late'
  const self = decision === 'approved' && same
  const through = by.through === null ? {} : { decidedThrough: by.through }
  return { ...override, state: decision, decidedBy: by.name, ...through, decidedAt: now, self }
}
