/** What a provider billed, at the grain of the meter, and what no meter has. */
import type { BillLine, LineKind } from './bill-line.ts'
import { addDecimals, type Decimal, decimalZero } from './decimal.ts'
import { type CellKey, cellName, type MeteredKind, type ModelName } from './metered.ts'

export interface BilledCell extends CellKey {
  /** Of lines with money, and of usage reports, which have none: never added to each other. */
  quantity: Decimal | null
  reported: Decimal | null
  net: Decimal
  /** At list price, of the lines that say so; null: none does. */
  list: Decimal | null
  lines: number
}

/** Lines that stand beside the meter as a whole: taxes, credits, discounts, what was committed. */
export interface Beside {
  readonly provider: string
  /** `late`: used in another month than it is billed in. */
  readonly kind: LineKind | 'late'
  readonly day: string
  readonly name: string
  readonly net: Decimal
}

/** What went through one of the provider's keys (or projects, where the bill has no keys). */
export interface ByKey {
  net: Decimal
  readonly cells: Map<string, BilledCell>
}

export interface Billed {
  /** Lines that a meter may have, by provider. */
  readonly lines: Map<string, BillLine[]>
  readonly beside: Beside[]
  total: Decimal
  /** Lines in other currencies than dollars, which are not compared. */
  foreign: number
}

export const newBilled = (): Billed => ({
  lines: new Map(),
  beside: [],
  total: decimalZero,
  foreign: 0,
})

const tokenKinds: ReadonlySet<LineKind> = new Set([
  'input',
  'output',
  'cache_read',
  'cache_write',
  'tool',
])

/** `month`: that of the bill, 'YYYY-MM'. */
export function addBillLine(billed: Billed, line: BillLine, month: string): void {
  if (line.currency !== 'USD') {
    billed.foreign += line.rows
    return
  }
  const { provider, day, net } = line
  if (net !== null) billed.total = addDecimals(billed.total, net)
  const isLate = day.slice(0, 7) !== month
  if (tokenKinds.has(line.kind) && !isLate) {
    billed.lines.set(provider, billed.lines.get(provider) ?? [])
    billed.lines.get(provider)?.push(line)
    return
  }
  if (net === null) return
  const name = (isLate ? line.model : line.service) ?? line.kind
  billed.beside.push({ provider, kind: isLate ? 'late' : line.kind, day, name, net })
}

const parties = ['key', 'project', 'workspace'] as const

/**
 * Lines by whose they are: by key, or by what else all lines with money say. '' where they do not.
 */
export function cellsByKey(
  lines: readonly BillLine[],
  modelName: ModelName,
): ReadonlyMap<string, ByKey> {
  const paid = lines.filter(({ net }) => net !== null)
  const party = parties.find((name) => paid.every((line) => (line[name] ?? '') !== ''))
  const keys = new Map<string, ByKey>()
  for (const line of lines) {
    const of = (party === undefined ? null : line[party]) ?? ''
    const byKey = keys.get(of) ?? { net: decimalZero, cells: new Map() }
    keys.set(of, byKey)
    if (line.net !== null) byKey.net = addDecimals(byKey.net, line.net)
    addToCell(byKey.cells, line, modelName)
  }
  return keys
}

function addToCell(cells: Map<string, BilledCell>, line: BillLine, modelName: ModelName): void {
  const key: CellKey = {
    provider: line.provider,
    day: line.day,
    model: modelName(line.model ?? ''),
    kind: line.kind as MeteredKind,
  }
  const name = cellName(key)
  const cell = cells.get(name) ?? {
    ...key,
    quantity: null,
    reported: null,
    net: decimalZero,
    list: null,
    lines: 0,
  }
  cells.set(name, cell)
  cell.lines += line.rows
  if (line.net === null) cell.reported = plus(cell.reported, line.quantity)
  else {
    cell.net = addDecimals(cell.net, line.net)
    cell.quantity = plus(cell.quantity, line.quantity)
    cell.list = plus(cell.list, line.list)
  }
}

export const plus = (a: Decimal | null, b: Decimal | null): Decimal | null =>
  a === null ? b : b === null ? a : addDecimals(a, b)

/** The cells of several keys as one. */
export function mergedCells(some: Iterable<ByKey>): ReadonlyMap<string, BilledCell> {
  const merged = new Map<string, BilledCell>()
  for (const { cells } of some) {
    for (const [name, cell] of cells) {
      const before = merged.get(name)
      if (before === undefined) merged.set(name, { ...cell })
      else {
        before.net = addDecimals(before.net, cell.net)
        before.quantity = plus(before.quantity, cell.quantity)
        before.reported = plus(before.reported, cell.reported)
        before.list = plus(before.list, cell.list)
        before.lines += cell.lines
      }
    }
  }
  return merged
}
