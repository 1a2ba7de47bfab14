/** Anthropic: the Admin API's cost and usage reports, and the Console's CSV exports. */
import type { LineKind } from '#core/bill-line.ts'
import { type Decimal, multiplyDecimals } from '#core/decimal.ts'
import type { Draft, Format, RowView } from './format.ts'
import { lookUp } from './values.ts'

const cent: Decimal = { digits: 1n, places: 2 }

const kinds: Readonly<Record<string, LineKind>> = {
  uncached_input_tokens: 'input',
  input_no_cache: 'input',
  output_tokens: 'output',
  output: 'output',
  cache_read_input_tokens: 'cache_read',
  input_cache_read: 'cache_read',
  'cache_creation.ephemeral_5m_input_tokens': 'cache_write',
  'cache_creation.ephemeral_1h_input_tokens': 'cache_write',
  input_cache_write_5m: 'cache_write',
  input_cache_write_1h: 'cache_write',
}

function kindOf(row: RowView): LineKind {
  const known = lookUp(kinds, row.text('tokentype'))
  if (known !== undefined) return known
  return /web_search|code_execution|session/.test(row.text('costtype')) ? 'tool' : 'other'
}

/** Amounts are cents: "123.45" is $1.23. */
export const anthropicCost: Format = {
  id: 'anthropic-cost',
  name: 'Anthropic cost report',
  needs: ['startingat', 'amount', 'costtype', 'currency'],
  amounts: ['amount'],
  always: ['startingat', 'costtype', 'tokentype'],
  dates: ['startingat'],
  dimensions: { model: ['model'], workspace: ['workspaceid'], service: ['description'] },
  covers: null,
  currency: 'currency',
  read(row) {
    const amount = row.money('amount')
    return [
      {
        provider: 'anthropic',
        day: row.day('startingat'),
        kind: kindOf(row),
        model: row.text('model'),
        service: row.text('description'),
        workspace: row.text('workspaceid'),
        net: amount === null ? null : multiplyDecimals(amount, cent),
      },
    ]
  },
}

/** Amounts are dollars here, and there is a list price and the key's name. */
export const anthropicCostCsv: Format = {
  id: 'anthropic-cost-csv',
  name: 'Anthropic Console cost export',
  needs: ['usagedateutc', 'costusd', 'tokentype'],
  amounts: ['costusd', 'listpriceusd'],
  always: ['usagedateutc', 'costtype', 'tokentype'],
  dates: ['usagedateutc'],
  dimensions: {
    model: ['model'],
    workspace: ['workspace'],
    key: ['apikey'],
    service: ['usagetype'],
  },
  covers: null,
  currency: null,
  read(row) {
    const net = row.money('costusd')
    return [
      {
        provider: 'anthropic',
        day: row.day('usagedateutc'),
        kind: kindOf(row),
        model: row.text('model'),
        service: row.text('usagetype'),
        workspace: row.text('workspace'),
        key: row.text('apikey'),
        list: row.amount('listpriceusd'),
        net,
      },
    ]
  },
}

/** A line for each class that was used, without money. */
export function usageLines(
  row: RowView,
  about: Omit<Draft, 'kind' | 'net'>,
  classes: Readonly<Record<string, LineKind>>,
): readonly Draft[] {
  return Object.entries(classes).flatMap(([column, kind]) => {
    const quantity = row.amount(column)
    if (quantity === null || quantity.digits === 0n) return []
    const unit = kind === 'tool' ? 'uses' : 'tokens'
    return [{ ...about, kind, quantity, unit, net: null }]
  })
}

const usageClasses: Readonly<Record<string, LineKind>> = {
  uncachedinputtokens: 'input',
  cachereadinputtokens: 'cache_read',
  cachecreationephemeral5minputtokens: 'cache_write',
  cachecreationephemeral1hinputtokens: 'cache_write',
  outputtokens: 'output',
  servertoolusewebsearchrequests: 'tool',
}

export const anthropicUsage: Format = {
  id: 'anthropic-usage',
  name: 'Anthropic usage report',
  aliases: {
    usagedateutc: 'startingat',
    modelversion: 'model',
    apikey: 'apikeyid',
    workspace: 'workspaceid',
    usageinputtokensnocache: 'uncachedinputtokens',
    usageinputtokenscacheread: 'cachereadinputtokens',
    usageinputtokenscachewrite5m: 'cachecreationephemeral5minputtokens',
    usageinputtokenscachewrite1h: 'cachecreationephemeral1hinputtokens',
    usageoutputtokens: 'outputtokens',
    websearchcount: 'servertoolusewebsearchrequests',
  },
  needs: ['startingat', 'uncachedinputtokens', 'outputtokens'],
  amounts: Object.keys(usageClasses),
  always: ['startingat'],
  dates: ['startingat'],
  dimensions: { model: ['model'], workspace: ['workspaceid'], key: ['apikeyid'] },
  covers: null,
  currency: null,
  read(row) {
    const about = {
      provider: 'anthropic',
      day: row.day('startingat'),
      model: row.text('model'),
      workspace: row.text('workspaceid'),
      key: row.text('apikeyid'),
    }
    return usageLines(row, about, usageClasses)
  },
}
