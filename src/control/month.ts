/** `/reports/month`: what a month came to, for the company and for each team. */
import { z } from 'zod'
import type { Account } from '#core/account.ts'
import type { BudgetRule } from '#core/budget.ts'
import { forecast } from '#core/forecast.ts'
import { formatPercent } from '#core/money.ts'
import type { MonthBudget, MonthOutcome, MonthReport, MonthSpend, MonthTeam } from '#core/month.ts'
import { type CostRow, whole } from '#core/outcome-cost.ts'
import { isWithin, spentWithin, type Subtree } from '#core/role.ts'
import { dayMs, dayOf, type SpendDimension, type SpendRow } from '#core/spend.ts'
import { type Instant, instant, type Period, parseInstant, periodAt, toIso } from '#core/time.ts'
import type { WorkQuery } from '#core/work.ts'
import { subtreeSelector } from './access.ts'
import { reachesAccount } from './access.ts'
import type { Actor, ControlDeps } from './deps.ts'
import { invalid } from './problem.ts'
import { spendSeen } from './reports.ts'
import { markBetween } from './months.ts'
import { declare, everybody, type Route } from './route.ts'
import { usd } from './shapes.ts'

const spend = z.object({
  name: z.string().nullable(),
  calls: z.string(),
  cost_usd: z.string(),
  presumed_usd: z.string(),
})
const budget = z.object({
  name: z.string(),
  value: z.string().nullable(),
  period: z.string(),
  limit_usd: z.string(),
  posted_usd: z.string(),
  used_percent: z.string(),
})
const outcome = z.object({
  type: z.string(),
  outcomes: z.number(),
  cost_usd: z.string(),
  each_usd: z.string().nullable(),
  low_usd: z.string().nullable(),
  high_usd: z.string().nullable(),
})
const shape = z.object({
  month: z.string(),
  organization: z.string(),
  until: z.string(),
  is_over: z.boolean(),
  mark: z.enum(['metered', 'reconciled', 'final']),
  total: spend,
  tokens: z.string(),
  before_usd: z.string(),
  business_units: z.array(spend),
  models: z.array(spend),
  budgets: z.array(budget),
  outcomes: z.array(outcome),
  forecast: z
    .object({
      month: z.string(),
      expected_usd: z.string(),
      low_usd: z.string(),
      high_usd: z.string(),
    })
    .nullable(),
  teams: z.array(
    spend.extend({
      agents: z.array(spend.extend({ model: z.string().nullable() })),
      budgets: z.array(budget),
      outcomes: z.array(outcome),
      conversations: z.array(spend).nullable(),
    }),
  ),
})

export const monthReportRoutes: readonly Route[] = [
  declare({
    method: 'get',
    path: '/reports/month',
    summary: 'What a month came to, for the company and for each team: the month-close report',
    allows: everybody,
    /** '2026-10', UTC. Left out: the current one. */
    query: z.object({ month: z.string().optional() }),
    answer: shape,
    handle: async ({ deps, actor, query }) => monthReport(deps, actor, query.month),
  }),
]

function monthOf({ clock }: ControlDeps, text: string | undefined): Period {
  const now = clock.now()
  if (text === undefined) return periodAt('month', 'UTC', now)
  const start = /^\d{4}-\d{2}$/.test(text) ? parseInstant(`${text}-01T00:00:00Z`) : null
  if (start === null) throw invalid('month', `"${text}" is not a month: write 2026-10`)
  if (start > now) throw invalid('month', `${text} has not begun`)
  return periodAt('month', 'UTC', start)
}

const nameOfMonth = (at: Instant): string => toIso(at).slice(0, 7)

async function monthReport(
  deps: ControlDeps,
  actor: Actor,
  text: string | undefined,
): Promise<MonthReport & z.infer<typeof shape>> {
  const { start, end } = monthOf(deps, text)
  const now = deps.clock.now()
  const isOver = now >= end
  const rows = (by: readonly SpendDimension[], from = start, to = end) =>
    spendSeen(deps, actor, { from, to, daily: false, by })
  const before = periodAt('month', 'UTC', instant(start - 1))
  const [total] = await rows([])
  const [past] = await rows([], before.start, before.end)
  const budgets = await budgetsAt(deps, actor, isOver ? instant(end - 1) : now)
  const outcomes = await outcomesOf(deps, actor, { start, end })
  return {
    month: nameOfMonth(start),
    organization: deps.snapshot().organization,
    until: toIso(isOver ? end : now),
    is_over: isOver,
    mark: await markBetween(deps, start, end),
    total: total === undefined ? nothing : showSpend(total, null),
    tokens: String(total?.tokens ?? 0n),
    before_usd: usd(past?.cost ?? 0n),
    business_units: named(await rows(['business_unit']), 'business_unit'),
    models: named(await rows(['model']), 'model'),
    budgets: budgets.map(showBudget),
    outcomes: outcomes.map(({ type, total: all }) => showOutcome(type, all)),
    forecast: await forecastOf(deps, actor, { start, end }, now),
    teams: await teamsOf(deps, actor, { start, end }, { budgets, outcomes }),
  }
}

const nothing: MonthSpend = { name: null, calls: '0', cost_usd: usd(0n), presumed_usd: usd(0n) }

const showSpend = (row: SpendRow, name: string | null): MonthSpend => ({
  name,
  calls: String(row.calls),
  cost_usd: usd(row.cost),
  presumed_usd: usd(row.presumed),
})

const named = (rows: readonly SpendRow[], by: SpendDimension): MonthSpend[] =>
  rows.map((row) => showSpend(row, row.scope[by]))

interface Standing {
  readonly rule: BudgetRule
  readonly account: Account
}

/** Of a month or longer: what a day's budget stood at on the last day says nothing of a month. */
async function budgetsAt(
  deps: ControlDeps,
  actor: Actor,
  at: Instant,
): Promise<readonly Standing[]> {
  const rules = new Map(deps.snapshot().budgets.map((rule) => [rule.id, rule]))
  return (await deps.store.accountsAt(at)).flatMap((account) => {
    const rule = rules.get(account.budget)
    if (rule === undefined || rule.unit !== 'usd' || rule.per === 'run') return []
    if (!['month', 'quarter', 'year'].includes(rule.period)) return []
    return reachesAccount(deps, actor, rule, account.value) ? [{ rule, account }] : []
  })
}

/** The limit is the account's own: that of then, not the one in force today. */
const showBudget = ({ rule, account }: Standing): MonthBudget => ({
  name: rule.name,
  value: account.value,
  period: rule.period,
  limit_usd: usd(account.amount),
  posted_usd: usd(account.posted),
  used_percent: formatPercent(account.posted, account.amount),
})

interface Outcomes {
  readonly type: string
  readonly total: CostRow
  readonly teams: ReadonlyMap<string | null, CostRow>
}

async function outcomesOf(
  deps: ControlDeps,
  actor: Actor,
  period: Period,
): Promise<readonly Outcomes[]> {
  const found: Outcomes[] = []
  for (const definition of deps.snapshot().outcomes) {
    const question = {
      definition,
      period,
      by: 'team',
      closedAt: null,
      now: deps.clock.now(),
    } as const
    const cost = await deps.unitCost(question, subtreeSelector(actor))
    const teams = new Map(cost.groups.map((row) => [row.group, row]))
    found.push({ type: definition.type, total: cost.total, teams })
  }
  return found
}

const usdOr = (amount: bigint | null | undefined): string | null =>
  amount === null || amount === undefined ? null : usd(amount)

const showOutcome = (type: string, row: CostRow): MonthOutcome => ({
  type,
  outcomes: Number(row.counted) / Number(whole),
  cost_usd: usd(row.cost),
  each_usd: usdOr(row.perOutcome),
  low_usd: usdOr(row.interval?.low),
  high_usd: usdOr(row.interval?.high),
})

/** From whole days before the month's end, or before today while it runs. */
async function forecastOf(
  deps: ControlDeps,
  actor: Actor,
  { start, end }: Period,
  now: Instant,
): Promise<MonthReport['forecast'] & z.infer<typeof shape>['forecast']> {
  const until = now >= end ? end : dayOf(now)
  const of = now >= end ? periodAt('month', 'UTC', end) : { start, end }
  const from = instant(until - 120 * dayMs)
  const rows = await spendSeen(deps, actor, { from, to: until, daily: true, by: [] })
  const byDay = new Map(rows.map(({ day, cost }) => [Number(day), Number(cost)]))
  const first = Math.min(...byDay.keys(), until)
  const days = Array.from({ length: (until - first) / dayMs }, (_, i) => {
    return byDay.get(first + i * dayMs) ?? 0
  })
  const rest = forecast(days, Math.max(1, Math.round((of.end - Math.max(of.start, until)) / dayMs)))
  if (rest === null) return null
  const spent = rows
    .filter(({ day }) => day !== null && day >= of.start)
    .reduce((sum, { cost }) => sum + cost, 0n)
  const amount = (value: number): string => usd(spent + BigInt(Math.round(value)))
  return {
    month: nameOfMonth(of.start),
    expected_usd: amount(rest.expected),
    low_usd: amount(rest.low),
    high_usd: amount(rest.high),
  }
}

interface Known {
  readonly budgets: readonly Standing[]
  readonly outcomes: readonly Outcomes[]
}

async function teamsOf(
  deps: ControlDeps,
  actor: Actor,
  { start: from, end: to }: Period,
  { budgets, outcomes }: Known,
): Promise<(MonthTeam & z.infer<typeof shape>['teams'][number])[]> {
  const { tree } = deps.snapshot()
  const rows = await spendSeen(deps, actor, { from, to, daily: false, by: ['team'] })
  const by = ['team', 'agent', 'model'] as const
  const detail = await spendSeen(deps, actor, { from, to, daily: false, by })
  const talks = await dearest(deps, actor, { start: from, end: to })
  return rows.map((row) => {
    const { team } = row.scope
    const isOwn = ({ rule, account }: Standing): boolean => {
      const { selector, per } = rule
      const named = per === null || account.value === null ? {} : { [per]: account.value }
      return (
        team !== null && isWithin(tree, { kind: 'team', name: team }, { ...selector, ...named })
      )
    }
    return {
      ...showSpend(row, team),
      agents: detail
        .filter(({ scope }) => scope.team === team)
        .map((one) => ({ ...showSpend(one, one.scope.agent), model: one.scope.model })),
      budgets: budgets.filter(isOwn).map(showBudget),
      outcomes: outcomes.flatMap(({ type, teams }) => {
        const found = teams.get(team)
        return found === undefined ? [] : [showOutcome(type, found)]
      }),
      conversations: talks === null ? null : [...(talks.get(team) ?? [])],
    }
  })
}

const workAtOnce = 2000
/** Told apart in memory; beyond it a month says nothing of single conversations. */
const talksMax = 100_000
const talksShown = 5

/** The dearest conversations of each team. */
async function dearest(
  { store, clock }: ControlDeps,
  { subtree }: { readonly subtree: Subtree | null },
  { start: from, end: to }: Period,
): Promise<ReadonlyMap<string | null, readonly MonthSpend[]> | null> {
  const talks = new Map<
    string,
    { team: string | null; id: string; calls: bigint; cost: bigint; presumed: bigint }
  >()
  for (let after: WorkQuery['after'] = null; ; ) {
    const page = await store.work({ from, to, after, limit: workAtOnce })
    for (const { attribution, conversation, cost, presumed } of page) {
      if (conversation === null) continue
      if (subtree !== null && !spentWithin(subtree, attribution)) continue
      const { team } = attribution
      const key = JSON.stringify([team, conversation])
      const talk = talks.get(key) ?? { team, id: conversation, calls: 0n, cost: 0n, presumed: 0n }
      if (!talks.has(key)) talks.set(key, talk)
      talk.calls += 1n
      talk.cost += cost
      if (presumed) talk.presumed += cost
      if (talks.size > talksMax) return null
    }
    after = page.at(-1) ?? null
    if (page.length < workAtOnce) break
    await clock.sleep(0)
  }
  const sorted = [...talks.values()].sort((a, b) =>
    a.cost === b.cost ? (a.id < b.id ? -1 : 1) : a.cost > b.cost ? -1 : 1,
  )
  const found = new Map<string | null, MonthSpend[]>()
  for (const { team, id, calls, cost, presumed } of sorted) {
    const own = found.get(team) ?? []
    found.set(team, own)
    if (own.length >= talksShown) continue
    own.push({ name: id, calls: String(calls), cost_usd: usd(cost), presumed_usd: usd(presumed) })
  }
  return found
}
