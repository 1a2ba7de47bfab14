/**
 * What FOCUS 1.2 and 1.4 ask of the columns of "Cost and Usage": which must be there, which may be
 * null, their types and allowed values. Facts of the specification (CC BY 4.0); what of 1.4 could
 * be verified stands in docs/exports.md.
 */
import type { FocusVersion } from './focus.ts'

export type CellType = 'text' | 'number' | 'time' | 'json' | 'currency'

export interface ColumnRule {
  readonly name: string
  /** A file without it is not FOCUS. */
  readonly isMandatory: boolean
  readonly allowsNull: boolean
  readonly type: CellType
  readonly allowed: readonly string[] | null
}

/** `!`: mandatory; `?`: may be null. */
type Mark = '' | '!' | '?' | '!?'

type Entry = readonly [name: string, mark: Mark, type: CellType, allowed?: readonly string[]]

const sections = [
  'AI and Machine Learning',
  'Analytics',
  'Business Applications',
  'Compute',
  'Databases',
  'Developer Tools',
  'Identity',
  'Integration',
  'Internet of Things',
  'Management and Governance',
  'Media',
  'Migration',
  'Mobile',
  'Multicloud',
  'Networking',
  'Security',
  'Storage',
  'Web',
  'Other',
]

const of12: readonly Entry[] = [
  ['AvailabilityZone', '?', 'text'],
  ['BilledCost', '!', 'number'],
  ['BillingAccountId', '!', 'text'],
  ['BillingAccountName', '!?', 'text'],
  ['BillingAccountType', '', 'text'],
  ['BillingCurrency', '!', 'currency'],
  ['BillingPeriodEnd', '!', 'time'],
  ['BillingPeriodStart', '!', 'time'],
  ['CapacityReservationId', '?', 'text'],
  ['CapacityReservationStatus', '?', 'text', ['Used', 'Unused']],
  ['ChargeCategory', '!', 'text', ['Usage', 'Purchase', 'Tax', 'Credit', 'Adjustment']],
  ['ChargeClass', '!?', 'text', ['Correction']],
  ['ChargeDescription', '!?', 'text'],
  ['ChargeFrequency', '', 'text', ['One-Time', 'Recurring', 'Usage-Based']],
  ['ChargePeriodEnd', '!', 'time'],
  ['ChargePeriodStart', '!', 'time'],
  ['CommitmentDiscountCategory', '?', 'text', ['Spend', 'Usage']],
  ['CommitmentDiscountId', '?', 'text'],
  ['CommitmentDiscountName', '?', 'text'],
  ['CommitmentDiscountQuantity', '?', 'number'],
  ['CommitmentDiscountStatus', '?', 'text', ['Used', 'Unused']],
  ['CommitmentDiscountType', '?', 'text'],
  ['CommitmentDiscountUnit', '?', 'text'],
  ['ConsumedQuantity', '?', 'number'],
  ['ConsumedUnit', '?', 'text'],
  ['ContractedCost', '!', 'number'],
  ['ContractedUnitPrice', '?', 'number'],
  ['EffectiveCost', '!', 'number'],
  ['InvoiceId', '?', 'text'],
  ['InvoiceIssuerName', '!', 'text'],
  ['ListCost', '!', 'number'],
  ['ListUnitPrice', '?', 'number'],
  ['PricingCategory', '?', 'text', ['Standard', 'Dynamic', 'Committed', 'Other']],
  ['PricingCurrency', '?', 'currency'],
  ['PricingCurrencyContractedUnitPrice', '?', 'number'],
  ['PricingCurrencyEffectiveCost', '?', 'number'],
  ['PricingCurrencyListUnitPrice', '?', 'number'],
  ['PricingQuantity', '!?', 'number'],
  ['PricingUnit', '!?', 'text'],
  ['ProviderName', '!', 'text'],
  ['PublisherName', '!', 'text'],
  ['RegionId', '?', 'text'],
  ['RegionName', '?', 'text'],
  ['ResourceId', '?', 'text'],
  ['ResourceName', '?', 'text'],
  ['ResourceType', '?', 'text'],
  ['ServiceCategory', '!', 'text', sections],
  ['ServiceName', '!', 'text'],
  ['ServiceSubcategory', '', 'text'],
  ['SkuId', '?', 'text'],
  ['SkuMeter', '?', 'text'],
  ['SkuPriceDetails', '?', 'json'],
  ['SkuPriceId', '?', 'text'],
  ['SubAccountId', '?', 'text'],
  ['SubAccountName', '?', 'text'],
  ['SubAccountType', '?', 'text'],
  ['Tags', '?', 'json'],
]

/** New since 1.2: 1.3 and 1.4 together. */
const newIn14: readonly Entry[] = [
  ['AllocatedMethodDetails', '?', 'json'],
  ['AllocatedMethodId', '?', 'text'],
  ['AllocatedResourceId', '?', 'text'],
  ['AllocatedResourceName', '?', 'text'],
  ['AllocatedTags', '?', 'json'],
  ['CommitmentProgramEligibilityDetails', '?', 'json'],
  ['ContractApplied', '?', 'json'],
  ['HostProviderName', '!', 'text'],
  ['InvoiceDetailId', '?', 'text'],
  ['ServiceProviderName', '!', 'text'],
]

const goneIn14: ReadonlySet<string> = new Set(['ProviderName', 'PublisherName'])

const ruleOf = ([name, mark, type, allowed]: Entry): ColumnRule => ({
  name,
  isMandatory: mark.startsWith('!'),
  allowsNull: mark.endsWith('?'),
  type,
  allowed: allowed ?? null,
})

export function columnRules(version: FocusVersion): readonly ColumnRule[] {
  const entries =
    version === '1.2' ? of12 : [...of12.filter(([name]) => !goneIn14.has(name)), ...newIn14]
  return entries.map(ruleOf)
}
