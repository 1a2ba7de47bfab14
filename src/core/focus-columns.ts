/** The columns of FOCUS that we write, and what stands in them. Facts: docs/exports.md. */
import { formatDecimal } from './decimal.ts'
import { type FocusCharge, type FocusKey, type FocusVersion, isTokens } from './focus.ts'
import { formatUsd } from './money.ts'
import { instant, periodAt, toIso } from './time.ts'

/** Who stands behind a row: names as FOCUS has them. */
export interface Providers {
  /** Who serves the model and sends the invoice: "AWS". */
  readonly provider: string
  /** Who made the model: "Anthropic". */
  readonly publisher: string
  /** "Amazon Bedrock". */
  readonly service: string
}

/** One row's cells by column; a column that is absent is null. Numbers are exact decimal texts. */
export type FocusRow = Readonly<Record<string, string | null>>

const shared = [
  'BilledCost',
  'BillingAccountId',
  'BillingAccountName',
  'BillingAccountType',
  'BillingCurrency',
  'BillingPeriodEnd',
  'BillingPeriodStart',
  'ChargeCategory',
  'ChargeClass',
  'ChargeDescription',
  'ChargeFrequency',
  'ChargePeriodEnd',
  'ChargePeriodStart',
  'ConsumedQuantity',
  'ConsumedUnit',
  'ContractedCost',
  'ContractedUnitPrice',
  'EffectiveCost',
  'HostProviderName',
  'InvoiceId',
  'InvoiceIssuerName',
  'ListCost',
  'ListUnitPrice',
  'PricingCategory',
  'PricingQuantity',
  'PricingUnit',
  'ProviderName',
  'PublisherName',
  'ResourceId',
  'ResourceType',
  'ServiceCategory',
  'ServiceName',
  'ServiceProviderName',
  'ServiceSubcategory',
  'SkuId',
  'SkuMeter',
  'SkuPriceDetails',
  'SkuPriceId',
  'SubAccountId',
  'SubAccountName',
  'SubAccountType',
  'Tags',
] as const

const own = [
  'x_Agent',
  'x_BusinessUnit',
  'x_Calls',
  'x_CostBasis',
  'x_Environment',
  'x_Model',
  'x_Provider',
  'x_ServiceTier',
  'x_Team',
  'x_TokenType',
] as const

/** 1.3 deprecated two names of providers and brought two others; 1.4 dropped the old ones. */
const notIn: Readonly<Record<FocusVersion, readonly string[]>> = {
  '1.2': ['HostProviderName', 'ServiceProviderName'],
  '1.4': ['ProviderName', 'PublisherName'],
}

/** In alphabetical order, ours after those of FOCUS. */
export function focusColumns(version: FocusVersion): readonly string[] {
  return [...shared.filter((name) => !notIn[version].includes(name)), ...own]
}

/** `periodMs`: how long a charge period is. */
export function focusRow(
  charge: FocusCharge,
  { provider, publisher, service }: Providers,
  periodMs: number,
): FocusRow {
  const { cost, calls } = charge
  const key = trimmed(charge.key)
  const billing = periodAt('month', 'UTC', key.start)
  const account = key.organization ?? 'bursar'
  const isCorrection = key.basis === 'corrected'
  return {
    BilledCost: formatUsd(cost),
    BillingAccountId: account,
    BillingAccountName: account,
    BillingAccountType: 'Organization',
    BillingCurrency: 'USD',
    BillingPeriodEnd: toIso(billing.end),
    BillingPeriodStart: toIso(billing.start),
    ChargeCategory: 'Usage',
    ChargeClass: isCorrection ? 'Correction' : null,
    ChargeDescription: describe(key),
    ChargeFrequency: 'Usage-Based',
    ChargePeriodEnd: toIso(instant(key.start + periodMs)),
    ChargePeriodStart: toIso(key.start),
    EffectiveCost: formatUsd(cost),
    HostProviderName: provider,
    InvoiceIssuerName: provider,
    ...pricing({ ...charge, key }),
    PricingCategory: 'Standard',
    ProviderName: provider,
    PublisherName: publisher,
    ResourceId: key.key,
    ResourceType: key.key === null ? null : 'Virtual Key',
    ServiceCategory: 'AI and Machine Learning',
    ServiceName: service,
    ServiceProviderName: provider,
    ServiceSubcategory: 'Generative AI',
    SubAccountId: key.team,
    SubAccountName: key.team,
    SubAccountType: key.team === null ? null : 'Team',
    Tags: tagsOf(key),
    x_Agent: key.agent,
    x_BusinessUnit: key.businessUnit,
    x_Calls: String(calls),
    x_CostBasis: key.basis,
    x_Environment: key.environment,
    x_Model: key.model,
    x_Provider: key.provider,
    x_ServiceTier: key.tier,
    x_Team: key.team,
    x_TokenType: key.meter,
  }
}

/** Texts of FOCUS do not begin or end with white space. */
function trimmed(key: FocusKey): FocusKey {
  const cut = (name: string | null): string | null => name?.trim() || null
  const { organization, businessUnit, team, agent, environment, provider, model } = key
  return {
    ...key,
    organization: cut(organization),
    businessUnit: cut(businessUnit),
    team: cut(team),
    agent: cut(agent),
    environment: cut(environment),
    provider: cut(provider),
    model: cut(model),
    key: cut(key.key),
  }
}

const kindOf = ({ meter, basis }: FocusKey): string => meter ?? basis

function describe(key: FocusKey): string {
  const what = key.basis === 'corrected' ? 'correction' : kindOf(key)
  return `${key.model ?? 'unknown model'} ${what} (${key.tier})`
}

/** Quantities, units, prices and the SKU that they belong to. */
function pricing(charge: FocusCharge): FocusRow {
  const { key, cost, list, quantity } = charge
  const { meter, femtos } = key
  const model = key.model ?? 'unknown'
  const sku = {
    SkuId: model,
    SkuMeter: kindOf(key),
    SkuPriceDetails: JSON.stringify({
      x_Model: model,
      x_ServiceTier: key.tier,
      x_TokenType: kindOf(key),
    }),
    SkuPriceId: priceId(model, key),
  }
  const listed = list === null ? formatUsd(cost) : formatDecimal({ digits: list, places: 15 })
  const costs = { ListCost: listed, ContractedCost: listed }
  if (meter === null || femtos === null) {
    // What a correction is for is money: it may have no quantity, where use must have one.
    const isBare = quantity === 0n && key.basis === 'corrected'
    const tokens = isBare ? null : String(quantity)
    const unit = isBare ? null : 'Tokens'
    return {
      ...costs,
      ...sku,
      ConsumedQuantity: tokens,
      ConsumedUnit: unit,
      PricingQuantity: tokens,
      PricingUnit: unit,
    }
  }
  const block = isTokens(meter) ? 6 : 3
  const unit = isTokens(meter) ? 'Tokens' : 'Requests'
  const price = formatDecimal({ digits: femtos, places: 15 - block })
  return {
    ...costs,
    ...sku,
    ConsumedQuantity: String(quantity),
    ConsumedUnit: unit,
    PricingQuantity: formatDecimal({ digits: quantity, places: block }),
    PricingUnit: `${10 ** block} ${unit}`,
    ListUnitPrice: price,
    ContractedUnitPrice: price,
  }
}

/** One price of a model's class of use: a tier, a long prompt and a new price have their own. */
function priceId(model: string, key: FocusKey): string {
  const price = key.femtos === null ? 'none' : formatDecimal({ digits: key.femtos, places: 9 })
  return `${model}/${kindOf(key)}/${key.tier}/${price}`
}

function tagsOf(key: FocusKey): string {
  const all: readonly (readonly [string, string | null])[] = [
    ['business_unit', key.businessUnit],
    ['team', key.team],
    ['agent', key.agent],
    ['environment', key.environment],
    ['cost_basis', key.basis],
  ]
  return JSON.stringify(Object.fromEntries(all.filter(([, value]) => value !== null)))
}

/** A row's cells in the order of the columns. */
export const focusCells = (row: FocusRow, columns: readonly string[]): readonly (string | null)[] =>
  columns.map((name) => row[name] ?? null)
