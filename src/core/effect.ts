/** What a new config would do at once, to what is spent already. */
import { type Account, accountKey, type AccountState, openAccount, stateOf } from './account.ts'
import type { BudgetRule } from './budget.ts'
import { climb, rearm } from './ladder.ts'
import { type Override, reliefOf } from './override.ts'
import type { Snapshot } from './snapshot.ts'
import type { Instant } from './time.ts'
import type { TreeNode } from './tree.ts'

/** `none`: there is no such limit. */
export type EffectState = AccountState | 'none'

export interface Effect {
  readonly rule: BudgetRule
  readonly value: string | null
  readonly before: EffectState
  readonly after: EffectState
  /** As it would be, or as it was where the limit goes. */
  readonly account: Account
  /** Whom it concerns: agents of the tree below it, or the value of a `per` rule. */
  readonly concerns: readonly string[]
}

const severity: Readonly<Record<EffectState, number>> = {
  none: 0,
  ok: 0,
  warn: 1,
  over: 2,
  throttled: 3,
  stopped: 4,
}

export const isWorse = ({ before, after }: Effect): boolean => severity[after] > severity[before]

/** True where calls that pass now would not, or not as they come. */
export const isHarsh = (effect: Effect): boolean =>
  isWorse(effect) && ['throttled', 'stopped'].includes(effect.after)

/** Rules of `after` that the ledger has not counted: `backfill` says what stands in them. */
export function uncounted(before: Snapshot, after: Snapshot): readonly BudgetRule[] {
  const known = new Map(before.budgets.map((rule) => [rule.id, rule.timeZone]))
  return after.budgets.filter(({ id, timeZone }) => known.get(id) !== timeZone)
}

/**
 * Accounts whose stage would change, the hardest first. `accounts`: those of the present periods,
 * and those that new rules would begin with.
 */
export function effectsOf(
  before: Snapshot,
  after: Snapshot,
  accounts: readonly Account[],
  overrides: readonly Override[],
  now: Instant,
): readonly Effect[] {
  const old = new Map(before.budgets.map((rule) => [rule.id, rule]))
  const present = new Set(after.budgets.map(({ id }) => id))
  const byBudget = Map.groupBy(accounts, ({ budget }) => budget)
  const stateBy = (account: Account, rule: BudgetRule | undefined): EffectState =>
    rule === undefined ? 'none' : stateOf(account, rule, reliefOf(overrides, account, now))
  const accountsNow = (rule: BudgetRule): readonly Account[] => {
    const own = byBudget.get(rule.id) ?? []
    const current = own.filter(({ key, value }) => key === accountKey({ rule, value }, now))
    if (current.length > 0 || rule.per !== null) return current
    return [openAccount({ rule, value: null }, now)]
  }
  const effects = after.budgets.flatMap((rule) =>
    accountsNow(rule).map((account): Effect => {
      const then = climb(rearm(account, rule, now).account, rule, now).account
      const states = { before: stateBy(account, old.get(rule.id)), after: stateBy(then, rule) }
      return effectOn(after, rule, then, states)
    }),
  )
  const freed = before.budgets
    .filter(({ id }) => !present.has(id))
    .flatMap((rule) =>
      accountsNow(rule).map((account) =>
        effectOn(before, rule, account, { before: stateBy(account, rule), after: 'none' }),
      ),
    )
  return [...effects, ...freed]
    .filter((effect) => severity[effect.before] !== severity[effect.after])
    .sort((a, b) => severity[b.after] - severity[a.after])
}

function effectOn(
  snapshot: Snapshot,
  rule: BudgetRule,
  account: Account,
  states: Pick<Effect, 'before' | 'after'>,
): Effect {
  return {
    rule,
    value: account.value,
    account,
    ...states,
    concerns: concerned(snapshot, rule, account),
  }
}

function concerned(
  { tree }: Snapshot,
  { per, selector }: BudgetRule,
  { value }: Account,
): readonly string[] {
  if (per !== null && per !== 'agent') return [`${per} ${value ?? ''}`]
  const agent = per === 'agent' ? value : (selector.agent ?? null)
  if (agent !== null) return [agent]
  return tree
    .filter((node) => node.kind === 'agent' && isBelow(node, selector))
    .map(({ name }) => name)
}

function isBelow(node: TreeNode, { team, business_unit: unit }: BudgetRule['selector']): boolean {
  return (
    (team === undefined || node.team === team) && (unit === undefined || node.businessUnit === unit)
  )
}

/** "2 agents would be stopped now: a, b (budget "support monthly")", the hardest first. */
export function effectLines(effects: readonly Effect[]): readonly string[] {
  return effects.map((effect) => {
    const { rule, concerns, after, before } = effect
    const what = `${rule.unit === 'usd' ? 'budget' : 'quota'} "${rule.name}"`
    const who = concernText(concerns)
    if (after === 'none') return `${who} would be free of ${what}: ${before} before`
    const then = before === 'none' ? 'it is new' : `${before} before`
    return `${who} would be ${sayings[after]} now, by ${what}: ${then}`
  })
}

const sayings: Readonly<Record<AccountState, string>> = {
  ok: 'within the limit',
  warn: 'near the limit',
  over: 'over the amount',
  throttled: 'throttled',
  stopped: 'stopped',
}

const shownMax = 5

function concernText(concerns: readonly string[]): string {
  if (concerns.length === 0) return 'every call under it'
  const few = concerns.slice(0, shownMax).join(', ')
  const rest = concerns.length > shownMax ? ` and ${concerns.length - shownMax} more` : ''
  if (concerns.length === 1) return few
  return `${concerns.length} agents (${few}${rest})`
}
