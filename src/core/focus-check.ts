/** Does a file keep the rules of FOCUS? Every rule here is one that a row or a header can break. */
import { compareDecimals, type Decimal, multiplyDecimals, parseDecimal } from './decimal.ts'
import type { FocusVersion } from './focus.ts'
import type { FocusRow } from './focus-columns.ts'
import { type ColumnRule, columnRules } from './focus-rules.ts'
import { parseInstant } from './time.ts'

/** What is wrong with the header, in words. */
export function checkHeader(version: FocusVersion, header: readonly string[]): readonly string[] {
  const rules = columnRules(version)
  const known = new Set(rules.map(({ name }) => name))
  const found: string[] = []
  for (const { name, isMandatory } of rules) {
    if (isMandatory && !header.includes(name)) found.push(`the column ${name} is missing`)
  }
  let isOwn = false
  for (const [i, name] of header.entries()) {
    if (header.indexOf(name) !== i) found.push(`the column ${name} is there twice`)
    if (name.startsWith('x_')) isOwn = true
    else if (!known.has(name)) {
      found.push(`FOCUS ${version} has no column ${name}: a column of your own starts with x_`)
    } else if (isOwn) found.push(`the column ${name} stands after columns of your own`)
  }
  return found
}

/** The rules that `checkRow` needs, made once for a file. */
export function rowChecker(
  version: FocusVersion,
  header: readonly string[],
): (row: FocusRow) => readonly string[] {
  const rules = columnRules(version).filter(({ name }) => header.includes(name))
  return (row) => [
    ...rules.flatMap((rule) => cellFaults(rule, row[rule.name] ?? null)),
    ...rowFaults(row),
  ]
}

function cellFaults(rule: ColumnRule, cell: string | null): readonly string[] {
  const { name, allowsNull, allowed } = rule
  if (cell === null) return allowsNull ? [] : [`${name} is null`]
  if (cell.trim() === '' || /^null$/i.test(cell)) return [`${name} is "${cell}": null is no text`]
  if (allowed !== null && !allowed.includes(cell)) {
    return [`${name} is "${cell}", not one of: ${allowed.join(', ')}`]
  }
  const what = typeFault(rule, cell)
  return what === null ? [] : [`${name} is "${cell.slice(0, 60)}": ${what}`]
}

const numeric = /^[-+]?(\d+(\.\d+)?|\.\d+)([eE][-+]?\d+)?$/
const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/

function typeFault({ type }: ColumnRule, cell: string): string | null {
  switch (type) {
    case 'number':
      return numeric.test(cell) ? null : 'not a plain number'
    case 'time':
      return time.test(cell) && parseInstant(cell) !== null
        ? null
        : 'not a time as 2026-11-01T00:00:00Z'
    case 'currency':
      return /^[A-Z]{3}$/.test(cell) ? null : 'not a code of ISO 4217'
    case 'json':
      return isFlatObject(cell) ? null : 'not a JSON object with plain values'
    case 'text':
      return cell === cell.trim() ? null : 'it begins or ends with white space'
  }
}

function isFlatObject(cell: string): boolean {
  try {
    const value: unknown = JSON.parse(cell)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
    return Object.values(value).every((one) => typeof one !== 'object' || one === null)
  } catch {
    return false
  }
}

/** What columns say of each other. */
function rowFaults(row: FocusRow): readonly string[] {
  const has = (name: string): boolean => (row[name] ?? null) !== null
  const isUsage = row.ChargeCategory === 'Usage'
  const isCorrection = row.ChargeClass === 'Correction'
  const plain = !isCorrection && (isUsage || row.ChargeCategory === 'Purchase')
  const faults: (readonly [boolean, string])[] = [
    [plain && !has('PricingQuantity'), 'PricingQuantity is null where something was used'],
    [plain && !has('PricingUnit'), 'PricingUnit is null where something was used'],
    [row.ChargeCategory === 'Tax' && has('PricingQuantity'), 'a tax has a PricingQuantity'],
    [!isUsage && has('ConsumedQuantity'), 'ConsumedQuantity is not null where nothing was used'],
    [
      has('ConsumedQuantity') !== has('ConsumedUnit'),
      'ConsumedQuantity and ConsumedUnit are not both null or both there',
    ],
    [
      row.ChargeCategory === 'Purchase' && row.ChargeFrequency === 'Usage-Based',
      'a purchase is not Usage-Based',
    ],
    [!has('SubAccountId') && has('SubAccountName'), 'SubAccountName without SubAccountId'],
    [!has('SubAccountId') && has('SubAccountType'), 'SubAccountType without SubAccountId'],
    [!has('ResourceId') && has('ResourceName'), 'ResourceName without ResourceId'],
    [!has('ResourceId') && has('ResourceType'), 'ResourceType without ResourceId'],
    [!has('SkuId') && has('SkuPriceId'), 'SkuPriceId without SkuId'],
    [!isCorrection && isNegative(row), 'use cannot cost less than nothing, but for a Correction'],
    ...periodFaults(row),
    ...priceFaults(row, 'ListCost', 'ListUnitPrice'),
    ...priceFaults(row, 'ContractedCost', 'ContractedUnitPrice'),
  ]
  return faults.filter(([isBroken]) => isBroken).map(([, what]) => what)
}

const isNegative = ({ ChargeCategory: category, BilledCost: billed }: FocusRow): boolean =>
  category === 'Usage' && (billed ?? '').startsWith('-')

function periodFaults(row: FocusRow): readonly (readonly [boolean, string])[] {
  const at = (name: string): number => parseInstant(row[name] ?? '') ?? Number.NaN
  const [start, end] = [at('ChargePeriodStart'), at('ChargePeriodEnd')]
  const [from, to] = [at('BillingPeriodStart'), at('BillingPeriodEnd')]
  return [
    [start >= end, 'ChargePeriodEnd is not after ChargePeriodStart'],
    [from >= to, 'BillingPeriodEnd is not after BillingPeriodStart'],
  ]
}

/** A cost is its unit price times the priced quantity, exactly. */
function priceFaults(
  row: FocusRow,
  cost: 'ListCost' | 'ContractedCost',
  price: string,
): readonly (readonly [boolean, string])[] {
  const [total, each, many] = [row[cost], row[price], row.PricingQuantity].map(
    (text): Decimal | null => parseDecimal(text ?? ''),
  )
  if (!total || !each || !many || row.ChargeClass === 'Correction') return []
  const differs = compareDecimals(multiplyDecimals(each, many), total) !== 0
  return [[differs, `${cost} is not ${price} times PricingQuantity`]]
}
