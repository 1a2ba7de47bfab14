/** `runs:` to rules with an account a run, and to what counts as a loop. */
import type { BudgetRule, LimitUnit, Threshold } from '#core/budget.ts'
import { parseUsd } from '#core/money.ts'
import type { LoopRule } from '#core/run.ts'
import { dimensions, type Selector } from '#core/scope.ts'
import { makeId } from '#lib/id.ts'
import type { RunEntry } from './document.ts'
import type { Merged } from './merged.ts'
import type { ConfigProblem } from './source.ts'

export interface CompiledRuns {
  readonly caps: readonly BudgetRule[]
  readonly loops: readonly LoopRule[]
}

/** Told and stopped at once: a run has nobody to be warned. */
const stop: readonly Threshold[] = [
  {
    label: '1.0',
    at: { numerator: 1n, denominator: 1n },
    actions: [{ kind: 'notify', channel: 'owner', name: null }, { kind: 'hard_stop' }],
  },
]

export function compileRuns(
  merged: Merged,
  names: { readonly timeZone: string; readonly ownerOf: (selector: Selector) => string | null },
  problems: ConfigProblem[],
): CompiledRuns {
  const caps: BudgetRule[] = []
  const loops: LoopRule[] = []
  for (const { entry, problem } of merged.runs) {
    const selector = selectorOf(entry)
    const own = capsOf(entry, selector, names)
    const taken = own.find(({ id }) => caps.some((cap) => cap.id === id))
    if (taken !== undefined) {
      problems.push(problem(`the same cap is defined twice: ${taken.name}`))
    }
    caps.push(...own)
    if (entry.loop !== undefined) loops.push(loopOf(entry.loop, selector))
    if (own.length === 0 && entry.loop === undefined) {
      problems.push(problem('a run needs a cap, such as max_usd: 5, or a loop'))
    }
  }
  return { caps, loops }
}

function selectorOf(entry: RunEntry): Selector {
  return Object.fromEntries(
    dimensions.flatMap((name) => {
      const value = entry[name]
      return value === undefined ? [] : [[name, value] as const]
    }),
  )
}

function capsOf(
  entry: RunEntry,
  selector: Selector,
  names: { readonly timeZone: string; readonly ownerOf: (selector: Selector) => string | null },
): readonly BudgetRule[] {
  const words = Object.values(selector)
  const cap = (unit: LimitUnit, amount: bigint): BudgetRule => ({
    id: makeId('bud', idOf(selector, unit)),
    name: `${words.join(' ') || 'everything'} a run`,
    selector,
    per: 'run',
    unit,
    amount,
    period: 'year',
    timeZone: names.timeZone,
    ladder: stop,
    mode: entry.mode ?? 'enforce',
    owner: names.ownerOf(selector),
    reviewEveryDays: null,
    origin: 'runs',
  })
  const usd = entry.max_usd === undefined ? null : parseUsd(entry.max_usd)
  return [
    ...(usd === null ? [] : [cap('usd', usd)]),
    ...(entry.max_calls === undefined ? [] : [cap('calls', BigInt(entry.max_calls))]),
  ]
}

function idOf(selector: Selector, unit: LimitUnit): string {
  const parts = Object.entries(selector).map(([name, value]) => `${name}-${value}`)
  const text = ['run', ...parts, unit].join('-')
  return text.replace(/[^0-9a-zA-Z]+/g, '-').slice(0, 60)
}

const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000 }

function loopOf(loop: NonNullable<RunEntry['loop']>, selector: Selector): LoopRule {
  const count = (text: string | undefined): number | null =>
    text === undefined ? null : Number(text)
  const within = loop.within ?? '60s'
  return {
    selector,
    identicalCalls: count(loop.identical_calls),
    retries: count(loop.retries),
    returns: count(loop.returns),
    withinMs: Number(within.slice(0, -1)) * (unitMs[within.slice(-1)] ?? 1000),
  }
}
