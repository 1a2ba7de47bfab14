/** OpenAI: the costs and usage endpoints and the CSV exports, which have the same columns. */
import type { LineKind } from '#core/bill-line.ts'
import { subtractDecimals, type Decimal, multiplyDecimals } from '#core/decimal.ts'
import { usageLines } from './anthropic.ts'
import type { Format, RowView } from './format.ts'
import { lookUp } from './values.ts'

const classes: Readonly<Record<string, LineKind>> = {
  input: 'input',
  'cached input': 'cache_read',
  'cache write': 'cache_write',
  output: 'output',
}

/** "gpt-5-mini, cached input" → model and class. Other texts are tools, storage, or not known. */
function lineItem(text: string): { readonly model: string; readonly kind: LineKind } {
  const cut = text.lastIndexOf(', ')
  const kind = cut === -1 ? undefined : lookUp(classes, text.slice(cut + 2).toLowerCase())
  if (kind !== undefined) return { model: text.slice(0, cut).replace(/ batch$/, ''), kind }
  const isTool = /web search|code interpreter|file search|tool|session/i.test(text)
  return { model: '', kind: /storage/i.test(text) ? 'storage' : isTool ? 'tool' : 'other' }
}

const thousand: Decimal = { digits: 1000n, places: 0 }

function quantityOf(row: RowView): { quantity: Decimal | null; unit: string | null } {
  const quantity = row.amount('quantity')
  const unit = row.text('quantityunit')
  if (quantity !== null && unit === '1000_tokens') {
    return { quantity: multiplyDecimals(quantity, thousand), unit: 'tokens' }
  }
  return { quantity, unit: unit === '' ? null : unit }
}

export const openaiCosts: Format = {
  id: 'openai-costs',
  name: 'OpenAI costs',
  needs: ['starttime', 'amountvalue', 'lineitem'],
  amounts: ['amountvalue', 'quantity'],
  always: ['starttime', 'lineitem', 'quantityunit'],
  dates: ['starttime'],
  dimensions: { project: ['projectid'], key: ['apikeyid'] },
  covers: null,
  currency: 'amountcurrency',
  read(row) {
    const net = row.amount('amountvalue')
    const item = row.text('lineitem')
    if (net === null) {
      // The export has a row without a line item for each day on which nothing was used.
      if (item !== '') row.bad('amount_value is empty')
      return []
    }
    return [
      {
        provider: 'openai',
        day: row.day('starttime'),
        ...lineItem(item),
        service: item,
        ...quantityOf(row),
        project: row.text('projectid'),
        key: row.text('apikeyid'),
        net,
      },
    ]
  },
}

const usageClasses: Readonly<Record<string, LineKind>> = {
  inputcachedtokens: 'cache_read',
  inputcachewritetokens: 'cache_write',
  outputtokens: 'output',
  numrequests: 'tool',
  numsessions: 'tool',
}

const usageDimensions = { model: ['model'], project: ['projectid'], key: ['apikeyid'] }

/** `input_tokens` includes what was cached: only the rest is input. */
export const openaiUsage: Format = {
  id: 'openai-usage',
  name: 'OpenAI usage',
  needs: ['starttime', 'inputtokens'],
  amounts: ['inputtokens', ...Object.keys(usageClasses)],
  always: ['starttime'],
  dates: ['starttime'],
  dimensions: usageDimensions,
  covers: null,
  currency: null,
  read(row) {
    const about = {
      provider: 'openai',
      day: row.day('starttime'),
      model: row.text('model'),
      project: row.text('projectid'),
      key: row.text('apikeyid'),
    }
    const all = row.amount('inputtokens')
    const rest = ['inputcachedtokens', 'inputcachewritetokens'].reduce<Decimal | null>(
      (left, column) => {
        const part = row.amount(column)
        return left === null || part === null ? left : subtractDecimals(left, part)
      },
      all,
    )
    const lines = usageLines(row, about, usageClasses)
    if (rest === null || rest.digits === 0n) return lines
    return [{ ...about, kind: 'input', quantity: rest, unit: 'tokens', net: null }, ...lines]
  },
}

/** The other usage reports: images, speech, storage and so on. */
export const openaiOtherUsage: Format = {
  ...openaiUsage,
  id: 'openai-other-usage',
  name: 'OpenAI usage (tools, images, speech, storage)',
  needs: ['starttime', 'object'],
  amounts: Object.keys(usageClasses),
  read(row) {
    const about = { provider: 'openai', day: row.day('starttime'), model: row.text('model') }
    return usageLines(row, about, usageClasses)
  },
}
