/**
 * What happens on the way up. A threshold fires once for each account and is armed again when the
 * limit is raised above what is posted; the next period is another account. Pure, and called in the
 * transaction that posts, so that an alert exists exactly when its crossing does.
 */
import { makeId } from '#lib/id.ts'
import type { Account } from './account.ts'
import type { Alert } from './alert.ts'
import { type BudgetRule, type Threshold, thresholdAmount } from './budget.ts'
import { startThrottle } from './pace.ts'
import type { Instant } from './time.ts'

export interface Climbed {
  readonly account: Account
  readonly alerts: readonly Alert[]
}

/** Where nothing fired: most of the time. */
export const atRest = (account: Account): Climbed => ({ account, alerts: none })

const none: readonly Alert[] = []

/**
 * The account with its stages brought up to date with what is posted, and the alerts that fired.
 */
export function climb(account: Account, rule: BudgetRule, now: Instant): Climbed {
  // A rule of 0 denies: there is nothing to climb.
  if (rule.amount === 0n) return atRest(account)
  const [lowest] = rule.ladder
  const isClear = account.fired.length === 0 && account.throttle === null
  if (lowest === undefined || (isClear && account.posted < thresholdAmount(rule.amount, lowest))) {
    return atRest(account)
  }
  let fired = account.fired
  let throttle = account.throttle
  const alerts: Alert[] = []
  for (const threshold of rule.ladder) {
    const crossed = account.posted >= thresholdAmount(rule.amount, threshold)
    const known = fired.includes(threshold.label)
    if (crossed && !known) {
      fired = [...fired, threshold.label]
      alerts.push(thresholdAlert(account, rule, threshold, now))
      const pace = threshold.actions.find((action) => action.kind === 'throttle')
      if (pace !== undefined && rule.mode === 'enforce') {
        throttle = startThrottle(threshold.label, pace.percent, account.recent, now)
      }
    }
    // The hard stop also fires when it first refuses, before that much is posted: it is armed
    // again only when the limit moves (`rearm`), not because less is posted than its line.
    if (!crossed && known && !isStop(threshold)) {
      fired = fired.filter((label) => label !== threshold.label)
      if (throttle?.label === threshold.label) throttle = null
    }
  }
  if (fired === account.fired && throttle === account.throttle) return { account, alerts }
  return { account: { ...account, fired, throttle }, alerts }
}

/** A limit was edited: stages above what is posted are armed again, those below it fire. */
export function rearm(account: Account, rule: BudgetRule, now: Instant): Climbed {
  if (account.amount === rule.amount) return atRest(account)
  const stops = new Set(rule.ladder.filter(isStop).map(({ label }) => label))
  const fired = account.fired.filter((label) => !stops.has(label))
  return climb({ ...account, amount: rule.amount, fired }, rule, now)
}

/** The hard stop refused a call: its threshold fires, though less than its line may be posted. */
export function stopped(account: Account, rule: BudgetRule, now: Instant): Climbed {
  const stop = rule.ladder.find(isStop)
  if (stop === undefined || account.fired.includes(stop.label) || rule.amount === 0n) {
    return atRest(account)
  }
  return {
    account: { ...account, fired: [...account.fired, stop.label] },
    alerts: [thresholdAlert(account, rule, stop, now)],
  }
}

function isStop({ actions }: Threshold): boolean {
  return actions.some(({ kind }) => kind === 'hard_stop')
}

function thresholdAlert(
  account: Account,
  rule: BudgetRule,
  { label, actions }: Threshold,
  now: Instant,
): Alert {
  const { key, budget, value, unit, posted, period } = account
  return {
    id: alertId(`${key}|${label}|${now}`),
    kind: rule.per === 'run' ? 'run_limit' : 'threshold',
    account: key,
    budget,
    value,
    unit,
    threshold: label,
    actions,
    at: now,
    amount: rule.amount,
    posted,
    overage: 0n,
    hold: null,
    periodEnd: period.end,
  }
}

/**
 * An id made of what it names, so that one seed gives one run on every store. FNV-1a in two lanes:
 * not for secrets, only to turn a long name into a short one.
 */
export function alertId(name: string): Alert['id'] {
  let a = 0xcbf29ce484222325n
  let b = 0x84222325cbf29ce4n
  for (let i = 0; i < name.length; i += 1) {
    const code = BigInt(name.charCodeAt(i))
    a = BigInt.asUintN(64, (a ^ code) * 0x100000001b3n)
    b = BigInt.asUintN(64, (b ^ (code + 1n)) * 0x100000001b3n)
  }
  return makeId('alrt', a.toString(36) + b.toString(36))
}
