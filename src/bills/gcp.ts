/** Google Cloud: the billing export of BigQuery (standard, detailed), for Vertex AI and Gemini. */
import type { LineKind } from '#core/bill-line.ts'
import { addDecimals, type Decimal, decimalZero, timesWhole } from '#core/decimal.ts'
import type { Draft, Format, RowView } from './format.ts'
import { lookUp, parseAmount } from './values.ts'

const costTypes: Readonly<Record<string, LineKind>> = {
  tax: 'tax',
  adjustment: 'adjustment',
  'rounding error': 'adjustment',
}

function skuKind(sku: string): LineKind {
  if (/storage/i.test(sku)) return 'storage'
  if (/grounding|search|tool/i.test(sku)) return 'tool'
  if (/caching|cached/i.test(sku)) return 'cache_read'
  if (/output/i.test(sku)) return 'output'
  return /input/i.test(sku) ? 'input' : 'other'
}

/** "Gemini 2.5 Flash GA Text Input - Predictions" → "Gemini 2.5 Flash". */
function skuModel(sku: string): string {
  return (
    /^(?:Gemini|Claude|Imagen|Veo|Llama|Mistral)\s[\d.]+(?:\s(?:Flash|Pro|Lite|Ultra|Image|Opus|Sonnet|Haiku))*/i.exec(
      sku,
    )?.[0] ?? ''
  )
}

/** The sum of the credits' amounts (they are negative), from the list as JSON. */
function creditsOf(row: RowView): Decimal | null {
  const text = row.text('credits')
  if (text === '' || text === '[]') return null
  // A number keeps its own digits: it is taken from the text, never through a float.
  const amounts = [...text.matchAll(/"amount"\s*:\s*"?([^",}\s]+)/g)]
  let sum = decimalZero
  for (const [, raw = ''] of amounts) {
    const amount = raw === 'null' ? decimalZero : parseAmount(raw)
    if (amount === null) row.bad(`a credit's amount is not a number`)
    else sum = addDecimals(sum, amount)
  }
  if (amounts.length === 0) row.bad('the credits are no list of amounts')
  return timesWhole(sum, row.rows)
}

/** Net is the cost and the credits together; the invoice's month decides, not the day of use. */
export const gcpExport: Format = {
  id: 'gcp-export',
  name: 'Google Cloud billing export',
  needs: ['skudescription', 'usagestarttime', 'cost', 'currency'],
  amounts: ['cost', 'costatlist', 'usageamount'],
  always: ['skudescription', 'servicedescription', 'usagestarttime', 'costtype', 'credits'].concat(
    'invoicemonth',
  ),
  dates: ['usagestarttime'],
  dimensions: {
    tags: ['labels', 'projectlabels'],
    project: ['labels', 'projectid'],
    workspace: ['billingaccountid'],
    key: ['resourcename'],
  },
  covers: {
    columns: ['servicedescription', 'serviceid', 'skudescription'],
    words: 'vertex|generative language|gemini|c7e2-9256-1c43',
  },
  currency: 'currency',
  read(row) {
    const net = row.money('cost')
    const month = /^(\d{4})(\d{2})$/.exec(row.text('invoicemonth'))
    const sku = row.text('skudescription')
    const usage = skuKind(sku)
    const isTokens = usage !== 'tool' && usage !== 'storage' && usage !== 'other'
    const tags = { ...row.tags('projectlabels'), ...row.tags('labels') }
    const about = {
      provider: 'gcp',
      day: row.day('usagestarttime'),
      ...(month === null ? {} : { month: `${month[1]}-${month[2]}` }),
      service: row.text('servicedescription'),
      model: skuModel(sku),
      key: row.text('resourcename'),
      project: tags.project ?? row.text('projectid'),
      workspace: row.text('billingaccountid'),
      tags,
    }
    const line: Draft = {
      ...about,
      kind: lookUp(costTypes, row.text('costtype').toLowerCase()) ?? usage,
      quantity: row.amount('usageamount'),
      // The unit's name is "count" or "requests", and means tokens: the SKU says so.
      unit: isTokens ? 'tokens' : 'uses',
      list: row.amount('costatlist'),
      net,
    }
    const credits = creditsOf(row)
    return credits === null ? [line] : [line, { ...about, kind: 'credit', net: credits }]
  },
}
