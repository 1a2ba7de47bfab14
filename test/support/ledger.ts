/** Commands for a ledger without a gateway: one budget for all, one for each of four users. */
import type { BudgetRule } from '#core/budget.ts'
import type { Command, HoldCommand, Rules } from '#core/journal.ts'
import { nanos } from '#core/money.ts'
import type { Attribution } from '#core/scope.ts'
import { type Instant, instant } from '#core/time.ts'
import { type CallId, type HoldId, makeId } from '#lib/id.ts'

/** A thousand dollars a year without stages, unless `more` says otherwise. */
export const ruleOf = (name: string, more: Partial<BudgetRule> = {}): BudgetRule => ({
  id: makeId('bud', name),
  name,
  selector: {},
  per: null,
  unit: 'usd',
  amount: 1_000_000_000_000n,
  period: 'year',
  timeZone: 'UTC',
  mode: 'enforce',
  owner: null,
  reviewEveryDays: null,
  origin: 'test',
  ladder: [],
  ...more,
})

export const budgets: readonly BudgetRule[] = [ruleOf('all'), ruleOf('user', { per: 'user' })]
export const rules: Rules = (id) => budgets.find((budget) => budget.id === id) ?? null
export const start: Instant = instant(Date.UTC(2026, 10, 24))
/** A call of which only the organization is known. */
export const nobody: Attribution = {
  organization: 'acme',
  business_unit: null,
  team: null,
  agent: null,
  environment: null,
  tenant: null,
  user: null,
  key: null,
  model: null,
  provider: null,
}
export const holdId = (no: number): HoldId => `hold_${String(no).padStart(6, '0')}` as HoldId

export function holdOf(no: number): HoldCommand {
  const user = `u${no % 4}`
  return {
    kind: 'hold',
    hold: holdId(no),
    call: `call_${no}` as CallId,
    attribution: { ...nobody, user, model: 'm', provider: 'p' },
    accounts: budgets.map((budget) => ({ rule: budget, value: budget.per === null ? null : user })),
    asking: {
      fixedPicos: 1_000_000n,
      picosPerOutputToken: 0n,
      outputCap: 1,
      outputCapFloor: 1,
      fixedTokens: 10,
      tokensPerCap: 1,
    },
    expiresAt: instant(start + 600_000),
    conversation: null,
    marks: [],
    facts: { no },
  }
}

export function settleOf(no: number): Command {
  const cost = nanos(BigInt(100 + (no % 800)))
  return { kind: 'settle', hold: holdId(no), cost, tokens: 5, basis: 'actual', facts: {} }
}
