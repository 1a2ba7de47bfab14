/**
 * What a reconciliation changes in the ledger: the calls of a cell are corrected so that they add
 * up to what was billed for it, each by its share of the cell. Entries are added, none is edited.
 */
import { divideDecimal, type Decimal } from './decimal.ts'
import type { Hold } from './journal.ts'
import {
  type BillerOf,
  type CellKey,
  cellName,
  cellOf,
  type MeteredCells,
  type ModelName,
  type Share,
  sharesOf,
} from './metered.ts'
import type { Nanos } from './money.ts'
import type { Cause, Variance } from './reconcile.ts'

/** Causes that are about calls of the ledger: the others are no call's, and stay beside it. */
export const correctable: readonly Cause[] = [
  'price_drift',
  'discount',
  'presumed',
  'cache_class',
  'rounding',
]

/** Nano-dollars to add to a cell, by its name. */
export type Corrections = ReadonlyMap<string, bigint>

export function correctionsOf(
  variances: readonly Variance[],
  accepted: ReadonlySet<Cause>,
): Corrections {
  const exact = new Map<string, Decimal[]>()
  for (const { cause, cell, amount } of variances) {
    if (cell === null || !accepted.has(cause) || !correctable.includes(cause)) continue
    const name = cause === 'presumed' ? presumedName(cell) : cellName(cell)
    exact.set(name, [...(exact.get(name) ?? []), amount])
  }
  return new Map(
    [...exact].map(([name, amounts]) => [
      name,
      amounts.reduce((sum, amount) => sum + divideDecimal(amount, 1n, 9).digits, 0n),
    ]),
  )
}

/** Calls at their bound stand in no class: those of a day and model are corrected together. */
export const presumedName = (cell: CellKey): string =>
  `${cellName({ ...cell, kind: 'other' })} at its bound`

/** Of a cell, while its calls are gone through: what is left to give, and to how much of it. */
export interface Purse {
  left: bigint
  /** Cost of the calls that have not had their share. */
  weight: bigint
}

export function pursesOf(corrections: Corrections, cells: MeteredCells): Map<string, Purse> {
  const purses = new Map<string, Purse>()
  for (const [name, cell] of cells) {
    const bound = presumedName(cell)
    const [left, atBound] = [corrections.get(name), corrections.get(bound)]
    if (left !== undefined) purses.set(name, { left, weight: cell.cost - cell.presumed })
    if (atBound !== undefined && cell.presumed > 0n) {
      purses.set(bound, { left: atBound, weight: cell.presumed })
    }
  }
  return purses
}

export interface Corrected {
  readonly cost: Nanos
  /** By kind of line, to be kept with the hold: another bill is compared with them. */
  readonly billed: Readonly<Record<string, string>>
}

/**
 * The hold after its share of each cell; null: as it was. Every share is of what is left by what is
 * left, so that the last call of a cell takes the rest and nothing is lost.
 */
export function corrected(
  purses: Map<string, Purse>,
  hold: Hold,
  biller: BillerOf,
  modelName: ModelName,
): Corrected | null {
  if (hold.state === 'pending' || hold.state === 'voided' || hold.cost === null) return null
  const billed: Record<string, string> = {}
  let cost = 0n
  for (const share of sharesOf(hold)) {
    const after = share.cost + taken(purses, hold, share, biller, modelName)
    billed[share.kind] = String(after)
    cost += after
  }
  return cost === hold.cost ? null : { cost: cost as Nanos, billed }
}

function taken(
  purses: Map<string, Purse>,
  hold: Hold,
  { kind, cost }: Share,
  biller: BillerOf,
  modelName: ModelName,
): bigint {
  const cell = cellOf(hold, kind, biller, modelName)
  const purse = purses.get(hold.basis === 'presumed' ? presumedName(cell) : cellName(cell))
  if (purse === undefined || purse.weight <= 0n || cost === 0n) return 0n
  const share = (purse.left * cost) / purse.weight
  // No call can have cost less than nothing: what it cannot take the next ones do.
  const part = share < -cost ? -cost : share
  purse.left -= part
  purse.weight -= cost
  return part
}
