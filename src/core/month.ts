/** A month's close as a report says it: one part for the company, one for each team. */

/** Amounts are decimal strings of dollars, as everywhere at the API. */
export interface MonthSpend {
  readonly name: string | null
  readonly calls: string
  readonly cost_usd: string
  readonly presumed_usd: string
}

export interface MonthBudget {
  readonly name: string
  readonly value: string | null
  readonly period: string
  readonly limit_usd: string
  readonly posted_usd: string
  readonly used_percent: string
}

export interface MonthOutcome {
  readonly type: string
  readonly outcomes: number
  readonly cost_usd: string
  readonly each_usd: string | null
  readonly low_usd: string | null
  readonly high_usd: string | null
}

export interface MonthTeam extends MonthSpend {
  readonly agents: readonly (MonthSpend & { readonly model: string | null })[]
  readonly budgets: readonly MonthBudget[]
  readonly outcomes: readonly MonthOutcome[]
  /** The dearest; null: too many to tell. */
  readonly conversations: readonly MonthSpend[] | null
}

export interface MonthReport {
  /** '2026-10', UTC. */
  readonly month: string
  readonly organization: string
  /** The instant up to which it is: the month's end, or now while it runs. */
  readonly until: string
  readonly is_over: boolean
  /** How sure the amounts are: metered at list prices, not yet put beside a bill. */
  readonly mark: 'metered' | 'reconciled' | 'final'
  readonly total: MonthSpend
  readonly tokens: string
  /** What the month before came to. */
  readonly before_usd: string
  readonly business_units: readonly MonthSpend[]
  readonly models: readonly MonthSpend[]
  readonly budgets: readonly MonthBudget[]
  readonly outcomes: readonly MonthOutcome[]
  /** Of the next month, or of this one while it runs. Null: fewer than seven whole days. */
  readonly forecast: {
    readonly month: string
    readonly expected_usd: string
    readonly low_usd: string
    readonly high_usd: string
  } | null
  readonly teams: readonly MonthTeam[]
}
