/** Azure: actual-cost exports of Cost Management, for Azure OpenAI and Foundry Models. */
import type { LineKind } from '#core/bill-line.ts'
import { type Decimal, multiplyDecimals } from '#core/decimal.ts'
import type { Format, RowView } from './format.ts'
import { lookUp } from './values.ts'

const chargeTypes: Readonly<Record<string, LineKind>> = {
  refund: 'refund',
  tax: 'tax',
  purchase: 'commitment',
  unusedreservation: 'commitment',
  unusedsavingsplan: 'commitment',
  roundingadjustment: 'adjustment',
}

/** Meter names are irregular ("Inp", "Inpt", "outpt", "Opt"): what is none of these is `other`. */
function meterKind(name: string): LineKind {
  if (/cach\w*\s*(wr|write)/i.test(name)) return 'cache_write'
  if (/cach|\bcchd\b/i.test(name)) return 'cache_read'
  if (/\b(outp\w*|outpt|opt|output)\b/i.test(name)) return 'output'
  if (/\b(inp\w*|input)\b/i.test(name)) return 'input'
  if (/ptu|provisioned/i.test(name)) return 'commitment'
  if (/storage/i.test(name)) return 'storage'
  return /search|session|interpreter|tool/i.test(name) ? 'tool' : 'other'
}

/** "gpt-4o-mini-0718-Inp-glbl Tokens" → "gpt-4o-mini-0718"; "GPT 5 cached Inpt Glbl" → "GPT 5". */
function meterModel(name: string): string {
  const cut =
    /^(.*?)[\s-]+(?:cach\w*|cchd|batch|inp\w*|outp\w*|outpt|opt|input|output|ptu)\b/i.exec(name)
  return cut?.[1] ?? ''
}

const units: Readonly<Record<string, bigint>> = { K: 1_000n, M: 1_000_000n }
const tokenKinds: ReadonlySet<LineKind> = new Set(['input', 'output', 'cache_read', 'cache_write'])

/** "1M", "1K", "10K", "1M Tokens": how many tokens one of the quantity is. */
function quantityOf(row: RowView, kind: LineKind) {
  const quantity = row.amount('quantity')
  const unit = row.text('unitofmeasure')
  const match = /^(\d+)\s*([KM]?)(?:\s*tokens?)?$/i.exec(unit)
  if (quantity === null || match === null || !tokenKinds.has(kind)) {
    return { quantity, unit: unit === '' ? null : unit }
  }
  const [, count = '1', letter = ''] = match
  const block: Decimal = {
    digits: BigInt(count) * (units[letter.toUpperCase()] ?? 1n),
    places: 0,
  }
  return { quantity: multiplyDecimals(quantity, block), unit: 'tokens' }
}

export const azureCost: Format = {
  id: 'azure-cost',
  name: 'Azure cost export',
  aliases: {
    costinbillingcurrency: 'cost',
    billingcurrencycode: 'billingcurrency',
    productname: 'product',
  },
  needs: ['meterid', 'metercategory', 'cost', 'date'],
  amounts: ['cost', 'quantity'],
  always: [
    'date',
    'metername',
    'metercategory',
    'unitofmeasure',
    'chargetype',
    'billingperiodstartdate',
  ],
  dates: ['date', 'billingperiodstartdate'],
  dimensions: {
    tags: ['tags'],
    project: ['tags', 'resourcegroup'],
    key: ['resourceid'],
    workspace: ['subscriptionname'],
  },
  covers: {
    columns: ['metercategory', 'consumedservice', 'servicefamily', 'product'],
    words: 'foundry models|openai|cognitiveservices|cognitive services|ai \\+ machine learning',
  },
  currency: 'billingcurrency',
  read(row) {
    const net = row.money('cost')
    const meter = row.text('metername')
    const usage = meterKind(meter)
    const tags = row.tags('tags')
    const resource = row.text('resourceid')
    return [
      {
        provider: 'azure',
        day: row.day('date'),
        month: row.month('billingperiodstartdate'),
        service: row.text('metercategory'),
        model: meterModel(meter),
        kind: lookUp(chargeTypes, row.text('chargetype').toLowerCase()) ?? usage,
        ...quantityOf(row, usage),
        net,
        // One account an agent is the only split this bill has: it does not name the deployment.
        key: resource.slice(resource.lastIndexOf('/') + 1),
        project: tags.project ?? row.text('resourcegroup'),
        workspace: row.text('subscriptionname'),
        tags,
      },
    ]
  },
}
