/** `outcomes:` to definitions: a changed one has another version. */
import { createHash } from 'node:crypto'
import { nanos, type Nanos, parseUsd } from '#core/money.ts'
import type { OutcomeDefinition } from '#core/outcome.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { compileOutcomeHooks } from './compile-outcome-hooks.ts'
import { compileOutcomeLimits } from './compile-outcome-limits.ts'
import type { Names } from './compile-rules.ts'
import type { Merged } from './merged.ts'
import type { OutcomeEntry } from './outcomes.ts'
import { type ConfigProblem, didYouMean } from './source.ts'

const unitMs: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}
/** Longer, and nobody would be waiting for it any more. */
const quietDaysMax = 366

type Compiled = Pick<Snapshot, 'outcomes' | 'outcomeHooks' | 'outcomeLimits'>

export function compileOutcomes(
  merged: Merged,
  names: Names,
  problems: ConfigProblem[],
  notices: string[],
): Compiled {
  const outcomes = definitions(merged, names, problems)
  const types = outcomes.map(({ type }) => type)
  return {
    outcomes,
    outcomeHooks: compileOutcomeHooks(merged, types, problems, notices),
    outcomeLimits: compileOutcomeLimits(merged, types, names, problems),
  }
}

function definitions(
  merged: Merged,
  { tree, treeDeclared }: Names,
  problems: ConfigProblem[],
): readonly OutcomeDefinition[] {
  const agents = treeDeclared
    ? tree.filter(({ kind }) => kind === 'agent').map(({ name }) => name)
    : null
  return Object.entries(merged.file.outcomes ?? {}).map(([type, entry]) => {
    const written: OutcomeEntry = typeof entry === 'object' && entry !== null ? entry : {}
    const definition = definitionOf(type, written)
    const refuse = (field: string, message: string, hint: string | null = null): void => {
      problems.push(merged.problem(['outcomes', type, field], message, hint))
    }
    if (definition.quietMs > quietDaysMax * 86_400_000) {
      refuse('quiet_period', `${written.quiet_period} is too long`, `at most ${quietDaysMax}d`)
    }
    const { agent } = definition.match
    if (agents !== null && agent !== undefined && !agents.includes(agent)) {
      refuse('match', `there is no agent "${agent}"`, didYouMean(agent, agents))
    }
    return definition
  })
}

function definitionOf(type: string, entry: OutcomeEntry): OutcomeDefinition {
  const { quiet_period: quiet = '0s', one_per, attested_by, credit, match = {} } = entry
  const parts = {
    type,
    quietMs: Number(quiet.slice(0, -1)) * (unitMs[quiet.slice(-1)] ?? 1000),
    onePer: one_per ?? null,
    attestedBy: attested_by ?? null,
  }
  const usd = (text: string | undefined): Nanos | null =>
    text === undefined ? null : parseUsd(text)
  return {
    ...parts,
    // Of what decides whether one holds. What it is compared with, or worth, changes no count.
    version: createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 8),
    credit: credit ?? 'last_touch',
    match,
    value: usd(entry.value_usd),
    compare: usd(entry.compare_usd),
    humanMinute: usd(entry.human_minute_usd) ?? nanos(0n),
  }
}
