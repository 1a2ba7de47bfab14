/** What the ledger metered, at the grain of a bill: provider, UTC day, model, kind of line. */
import { allocate } from './allocate.ts'
import type { LineKind } from './bill-line.ts'
import type { Hold } from './journal.ts'
import { type Nanos, zero } from './money.ts'
import { toIso } from './time.ts'

/** The kinds that a meter has. */
export type MeteredKind = Extract<
  LineKind,
  'input' | 'output' | 'cache_read' | 'cache_write' | 'tool' | 'other'
>

export interface CellKey {
  readonly provider: string
  /** The UTC day on which the call was made, 'YYYY-MM-DD'. */
  readonly day: string
  readonly model: string
  readonly kind: MeteredKind
}

export interface MeteredCell extends CellKey {
  /** Tokens, or uses of a tool. */
  quantity: bigint
  cost: Nanos
  /** The part of the cost that nobody knows, only bounds. */
  presumed: Nanos
  calls: number
}

export type MeteredCells = Map<string, MeteredCell>

const kindOf: Readonly<Record<string, MeteredKind>> = {
  input: 'input',
  audio_input: 'input',
  image_input: 'input',
  cache_read: 'cache_read',
  audio_cache_read: 'cache_read',
  cache_write_5m: 'cache_write',
  cache_write_1h: 'cache_write',
  output: 'output',
  audio_output: 'output',
  image_output: 'output',
  web_search: 'tool',
  file_search: 'tool',
  code_session: 'tool',
  grounded_prompt: 'tool',
  grounding_query: 'tool',
}

/** What one hold was charged for a kind of line. */
export interface Share {
  readonly kind: MeteredKind
  readonly quantity: bigint
  readonly cost: Nanos
}

/**
 * The cost of an ended hold by kind: by the charge that was kept with it, whose parts need not add
 * up to the cost (a multiplier, a correction), so the cost is cut up by their weights. What was
 * charged without a usage is `other`.
 */
export function sharesOf(hold: Hold): readonly Share[] {
  const cost = hold.cost ?? zero
  const billed = billedShares(hold)
  const quantities = new Map<MeteredKind, bigint>()
  const weights = new Map<MeteredKind, bigint>()
  for (const { meter, quantity, price } of chargeLines(hold.facts.charge)) {
    const kind = kindOf[meter] ?? 'other'
    quantities.set(kind, (quantities.get(kind) ?? 0n) + quantity)
    weights.set(kind, (weights.get(kind) ?? 0n) + quantity * price)
  }
  if (weights.size === 0) return cost === 0n ? [] : [{ kind: 'other', quantity: 0n, cost }]
  const parts = allocate(cost, [...weights.values()])
  return [...weights.keys()].map((kind, i) => ({
    kind,
    quantity: quantities.get(kind) ?? 0n,
    cost: (billed?.get(kind) ?? parts[i] ?? 0n) as Nanos,
  }))
}

/** What a bill made of the hold's parts, where they are all of its cost. */
function billedShares({ cost, facts: { billed } }: Hold): ReadonlyMap<string, bigint> | null {
  if (typeof billed !== 'object' || billed === null) return null
  const shares = new Map(
    Object.entries(billed).map(([kind, nanos]) => [kind, BigInt(String(nanos))] as const),
  )
  const sum = [...shares.values()].reduce((all, one) => all + one, 0n)
  return sum === cost ? shares : null
}

interface ChargeLine {
  readonly meter: string
  readonly quantity: bigint
  /** In any unit: only weights are made of it. */
  readonly price: bigint
}

function chargeLines(charge: unknown): readonly ChargeLine[] {
  if (!Array.isArray(charge)) return []
  return (charge as readonly Record<string, unknown>[]).flatMap((line) => {
    const { meter, quantity, usd_per_million: price } = line
    if (typeof meter !== 'string' || typeof price !== 'string') return []
    if (typeof quantity !== 'number' || !Number.isSafeInteger(quantity)) return []
    return [{ meter, quantity: BigInt(quantity), price: BigInt(price.replace('.', '')) }]
  })
}

/** Who bills for a hold: by the provider it went to. */
export type BillerOf = (hold: Hold) => string
/** One name for a model, however a bill or an answer spells it. */
export type ModelName = (name: string) => string

export const cellName = ({ provider, day, model, kind }: CellKey): string =>
  JSON.stringify([provider, day, model, kind])

/** Where a hold's share stands. */
export function cellOf(hold: Hold, kind: MeteredKind, biller: BillerOf, name: ModelName): CellKey {
  const { served } = hold.facts
  const model = typeof served === 'string' ? served : (hold.attribution.model ?? '')
  const day = toIso(hold.madeAt).slice(0, 10)
  return { provider: biller(hold), day, model: name(model), kind }
}

export function meter(
  cells: MeteredCells,
  hold: Hold,
  biller: BillerOf,
  modelName: ModelName,
): void {
  if (hold.state === 'pending' || hold.state === 'voided') return
  for (const { kind, quantity, cost } of sharesOf(hold)) {
    const key = cellOf(hold, kind, biller, modelName)
    const name = cellName(key)
    const cell = cells.get(name) ?? { ...key, quantity: 0n, cost: zero, presumed: zero, calls: 0 }
    cell.quantity += quantity
    cell.cost = (cell.cost + cost) as Nanos
    if (hold.basis === 'presumed') cell.presumed = (cell.presumed + cost) as Nanos
    cell.calls += 1
    cells.set(name, cell)
  }
}
