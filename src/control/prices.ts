/** The price book, what was agreed beside it, and calls priced again by it. */
import { z } from 'zod'
import { budgetRulesOf } from '#core/rules-by-id.ts'
import { type Contract, contractFor } from '#core/contract.ts'
import { listLookup, netLookup, type Prices } from '#core/costing.ts'
import type { Hold } from '#core/journal.ts'
import { formatUsdPerMillion, type Nanos, type Ratio } from '#core/money.ts'
import type { PriceRow } from '#core/price-book.ts'
import { moves, refusal, sketch } from '#core/price-guard.ts'
import { type Difference, keptReasons, noTotals, recost, tally, type Totals } from '#core/recost.ts'
import { dayMs } from '#core/spend.ts'
import { type Instant, instant, toIso } from '#core/time.ts'
import { changed } from './audited.ts'
import type { Actor, ControlDeps } from './deps.ts'
import { conflict, invalid, notFound } from './problem.ts'
import { instantOf } from './reports.ts'
import { requireOpenBetween } from './months.ts'
import { pages } from './past-calls.ts'
import { declare, everybody, type Route, stewards } from './route.ts'
import { usd } from './shapes.ts'

const priceShape = z.object({
  model: z.string(),
  aliases: z.array(z.string()),
  vendor: z.string(),
  from: z.string().nullable(),
  until: z.string().nullable(),
  in_force: z.boolean(),
  usd_per_million: z.record(z.string(), z.string()),
  above_prompt_tokens: z.number().nullable(),
  tiers: z.array(z.string()),
  multipliers: z.record(z.string(), z.string()),
  context_window: z.number(),
  max_output_tokens: z.number(),
  source: z.string(),
  checked: z.string(),
})

const contractShape = z.object({
  provider: z.string(),
  model: z.string().nullable(),
  from: z.string().nullable(),
  until: z.string().nullable(),
  terms: z.string(),
  discount_percent: z.string().optional(),
  usd_per_million: z.record(z.string(), z.string()).optional(),
  monthly_usd: z.string().optional(),
})

const namedText = z.strictObject({ name: z.string().max(200), text: z.string() })
const recostBody = z.strictObject({
  from: z.string().optional(),
  to: z.string().optional(),
  /** Price files over the book in force. */
  prices: z.array(namedText).max(20).optional(),
  apply: z.boolean().optional(),
  /** Prices that move far are meant. */
  accept: z.boolean().optional(),
})

const sums = { calls: z.number(), changed: z.number() }
const recostShape = z.object({
  from: z.string(),
  to: z.string(),
  price_book: z.string(),
  applied: z.boolean(),
  adjusted: z.number(),
  ...sums,
  old_usd: z.string(),
  new_usd: z.string(),
  list_usd: z.string(),
  difference_usd: z.string(),
  by_model: z.array(
    z.object({
      model: z.string(),
      ...sums,
      old_usd: z.string(),
      new_usd: z.string(),
      list_usd: z.string(),
      difference_usd: z.string(),
    }),
  ),
  kept: z.array(z.object({ why: z.string(), calls: z.number(), cost_usd: z.string() })),
})

export const priceRoutes: readonly Route[] = [
  declare({
    method: 'get',
    path: '/prices',
    summary: 'The price book: a row a model, period and band',
    allows: everybody,
    query: z.object({ model: z.string().optional(), all: z.string().optional() }),
    answer: z.array(priceShape),
    handle: async ({ deps, query }) => {
      const { rows, byName } = deps.snapshot().priceBook
      const wanted = query.model === undefined ? rows : (byName.get(query.model) ?? [])
      const every = query.all !== undefined || query.model !== undefined
      return showRows(deps, wanted).filter(({ in_force }) => every || in_force)
    },
  }),
  declare({
    method: 'get',
    path: '/prices/{model}',
    summary: 'One model: every dated price, its other names, what was agreed for it',
    allows: everybody,
    answer: z.object({
      model: z.string(),
      prices: z.array(priceShape),
      contracts: z.array(contractShape),
    }),
    handle: async ({ deps, params: { model = '' } }) => {
      const { priceBook, contracts } = deps.snapshot()
      const rows = priceBook.byName.get(model)
      const id = rows?.[0]?.model
      if (rows === undefined || id === undefined) throw notFound('price for the model', model)
      const concerned = contracts.filter((one) => one.model === null || one.model === id)
      return {
        model: id,
        prices: showRows(deps, rows),
        contracts: concerned.map(showContract),
      }
    },
  }),
  declare({
    method: 'post',
    path: '/prices/recost',
    summary: 'Price calls that are over again: what would differ; with apply, adjusting entries',
    allows: stewards,
    body: recostBody,
    answer: recostShape,
    handle: ({ deps, actor, body }) => recostCalls(deps, actor, body),
  }),
]

function showRows(deps: ControlDeps, rows: readonly PriceRow[]): z.infer<typeof priceShape>[] {
  const now = deps.clock.now()
  const names = [...deps.snapshot().priceBook.byName]
  return rows.flatMap((row) => {
    const aliases = names
      .filter(([name, [first]]) => first?.model === row.model && name !== row.model)
      .map(([name]) => name)
    return row.bands.map((band) => ({
      model: row.model,
      aliases,
      vendor: row.vendor,
      from: isoOrNull(row.from),
      until: isoOrNull(row.until),
      in_force: (row.from === null || row.from <= now) && (row.until === null || now < row.until),
      usd_per_million: perMillion(band.rates),
      above_prompt_tokens: band.abovePromptTokens < 0 ? null : band.abovePromptTokens,
      tiers: Object.keys(row.tiers),
      multipliers: Object.fromEntries(
        [...Object.entries(row.tiers), ...Object.entries(row.geos)].map(([name, by]) => [
          name,
          decimal(by),
        ]),
      ),
      context_window: row.contextWindow,
      max_output_tokens: row.maxOutputTokens,
      source: row.source,
      checked: row.checked,
    }))
  })
}

const isoOrNull = (at: Instant | null): string | null => (at === null ? null : toIso(at))

function perMillion(rates: PriceRow['bands'][0]['rates']): Record<string, string> {
  return Object.fromEntries(
    Object.entries(rates).map(([meter, picos]) => [meter, formatUsdPerMillion(picos)]),
  )
}

/** To four places, for people. */
function decimal({ numerator, denominator }: Ratio): string {
  const parts = (numerator * 10_000n) / denominator
  const fraction = String(parts % 10_000n).padStart(4, '0')
  return `${parts / 10_000n}.${fraction}`.replace(/\.?0+$/, '')
}

function showContract(contract: Contract): z.infer<typeof contractShape> {
  const { provider, model, terms } = contract
  const { from, until } = { from: isoOrNull(contract.from), until: isoOrNull(contract.until) }
  const head = { provider, model, from, until, terms: terms.kind }
  switch (terms.kind) {
    case 'discount': {
      const { numerator, denominator } = terms.keep
      const off = { numerator: (denominator - numerator) * 100n, denominator }
      return { ...head, discount_percent: decimal(off) }
    }
    case 'fixed':
      return { ...head, usd_per_million: perMillion(terms.rates) }
    case 'provisioned':
      return { ...head, monthly_usd: usd(terms.monthly) }
  }
}

const usualSpanMs = 31 * dayMs

async function recostCalls(
  deps: ControlDeps,
  actor: Actor,
  body: z.output<typeof recostBody>,
): Promise<z.infer<typeof recostShape>> {
  const now = deps.clock.now()
  const from = instantOf('from', body.from) ?? instant(now - usualSpanMs)
  const to = instantOf('to', body.to) ?? now
  if (body.apply === true) requireOpenBetween(deps, from, to)
  const prices = await pricesOf(deps, body, now)
  const totals = noTotals()
  let adjusted = 0
  for await (const page of pages(deps, from, to)) {
    // At once, so that they share a commit.
    const work = { prices, totals, apply: body.apply === true }
    const written = await Promise.all(page.map((hold) => recostOne(deps, actor, hold, work)))
    adjusted += written.filter((one) => one).length
  }
  const answer = showTotals(totals, {
    from: toIso(from),
    to: toIso(to),
    price_book: prices.priceBook.version,
    applied: body.apply === true,
    adjusted,
  })
  if (adjusted > 0) {
    await changed(
      deps,
      actor,
      { kind: 'note' },
      {
        action: 'ledger.recost',
        subject: prices.priceBook.version,
        reason: reasonOf(prices),
        before: { usd: answer.old_usd },
        after: { usd: answer.new_usd, calls: adjusted },
      },
    )
  }
  return answer
}

const reasonOf = ({ priceBook }: Prices): string =>
  `priced again by price book ${priceBook.version}`

/** The book in force, or with the files that were sent; far moves only where they are meant. */
async function pricesOf(
  deps: ControlDeps,
  { prices: files = [], apply, accept }: z.output<typeof recostBody>,
  now: Instant,
): Promise<Prices> {
  const { priceBook: current, contracts } = deps.snapshot()
  if (files.length === 0) return { priceBook: current, contracts }
  const parsed = deps.pricesWith(files)
  if (!parsed.ok) throw invalid('prices', parsed.problem.slice(0, 20).join('; '))
  const next = { priceBook: parsed.value, contracts }
  if (apply !== true || accept === true) return next
  const month = { from: instant(now - 30 * dayMs), to: now, daily: false, by: ['model'] as const }
  const used = new Set((await deps.store.spend(month)).map(({ scope }) => scope.model ?? ''))
  const found = moves(sketch(current, now), sketch(parsed.value, now), used)
  if (found.length > 0) throw conflict('prices_moved', refusal(parsed.value.version, found))
  return next
}

/** True: an entry was written. */
async function recostOne(
  deps: ControlDeps,
  actor: Actor,
  hold: Hold,
  { prices, totals, apply }: { prices: Prices; totals: Totals; apply: boolean },
): Promise<boolean> {
  const snapshot = deps.snapshot()
  const { provider: named, model: asked } = hold.attribution
  const [provider, model] = [named ?? '', asked ?? '']
  const at = hold.madeAt
  const free = snapshot.providers.some(({ name, free }) => name === provider && free)
  const one = recost(hold, {
    list: listLookup(prices, at),
    net: netLookup(prices, provider, at),
    free,
  })
  tally(totals, model, one)
  if (!apply || one.kind !== 'priced' || one.old === one.now) return false
  const contract = contractFor(prices.contracts, provider, model, at)
  const facts = {
    priceVersion: prices.priceBook.version,
    ...(contract === null ? {} : { contract: contract.terms.kind, listUsd: usd(one.list) }),
  }
  const reason = reasonOf(prices)
  const { result } = await deps.store.run(
    { kind: 'adjust', hold: hold.id, cost: one.now, reason, author: actor.name, facts },
    deps.clock.now(),
    budgetRulesOf(snapshot),
  )
  return result.status === 'applied'
}

type Head = Pick<z.infer<typeof recostShape>, 'from' | 'to' | 'price_book' | 'applied' | 'adjusted'>

function showTotals({ models, kept }: Totals, head: Head): z.infer<typeof recostShape> {
  const rows = [...models].map(([model, sum]) => ({ model, ...showDifference(sum) }))
  const all = { calls: 0, changed: 0, old: 0n, now: 0n, list: 0n }
  for (const { calls, changed: some, old, now, list } of models.values()) {
    all.calls += calls
    all.changed += some
    all.old += old
    all.now += now
    all.list += list
  }
  return {
    ...head,
    ...showDifference(all as Difference),
    by_model: rows.sort((a, b) => (a.model < b.model ? -1 : 1)),
    kept: keptReasons.flatMap((why) => {
      const sum = kept.get(why)
      return sum === undefined ? [] : [{ why, calls: sum.calls, cost_usd: usd(sum.cost) }]
    }),
  }
}

function showDifference({ calls, changed: some, old, now, list }: Difference) {
  return {
    calls,
    changed: some,
    old_usd: usd(old),
    new_usd: usd(now),
    list_usd: usd(list),
    difference_usd: usd((now - old) as Nanos),
  }
}
