/** Amazon: Cost and Usage Reports (2.0 and legacy) and Cost Explorer's answers, for Bedrock. */
import type { LineKind } from '#core/bill-line.ts'
import { type Decimal, multiplyDecimals } from '#core/decimal.ts'
import type { Format, RowView } from './format.ts'
import { lookUp } from './values.ts'

const bedrock = 'bedrock'

/**
 * `<REGION>-<Model>-<token type>[-<tier>][-cross-region-<scope>]`, or with `-mantle-` before the
 * token type; from the marketplace `MP:USE1_InputTokenCount-Units`.
 */
export function usageType(text: string): { readonly model: string; readonly kind: LineKind } {
  const match =
    /^(?:[A-Z]{2,4}\d?-)?(.+?)(?:-mantle)?-((?:cache-read|cache-write|input|output)\b.*)$/i.exec(
      text,
    )
  const [, model = '', rest = text] = match ?? []
  const words = rest.toLowerCase().replace(/[^a-z]/g, '')
  if (/cacheread/.test(words)) return { model, kind: 'cache_read' }
  if (/cachewrite/.test(words)) return { model, kind: 'cache_write' }
  if (/output|response/.test(words)) return { model, kind: 'output' }
  if (/input/.test(words)) return { model, kind: 'input' }
  if (/provisioned|modelunit|commit/.test(words)) return { model, kind: 'commitment' }
  if (/storage/.test(words)) return { model, kind: 'storage' }
  return { model, kind: /search|guardrail|agent|flow/.test(words) ? 'tool' : 'other' }
}

const lineTypes: Readonly<Record<string, LineKind>> = {
  tax: 'tax',
  credit: 'credit',
  refund: 'refund',
  fee: 'commitment',
  rifee: 'commitment',
  savingsplanupfrontfee: 'commitment',
  savingsplanrecurringfee: 'commitment',
  savingsplannegation: 'commitment',
}

function kindOf(lineType: string, usage: LineKind): LineKind {
  const name = lineType.toLowerCase()
  return lookUp(lineTypes, name) ?? (name.endsWith('discount') ? 'discount' : usage)
}

const blocks: Readonly<Record<string, bigint>> = {
  tokens: 1n,
  '1k tokens': 1_000n,
  '1m tokens': 1_000_000n,
}

/** In tokens where the pricing unit is some number of them. */
function quantityOf(row: RowView): { quantity: Decimal | null; unit: string | null } {
  const quantity = row.amount('lineitemusageamount')
  const unit = row.text('pricingunit')
  const block = lookUp(blocks, unit.toLowerCase())
  if (quantity === null || block === undefined) return { quantity, unit: unit || null }
  return { quantity: multiplyDecimals(quantity, { digits: block, places: 0 }), unit: 'tokens' }
}

/** "arn:aws:sts::1111:assumed-role/support-bot/session" → the role, which outlives its sessions. */
function principalOf(arn: string): string {
  return /:(?:assumed-role|user|role)\/([^/]+)/.exec(arn)?.[1] ?? arn
}

/**
 * The invoice is the sum of the unblended cost over all types of line: discounts, credits and
 * negations have lines of their own, which the net column would count a second time.
 */
export const awsCur: Format = {
  id: 'aws-cur',
  name: 'AWS Cost and Usage Report',
  aliases: { productproductname: 'product', billingperiodstartdate: 'billbillingperiodstartdate' },
  needs: ['lineitemlineitemtype', 'lineitemunblendedcost', 'lineitemusagestartdate'],
  amounts: ['lineitemunblendedcost', 'pricingpublicondemandcost', 'lineitemusageamount'],
  always: [
    'lineitemlineitemtype',
    'lineitemusagetype',
    'lineitemusagestartdate',
    'lineitemusageenddate',
    'lineitemproductcode',
    'billbillingperiodstartdate',
    'pricingunit',
  ],
  dates: ['lineitemusagestartdate', 'lineitemusageenddate', 'billbillingperiodstartdate'],
  dimensions: {
    tags: ['resourcetags', 'tags'],
    project: ['resourcetags', 'tags', 'lineitemresourceid'],
    key: ['lineitemiamprincipal'],
    workspace: ['lineitemusageaccountid'],
  },
  covers: { columns: ['lineitemproductcode', 'productservicecode', 'product'], words: bedrock },
  currency: 'lineitemcurrencycode',
  read(row) {
    const net = row.money('lineitemunblendedcost')
    const usage = usageType(row.text('lineitemusagetype'))
    const day = row.day('lineitemusagestartdate')
    const tags = { ...row.tags('tags'), ...row.tags('resourcetags') }
    const resource = row.text('lineitemresourceid')
    return [
      {
        provider: 'aws',
        day,
        lastDay: row.lastDay('lineitemusageenddate', day),
        month: row.month('billbillingperiodstartdate'),
        service: row.text('lineitemproductcode'),
        model: usage.model,
        kind: kindOf(row.text('lineitemlineitemtype'), usage.kind),
        ...quantityOf(row),
        list: row.amount('pricingpublicondemandcost'),
        net,
        key: principalOf(row.text('lineitemiamprincipal')),
        project: tags.project ?? resource.slice(resource.lastIndexOf('/') + 1),
        workspace: row.text('lineitemusageaccountid'),
        tags,
      },
    ]
  },
}

/** Its quantities add up different units ("not meaningful"), so only the money is read. */
export const awsCostExplorer: Format = {
  id: 'aws-cost-explorer',
  name: 'AWS Cost Explorer',
  needs: ['periodstart', 'periodend', 'costamount'],
  amounts: ['costamount'],
  always: ['periodstart', 'periodend', 'service', 'usagetype', 'recordtype'],
  dates: ['periodstart', 'periodend'],
  dimensions: { tags: ['tags'], project: ['tags'], workspace: ['linkedaccount'] },
  covers: { columns: ['service', 'usagetype'], words: `${bedrock}|claude|nova` },
  currency: 'costunit',
  read(row) {
    const net = row.money('costamount')
    const usage = usageType(row.text('usagetype'))
    const day = row.day('periodstart')
    const tags = row.tags('tags')
    return [
      {
        provider: 'aws',
        day,
        lastDay: row.lastDay('periodend', day),
        service: row.text('service'),
        model: usage.model,
        kind: kindOf(row.text('recordtype').replaceAll(' ', ''), usage.kind),
        net,
        project: tags.project ?? null,
        workspace: row.text('linkedaccount'),
        tags,
      },
    ]
  },
}
