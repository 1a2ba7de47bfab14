/** FOCUS 1.0 to 1.4, of any provider: read with tolerance, for the official sample is not pure. */
import type { LineKind } from '#core/bill-line.ts'
import { type Decimal, multiplyDecimals } from '#core/decimal.ts'
import type { Format, RowView } from './format.ts'
import { lookUp } from './values.ts'

const categories: Readonly<Record<string, LineKind>> = {
  tax: 'tax',
  credit: 'credit',
  purchase: 'commitment',
  adjustment: 'adjustment',
}

function tokenKind(text: string): LineKind {
  // Before "prompt": a grounded prompt is a search that is paid for, not its tokens.
  if (/^ground/i.test(text)) return 'tool'
  if (/cache[_ -]?write|cache[_ -]?creation/i.test(text)) return 'cache_write'
  if (/cache/i.test(text) && !/uncached/i.test(text)) return 'cache_read'
  if (/output|completion/i.test(text)) return 'output'
  if (/input|prompt/i.test(text)) return 'input'
  if (/storage/i.test(text)) return 'storage'
  return /search|tool|session/i.test(text) ? 'tool' : 'other'
}

function kindOf(row: RowView): LineKind {
  const category = lookUp(categories, row.text('chargecategory').toLowerCase())
  if (category !== undefined) return category
  if (row.text('chargeclass').toLowerCase() === 'correction') return 'adjustment'
  return tokenKind(row.text('xtokentype') || row.text('skumeter') || row.text('chargedescription'))
}

const known: readonly (readonly [RegExp, string])[] = [
  [/anthropic/i, 'anthropic'],
  [/openai/i, 'openai'],
  [/aws|amazon/i, 'aws'],
  [/microsoft|azure/i, 'azure'],
  [/google|gcp/i, 'gcp'],
]

/** ProviderName until 1.3, ServiceProviderName since. */
function providerOf(row: RowView): string {
  const name =
    row.text('serviceprovidername') || row.text('providername') || row.text('invoiceissuername')
  return known.find(([word]) => word.test(name))?.[1] ?? (name.toLowerCase() || 'unknown')
}

/** "Tokens", "1000 Tokens", "1000000 Tokens": all of them are units of the specification. */
function quantityOf(row: RowView): { quantity: Decimal | null; unit: string | null } {
  const quantity = row.amount('consumedquantity')
  const unit = row.text('consumedunit')
  const match = /^(?:(\d+)\s+)?tokens?$/i.exec(unit)
  if (quantity === null || match === null) return { quantity, unit: unit === '' ? null : unit }
  const block = { digits: BigInt(match[1] ?? 1), places: 0 }
  return { quantity: multiplyDecimals(quantity, block), unit: 'tokens' }
}

/** The invoice is the sum of `BilledCost`; what a commitment paid for is billed at zero there. */
export const focus: Format = {
  id: 'focus',
  name: 'FOCUS',
  needs: ['billedcost', 'chargecategory', 'chargeperiodstart', 'billingcurrency'],
  amounts: ['billedcost', 'listcost', 'consumedquantity'],
  always: [
    'chargecategory',
    'chargeclass',
    'chargeperiodstart',
    'chargeperiodend',
    'billingperiodstart',
    'consumedunit',
    'servicename',
    'providername',
    'serviceprovidername',
    'invoiceissuername',
    'xtokentype',
    'skumeter',
    'chargedescription',
  ],
  dates: ['chargeperiodstart', 'chargeperiodend', 'billingperiodstart'],
  dimensions: {
    tags: ['tags', 'xagent', 'xteam'],
    project: ['tags', 'resourcename'],
    workspace: ['subaccountname'],
    model: ['xmodel', 'skupricedetails'],
    key: ['resourceid'],
  },
  covers: {
    columns: ['servicecategory', 'servicename', 'providername', 'serviceprovidername'],
    words:
      'ai and machine learning|anthropic|openai|bedrock|vertex|gemini|generative|foundry models',
  },
  currency: 'billingcurrency',
  read(row) {
    const net = row.money('billedcost')
    const [agent, team] = [row.text('xagent'), row.text('xteam')]
    const day = row.day('chargeperiodstart')
    const tags: Readonly<Record<string, string>> = {
      ...row.tags('tags'),
      ...(agent === '' ? {} : { agent }),
      ...(team === '' ? {} : { team }),
    }
    return [
      {
        provider: providerOf(row),
        day,
        lastDay: row.lastDay('chargeperiodend', day),
        month: row.month('billingperiodstart'),
        service: row.text('servicename'),
        model: row.text('xmodel') || row.tags('skupricedetails').x_model || '',
        kind: kindOf(row),
        ...quantityOf(row),
        list: row.amount('listcost'),
        net,
        key: row.text('resourceid'),
        project: tags.project ?? row.text('resourcename'),
        workspace: row.text('subaccountname'),
        tags,
      },
    ]
  },
}
