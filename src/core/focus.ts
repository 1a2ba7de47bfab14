/**
 * The ledger as FOCUS rows (FinOps Open Cost and Usage Specification, 1.2 and 1.4): one for each
 * charge period, who spent, provider, model, key, class of use and price. `BilledCost` adds up to
 * the ledger, to the nano-dollar: a call's cost is cut into its meters without a remainder.
 */
import { allocate } from './allocate.ts'
import { feeMeters } from './charge.ts'
import type { Hold } from './journal.ts'
import { type Nanos, roundPicosUp } from './money.ts'
import { type Instant, instant } from './time.ts'
import { type Meter, meters } from './usage.ts'

export const focusVersions = ['1.2', '1.4'] as const
export type FocusVersion = (typeof focusVersions)[number]

/** How long a charge period is. */
export const focusGrains = ['day', 'hour'] as const
export type FocusGrain = (typeof focusGrains)[number]

/** How well a row's cost is known, and whether somebody has corrected it since. */
export type CostBasis = 'metered' | 'presumed' | 'corrected'

/** What rows are told apart by. Null: without a value. */
export interface FocusKey {
  readonly start: Instant
  readonly organization: string | null
  readonly businessUnit: string | null
  readonly team: string | null
  readonly agent: string | null
  readonly environment: string | null
  readonly provider: string | null
  readonly model: string | null
  readonly key: string | null
  readonly tier: string
  /** Null: not for one class of use, but for calls as a whole (presumed or corrected). */
  readonly meter: Meter | null
  /** Thousandths of a pico-dollar for one unit, tier and place included. */
  readonly femtos: bigint | null
  readonly basis: CostBasis
}

/** Sums of one row. */
export interface FocusSums {
  /** What the ledger has. */
  readonly cost: Nanos
  /** Femto-dollars at list price; null where no price says it. */
  readonly list: bigint | null
  /** Tokens or requests. */
  readonly quantity: bigint
  readonly calls: bigint
}

export interface FocusCharge extends FocusSums {
  readonly key: FocusKey
}

const hourMs = 3_600_000
const lengths: Readonly<Record<FocusGrain, number>> = { day: 24 * hourMs, hour: hourMs }

export const grainMs = (grain: FocusGrain): number => lengths[grain]

/** The start of the charge period that a call belongs to: a call counts when it was made. */
export function chargeStart(madeAt: Instant, grain: FocusGrain): Instant {
  return instant(madeAt - (madeAt % lengths[grain]))
}

interface Line {
  readonly meter: Meter
  readonly quantity: bigint
  readonly femtos: bigint
  /** As the ledger rounded it. */
  readonly picos: bigint
}

/** The charges of one attempt: their costs add up to what it cost. None: it has not ended. */
export function chargesOf(hold: Hold, grain: FocusGrain): readonly FocusCharge[] {
  const { state, cost, basis } = hold
  if (state === 'pending' || state === 'voided' || cost === null) return []
  const base = baseOf(hold, grain)
  const lines = linesOf(hold.facts)
  const whole = (part: Nanos, as: CostBasis, quantity: bigint): FocusCharge => ({
    key: { ...base, meter: null, femtos: null, basis: as },
    cost: part,
    list: null,
    quantity,
    calls: 1n,
  })
  if (basis === 'presumed') return [whole(cost, 'presumed', BigInt(hold.tokens))]
  if (lines.length === 0) {
    return cost === 0n ? [] : [whole(cost, 'corrected', BigInt(hold.tokens))]
  }
  const weights = lines.map(({ quantity, femtos }) => quantity * femtos)
  const picos = lines.reduce((all, line) => all + line.picos, 0n)
  const charged = isOtherModel(hold.facts) ? cost : roundPicosUp(picos)
  const parts = allocate(charged, weights)
  const charges = lines.map(
    ({ meter, quantity, femtos }, i): FocusCharge => ({
      key: { ...base, meter, femtos, basis: 'metered' },
      cost: (parts[i] ?? 0n) as Nanos,
      list: quantity * femtos,
      quantity,
      calls: i === 0 ? 1n : 0n,
    }),
  )
  const rest = (cost - charged) as Nanos
  return rest === 0n ? charges : [...charges, { ...whole(rest, 'corrected', 0n), calls: 0n }]
}

function baseOf(hold: Hold, grain: FocusGrain): Omit<FocusKey, 'meter' | 'femtos' | 'basis'> {
  const { attribution: of, facts } = hold
  return {
    start: chargeStart(hold.madeAt, grain),
    organization: of.organization,
    businessUnit: of.business_unit,
    team: of.team,
    agent: of.agent,
    environment: of.environment,
    provider: of.provider,
    model: of.model,
    key: of.key,
    tier: typeof facts.tier === 'string' ? facts.tier : 'standard',
  }
}

/** Another model answered, and was dearer: its price is not on the lines, which say ours. */
function isOtherModel({ oddities }: Hold['facts']): boolean {
  return (
    Array.isArray(oddities) &&
    oddities.some((one: unknown) => typeof one === 'string' && one.startsWith('answered by '))
  )
}

const known: ReadonlySet<unknown> = new Set(meters)

/** What was charged, by meter; of what costs nothing, what was used. */
function linesOf({ charge, usage, operation }: Hold['facts']): readonly Line[] {
  const lines = Array.isArray(charge)
    ? (charge as readonly Readonly<Record<string, unknown>>[]).flatMap(lineOf)
    : []
  const isFree = Array.isArray(charge) && charge.length === 0 && operation !== 'count_tokens'
  if (!isFree || typeof usage !== 'object') return lines
  return Object.entries(usage ?? {}).flatMap(([meter, quantity]) =>
    lineOf({ meter, quantity, usd_per_million: '0.000000000' }),
  )
}

function lineOf(line: Readonly<Record<string, unknown>>): readonly Line[] {
  const { meter, quantity, usd_per_million: price, multiplier } = line
  if (!known.has(meter) || typeof price !== 'string' || !Number.isSafeInteger(quantity)) return []
  if (quantity === 0) return []
  // Nine places of dollars a million are femto-dollars a unit.
  const unit = BigInt(price.replace('.', ''))
  const [over, under] = ratioOf(multiplier)
  const femtos = (unit * over + under - 1n) / under
  const amount = BigInt(quantity as number)
  const picos = (amount * (unit / 1000n) * over + under - 1n) / under
  return [{ meter: meter as Meter, quantity: amount, femtos, picos }]
}

/** "11/10". Absent: the list price is the price. */
function ratioOf(multiplier: unknown): readonly [bigint, bigint] {
  const match = typeof multiplier === 'string' ? /^(\d+)\/(\d+)$/.exec(multiplier) : null
  const under = BigInt(match?.[2] ?? 1)
  return under === 0n ? [1n, 1n] : [BigInt(match?.[1] ?? 1), under]
}

export const isTokens = (meter: Meter): boolean => !feeMeters.has(meter)

/** Charges added up by their key. */
export type FocusTally = Map<string, FocusCharge>

const nameOf = (key: FocusKey): string =>
  JSON.stringify([...Object.values({ ...key, femtos: null }), String(key.femtos)])

export function addCharges(tally: FocusTally, charges: readonly FocusCharge[]): void {
  for (const charge of charges) {
    const name = nameOf(charge.key)
    const before = tally.get(name)
    tally.set(name, before === undefined ? charge : sum(before, charge))
  }
}

function sum(a: FocusCharge, b: FocusCharge): FocusCharge {
  return {
    key: a.key,
    cost: (a.cost + b.cost) as Nanos,
    list: a.list === null || b.list === null ? null : a.list + b.list,
    quantity: a.quantity + b.quantity,
    calls: a.calls + b.calls,
  }
}

/** In an order that does not depend on the order of the calls. */
export function inFocusOrder(tally: FocusTally): readonly FocusCharge[] {
  return [...tally]
    .sort(([, a], [, b]) => a.key.start - b.key.start || (nameOf(a.key) < nameOf(b.key) ? -1 : 1))
    .map(([, charge]) => charge)
}
