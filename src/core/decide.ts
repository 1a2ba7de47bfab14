/** Where a call may go: pure, from the snapshot. What it may cost is the ledger's to say. */
import { contractFor, netOf } from './contract.ts'
import type { CallShape } from './quote.ts'
import { type PriceBook, type PriceRow, priceOf, type Vendor } from './price-book.ts'
import type { RefusalCode } from './refusal.ts'
import type { Attribution } from './scope.ts'
import type { ProviderKind, ProviderTarget, Snapshot } from './snapshot.ts'
import type { Instant } from './time.ts'

/** One candidate: tried in order, each try with a hold of its own. */
export interface Target {
  readonly provider: ProviderTarget
  /** Null: the provider is free, or policy let an unpriced model pass. */
  readonly row: PriceRow | null
  /** The model as budgets and reports name it. */
  readonly model: string
  /** True where policy let it pass without a price: told, and never silent. */
  readonly unpriced: boolean
}

export type Routing =
  | { readonly kind: 'targets'; readonly targets: readonly [Target, ...Target[]] }
  | {
      readonly kind: 'refused'
      readonly code: RefusalCode
      readonly message: string
      readonly param: string | null
      /** True where only a credential of another environment could serve it. */
      readonly foreign: boolean
    }

export type DialectFamily = 'openai' | 'anthropic' | 'google'

export function route(
  snapshot: Snapshot,
  call: { model: string; dialect: DialectFamily; shape: CallShape },
  attribution: Attribution,
  now: Instant,
): Routing {
  const { environment } = attribution
  const reachable = snapshot.providers.filter(
    ({ environments }) =>
      environments === null || (environment !== null && environments.includes(environment)),
  )
  const speaking = reachable.filter(({ kind }) => speaks(kind, call.dialect))
  const row = priceOf(snapshot.priceBook, call.model, now)

  // A provider that names the model is meant before one that merely could serve it.
  const named = speaking
    .filter((provider) => serves(provider, call.model, row))
    .toSorted((a, b) => Number(b.models.length > 0) - Number(a.models.length > 0))
  const targets = named.flatMap((provider) => targetAt(snapshot, provider, call, row, now))
  const [first, ...rest] = targets
  if (first !== undefined) return { kind: 'targets', targets: [first, ...rest] }
  const foreign = snapshot.providers.some(
    (provider) =>
      !reachable.includes(provider) &&
      speaks(provider.kind, call.dialect) &&
      (row !== null || provider.models.length > 0) &&
      serves(provider, call.model, row),
  )
  return refusalFor(snapshot, { reachable, speaking, named, row, foreign }, call)
}

function speaks(kind: ProviderKind, dialect: DialectFamily): boolean {
  if (kind === 'simulator') return true
  return kind === dialect || (kind === 'openai_compatible' && dialect === 'openai')
}

const vendorOf: Readonly<Partial<Record<ProviderKind, Vendor>>> = {
  openai: 'openai',
  anthropic: 'anthropic',
  google: 'google',
}

function serves(provider: ProviderTarget, model: string, row: PriceRow | null): boolean {
  if (provider.models.length > 0) return provider.models.includes(model)
  if (provider.kind === 'simulator' || row === null) return provider.kind !== 'openai_compatible'
  return vendorOf[provider.kind] === row.vendor
}

function targetAt(
  snapshot: Snapshot,
  provider: ProviderTarget,
  call: { model: string; dialect: DialectFamily },
  row: PriceRow | null,
  now: Instant,
): readonly Target[] {
  if (provider.free) return [{ provider, row: null, model: call.model, unpriced: false }]
  if (row !== null) {
    const net = netOf(row, contractFor(snapshot.contracts, provider.name, row.model, now))
    return [{ provider, row: net, model: row.model, unpriced: false }]
  }
  switch (snapshot.policy.unpricedModel) {
    case 'deny':
      return []
    case 'allow_and_flag':
      return [{ provider, row: null, model: call.model, unpriced: true }]
    case 'hold_at_most_expensive': {
      const dearest = dearestOf(snapshot.priceBook, vendorOf[provider.kind] ?? call.dialect, now)
      if (dearest === null) return []
      return [{ provider, row: dearest, model: call.model, unpriced: true }]
    }
  }
}

/**
 * The row with the highest output rate in its highest band: an upper guess for an unknown model.
 */
function dearestOf(book: PriceBook, vendor: Vendor, now: Instant): PriceRow | null {
  const rate = (row: PriceRow): bigint => row.bands.at(-1)?.rates.output ?? 0n
  let dearest: PriceRow | null = null
  for (const row of book.rows) {
    const inForce =
      (row.from === null || row.from <= now) && (row.until === null || now < row.until)
    if (row.vendor !== vendor || !inForce) continue
    if (dearest === null || rate(row) > rate(dearest)) dearest = row
  }
  return dearest
}

interface Found {
  readonly reachable: readonly ProviderTarget[]
  readonly speaking: readonly ProviderTarget[]
  readonly named: readonly ProviderTarget[]
  readonly row: PriceRow | null
  readonly foreign: boolean
}

function refusalFor(
  snapshot: Snapshot,
  found: Found,
  call: { model: string; dialect: DialectFamily },
): Routing {
  const refuse = (code: RefusalCode, message: string): Routing => ({
    kind: 'refused',
    code,
    message,
    param: 'model',
    foreign: found.foreign,
  })
  if (found.foreign) {
    const message = `Model "${call.model}" is served here with a credential of another environment.`
    return refuse('not_allowed', message)
  }
  if (found.row === null) {
    return refuse(
      'model_unpriced',
      `Model "${call.model}" has no price, so its cost cannot be bounded. Names are matched ` +
        'exactly: see `bursar price list`, or set policy.unpriced_model.',
    )
  }
  const elsewhere = found.row.vendor
  if (found.reachable.length === 0 && snapshot.providers.length > 0) {
    return refuse('not_allowed', 'No provider credential may be used in this environment.')
  }
  if (elsewhere !== call.dialect) {
    return refuse(
      'not_allowed',
      `Model "${call.model}" is served by ${elsewhere}: call it in that provider's own API.`,
    )
  }
  return refuse('not_allowed', `No configured provider serves "${call.model}" here.`)
}
