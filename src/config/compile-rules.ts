/** Budgets and quotas to rules: one rule a period, with an id that an edited amount keeps. */
import { createHash } from 'node:crypto'
import type { Action, BudgetRule, Channel, LimitUnit, Threshold } from '#core/budget.ts'
import { parseRatio, parseUsd } from '#core/money.ts'
import type { PriceBook } from '#core/price-book.ts'
import { type Dimension, dimensions, type Selector } from '#core/scope.ts'
import type { TreeNode } from '#core/snapshot.ts'
import type { PeriodKind } from '#core/time.ts'
import { makeId } from '#lib/id.ts'
import { onceFor } from '#lib/once.ts'
import {
  type BudgetEntry,
  counted,
  type LadderEntry,
  moneyPeriods,
  type QuotaEntry,
  windows,
} from './document.ts'
import type { Merged, Placed } from './merged.ts'
import { type ConfigProblem, didYouMean } from './source.ts'

export interface Names {
  readonly organization: string
  readonly tree: readonly TreeNode[]
  readonly treeDeclared: boolean
  readonly timeZone: string
  readonly environments: readonly string[]
  readonly priceBook: PriceBook
  readonly providers: readonly string[]
  readonly models: readonly string[]
}

const periodOf: Readonly<Record<(typeof moneyPeriods)[number], PeriodKind>> = {
  hourly: 'hour',
  daily: 'day',
  weekly: 'week',
  monthly: 'month',
  quarterly: 'quarter',
  yearly: 'year',
}

const builtIn: readonly LadderEntry[] = [
  { threshold: '0.5', action: 'notify' },
  { threshold: '0.8', action: 'notify' },
  { threshold: '1.0', action: 'notify' },
  { threshold: '1.1', action: 'throttle_to_50_percent' },
  { threshold: '1.2', action: 'hard_stop' },
]

interface Limit {
  readonly key: string
  readonly unit: LimitUnit
  readonly period: PeriodKind
  readonly amount: bigint
}

export function compileRules(
  merged: Merged,
  names: Names,
  problems: ConfigProblem[],
  notices: string[],
): readonly BudgetRule[] {
  const rules = new Map<string, BudgetRule>()
  const add = (rule: BudgetRule, placed: Placed<unknown>): void => {
    const before = rules.get(rule.id)
    if (before === undefined) rules.set(rule.id, rule)
    else problems.push(placed.problem(`the same limit is defined at ${before.origin}`))
  }
  const fallback = merged.file.alerts?.default_ladder ?? builtIn
  // One for all that use it: a hundred thousand budgets are to be had in little memory.
  let shared: readonly Threshold[] | null = null
  const ladderFor = (placed: Placed<BudgetEntry>): readonly Threshold[] => {
    const { alerts } = placed.entry
    if (alerts !== undefined) return ladderOf(alerts, placed, problems)
    shared ??= ladderOf(fallback, placed, problems)
    return shared
  }
  for (const placed of merged.budgets) {
    const { entry } = placed
    const limits = moneyLimits(entry)
    if (limits.length === 0) {
      if (entry.max_usd_per_outcome !== undefined) continue
      problems.push(placed.problem('a budget needs an amount, such as budget_monthly_usd: 25000'))
    }
    const ladder = ladderFor(placed)
    const enforced = entry.mode !== 'observe'
    if (
      enforced &&
      !ladder.some(({ actions }) => actions.some(({ kind }) => kind === 'hard_stop'))
    ) {
      notices.push(`${nameOf(entry)}: its ladder has no hard_stop, so it never stops anything`)
    }
    for (const limit of limits) add(ruleOf(placed, limit, ladder, names, problems), placed)
  }
  for (const placed of merged.quotas) {
    const { entry } = placed
    const limits = quotaLimits(entry)
    if (limits.length === 0)
      problems.push(placed.problem('a quota needs a limit, such as max_calls_per_day: 200'))
    const ladder = quotaLadder(entry.soft)
    for (const limit of limits) add(ruleOf(placed, limit, ladder, names, problems), placed)
  }
  return [...rules.values()]
}

export function moneyLimits(entry: BudgetEntry): readonly Limit[] {
  return moneyPeriods.flatMap((period): readonly Limit[] => {
    const key = `budget_${period}_usd` as const
    const written = entry[key]
    const amount = written === undefined ? null : parseUsd(written)
    return amount === null ? [] : [{ key, unit: 'usd', period: periodOf[period], amount }]
  })
}

function quotaLimits(entry: QuotaEntry): readonly Limit[] {
  const perWindow = counted.flatMap((unit) =>
    windows.flatMap((period): readonly Limit[] => {
      const key = `max_${unit}_per_${period}` as const
      const written = entry[key]
      return written === undefined ? [] : [{ key, unit, period, amount: BigInt(written) }]
    }),
  )
  if (entry.max_concurrent === undefined) return perWindow
  const amount = BigInt(entry.max_concurrent)
  return [...perWindow, { key: 'max_concurrent', unit: 'concurrent', period: 'year', amount }]
}

type Entry = BudgetEntry | QuotaEntry

export function selectorOf(entry: Entry): Selector {
  const pairs = dimensions.flatMap((name) => {
    const value = entry[name]
    return value === undefined ? [] : [[name, value] as const]
  })
  return Object.fromEntries(pairs)
}

export function nameOf(entry: Entry): string {
  if (entry.name !== undefined) return entry.name
  const values = Object.values(selectorOf(entry)).map(String)
  const each = entry.per === undefined ? [] : [`per ${entry.per}`]
  return [...values, ...each].join(' ') || 'everything'
}

function ruleOf(
  placed: Placed<Entry>,
  limit: Limit,
  ladder: readonly Threshold[],
  names: Names,
  problems: ConfigProblem[],
): BudgetRule {
  const { entry } = placed
  const selector = selectorOf(entry)
  checkSelector(selector, placed, names, problems)
  const { file, line, column } = placed.problem('')
  const owner =
    'owner' in entry && entry.owner !== undefined ? entry.owner : ownerOf(selector, names)
  const review = 'review_every' in entry ? entry.review_every : undefined
  return {
    id: idOf(selector, entry.per ?? null, limit),
    name: `${nameOf(entry)} ${wordOf(limit)}`,
    selector,
    per: entry.per ?? null,
    unit: limit.unit,
    amount: limit.amount,
    period: limit.period,
    timeZone: names.timeZone,
    ladder,
    mode: entry.mode ?? 'enforce',
    owner,
    reviewEveryDays: review === undefined ? null : Number(review.slice(0, -1)),
    origin: `${file}:${line}:${column}`,
  }
}

function wordOf({ unit, period }: Limit): string {
  if (unit === 'concurrent') return 'concurrent calls'
  const each = period === 'hour' ? 'an hour' : `a ${period}`
  return unit === 'usd' ? each : `${unit} ${each}`
}

/** From who and when, never from how much: the account outlives a change of its amount. */
export function idOf(
  selector: Selector,
  per: Dimension | null,
  { unit, period }: Limit,
): BudgetRule['id'] {
  const parts = dimensions.flatMap((name) =>
    selector[name] === undefined ? [] : [`${name}=${selector[name]}`],
  )
  const full = [...parts, ...(per === null ? [] : [`per=${per}`]), unit, period].join('|')
  const words = [
    ...Object.values(selector),
    ...(per === null ? [] : ['per', per]),
    ...(unit === 'usd' ? [] : [unit]),
    ...(unit === 'concurrent' ? [] : [period]),
  ].map((word) =>
    String(word)
      .replace(/[^0-9a-zA-Z]+/g, '-')
      .replace(/^-+|-+$/g, ''),
  )
  const shown = words.filter((word) => word !== '').join('-')
  // Where the words are not the whole name, only the digest tells two of them apart.
  const isLossy = shown.length > 50 || Object.values(selector).some((one) => /[^ -~]/.test(one))
  const hex = createHash('sha256').update(full).digest('hex')
  const digest = hex.slice(0, isLossy ? 16 : 6)
  return makeId('bud', `${shown.slice(0, 50)}-${digest}`)
}

const parts = ['agent', 'team', 'business_unit'] as const

/** Of the smallest part of the organization that the selector names. */
export function ownerOf(selector: Selector, { tree }: Pick<Names, 'tree'>): string | null {
  const nodes = nodesByName(tree)
  for (const kind of parts) {
    const node = nodes[kind].get(selector[kind] ?? '')
    if (node !== undefined) return node.owner
  }
  return null
}

/** Thousands of rules ask for thousands of agents. */
const nodesByName = onceFor((tree: readonly TreeNode[]) => {
  const of = (kind: TreeNode['kind']): ReadonlyMap<string, TreeNode> =>
    new Map(tree.filter((node) => node.kind === kind).map((node) => [node.name, node]))
  return { agent: of('agent'), team: of('team'), business_unit: of('business_unit') }
})

/** Whom a selector can name; a dimension that is not there can be anything. */
const namesKnown = onceFor((names: Names): Partial<Record<Dimension, ReadonlySet<string>>> => {
  const { priceBook, environments, tree } = names
  const nodes = nodesByName(tree)
  return {
    organization: new Set([names.organization]),
    provider: new Set([...names.providers, 'simulator']),
    model: new Set([...priceBook.rows.map(({ model }) => model), ...names.models]),
    ...(environments.length > 0 ? { environment: new Set(environments) } : {}),
    ...(names.treeDeclared
      ? Object.fromEntries(parts.map((kind) => [kind, new Set(nodes[kind].keys())]))
      : {}),
  }
})

/** A selector that can never match is a budget that protects nothing. */
export function checkSelector(
  selector: Selector,
  placed: Placed<Entry>,
  names: Names,
  problems: ConfigProblem[],
): void {
  const known = namesKnown(names)
  for (const name of dimensions) {
    const wanted = selector[name]
    const names = known[name]
    if (wanted === undefined || names === undefined || names.has(wanted)) continue
    problems.push(
      placed.problem(
        `there is no ${name.replace('_', ' ')} "${wanted}", so this can never match`,
        [name],
        didYouMean(wanted, [...names]),
      ),
    )
  }
}

function quotaLadder(soft: string | undefined): readonly Threshold[] {
  const stop: Threshold = {
    label: '1.0',
    at: { numerator: 1n, denominator: 1n },
    actions: [{ kind: 'hard_stop' }],
  }
  const at = soft === undefined ? null : parseRatio(soft)
  if (soft === undefined || at === null) return [stop]
  return [{ label: soft, at, actions: [{ kind: 'notify', channel: 'owner', name: null }] }, stop]
}

function ladderOf(
  entries: readonly LadderEntry[],
  placed: Placed<Entry>,
  problems: ConfigProblem[],
): readonly Threshold[] {
  const steps = entries.flatMap((entry, i): readonly Threshold[] => {
    const read = stepOf(entry)
    if (read === null) {
      problems.push(
        placed.problem('write a step as {threshold: 0.8, action: notify}', ['alerts', i]),
      )
      return []
    }
    return [read]
  })
  const above = (a: Threshold, b: Threshold): boolean =>
    a.at.numerator * b.at.denominator > b.at.numerator * a.at.denominator
  steps.forEach((step, i) => {
    const before = steps[i - 1]
    if (before === undefined || above(step, before)) return
    problems.push(
      placed.problem(`threshold ${step.label} must be above ${before.label}`, ['alerts', i]),
    )
  })
  return steps
}

function stepOf(entry: LadderEntry): Threshold | null {
  const [label, actions] = partsOf(entry)
  const at = parseRatio(label)
  if (at === null || at.numerator === 0n) return null
  const read = actions.map(actionOf)
  const known = read.filter((one) => one !== null)
  return known.length === read.length && known.length > 0 ? { label, at, actions: known } : null
}

function partsOf(entry: LadderEntry): readonly [string, readonly string[]] {
  const { threshold, action, actions } = entry as {
    threshold?: string
    action?: string
    actions?: readonly string[]
  }
  if (threshold !== undefined) return [threshold, actions ?? (action === undefined ? [] : [action])]
  const [label = '', ...rest] = Object.keys(entry)
  return [label, rest]
}

function actionOf(text: string): Action | null {
  const throttle = /^throttle_to_(\d{1,3})_percent$/.exec(text)
  if (throttle !== null) return { kind: 'throttle', percent: Number(throttle[1]) }
  const webhook = /^notify_webhook:([\w-]+)$/.exec(text)
  if (webhook !== null) return { kind: 'notify', channel: 'webhook', name: webhook[1] ?? '' }
  const channel = /^notify_(slack|pagerduty|teams|email)$/.exec(text)
  if (channel !== null) return { kind: 'notify', channel: channel[1] as Channel, name: null }
  const downgrade = /^downgrade_to:([\w.-]+)$/.exec(text)
  if (downgrade !== null) return { kind: 'downgrade', route: downgrade[1] ?? '' }
  if (text === 'notify') return { kind: 'notify', channel: 'owner', name: null }
  return text === 'hard_stop' ? { kind: 'hard_stop' } : null
}
