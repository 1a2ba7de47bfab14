/**
 * Runs: one task of an agent, with the runs of the sub-agents that it started. A cap on a run is a
 * rule with an account for each run, so it is as exact as a budget, and inherited: a call counts in
 * its own run and in every run that its run comes from.
 */
import type { AccountRef } from './account.ts'
import type { BudgetRule } from './budget.ts'
import { matching } from './rule-index.ts'
import { type Attribution, matches, type Selector } from './scope.ts'

/** A run that a call is part of, and who it was for. */
export interface RunScope {
  /** The run's name within its tenant and environment: nobody else's run of that name is meant. */
  readonly id: string
  readonly attribution: Attribution
}

/** What is known of a run once it has begun. */
export interface RunLink {
  readonly parent: string | null
  readonly attribution: Attribution
}

/** When repetition is a loop. Counts are of one run. */
export interface LoopRule {
  readonly selector: Selector
  /** More calls with the same body within `withinMs` are one; null: not looked for. */
  readonly identicalCalls: number | null
  /** More retries by an SDK within `withinMs` are a storm; null: not looked for. */
  readonly retries: number | null
  /** An agent may come back so often in a chain of runs; null: not looked for. */
  readonly returns: number | null
  readonly withinMs: number
}

/** Deeper than any chain of runs that somebody meant; a call writes to the caps of all of them. */
export const generationsMax = 64

/** `null` where the call is part of none. */
export function runId(
  run: string | null,
  { tenant, environment }: Pick<Attribution, 'tenant' | 'environment'>,
): string | null {
  if (run === null) return null
  return `${escaped(run)}@${escaped(tenant ?? '')}@${escaped(environment ?? '')}`
}

/** An address is a name too: two runs are one where all three parts are the same. */
const escaped = (part: string): string => part.replace(/[%@]/g, encodeURIComponent)

/** Whose account it is, for people. */
export const valueName = (rule: Pick<BudgetRule, 'per'> | null, value: string): string =>
  rule?.per === 'run' ? runName(value) : value

/** A run's name, and in brackets the tenant and environment that it is one of. */
export function runName(id: string): string {
  const [run = '', ...within] = id.split('@').map(decodeURIComponent)
  const known = within.filter((part) => part !== '')
  return known.length === 0 ? run : `${run} (${known.join(', ')})`
}

export const runMark = (id: string): string => `run|${id}`

/** The accounts of caps on the runs, the call's own run first. */
export function runAccounts(
  caps: readonly BudgetRule[],
  runs: readonly RunScope[],
  call: Pick<Attribution, 'model' | 'provider'>,
): readonly AccountRef[] {
  if (caps.length === 0) return []
  const { model, provider } = call
  return runs.flatMap(({ id, attribution }) =>
    matching(caps, { ...attribution, model, provider }).map((rule) => ({ rule, value: id })),
  )
}

/** The agents of a chain from its start, where the last one came back more than `returns` times. */
export function circleIn(runs: readonly RunScope[], returns: number): readonly string[] | null {
  // Most calls stand in a chain too short to have come back so often.
  if (runs.length < returns + 2) return null
  const agents = runs.flatMap(({ attribution: { agent } }) => agent ?? []).toReversed()
  const last = agents.at(-1)
  const seen = agents.filter((agent) => agent === last).length
  // One agent that starts runs of its own is no circle between agents.
  const others = new Set(agents).size > 1
  return others && seen - 1 > returns ? agents : null
}

export function loopRulesFor(
  rules: readonly LoopRule[],
  attribution: Attribution,
): readonly LoopRule[] {
  return rules.filter(({ selector }) => matches(selector, attribution))
}
