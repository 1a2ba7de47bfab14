/** The shape of the file, as written. What it means is `compile.ts`'s to say. */
import { z } from 'zod'
import { dimensions } from '#core/scope.ts'
import { auth } from './auth.ts'
import { outcomeHooks } from './outcome-hooks.ts'
import { outcomeLimit, outcomeTypes } from './outcomes.ts'
import { prices } from './prices.ts'

/** Scalars come as text, so that no float stands between the file and the ledger. */
const text = z.string().min(1)
const amount = z.string().regex(/^\d{1,9}(\.\d{1,9})?$/, 'an amount such as 25000 or 0.50')
const whole = z.string().regex(/^\d{1,12}$/, 'a whole number')
const fraction = z.string().regex(/^\d{1,3}(\.\d{1,6})?$/, 'a fraction such as 0.8')
const days = z.string().regex(/^[1-9]\d{0,3}d$/, 'days, such as 90d')
const flag = z.enum(['true', 'false'])
const name = z.string().regex(/^[^\s|,][^|,]{0,127}$/, 'a name without commas or bars')

const action = z
  .string()
  .regex(
    /^(notify|notify_(slack|pagerduty|teams|email)|notify_webhook:[\w-]+|throttle_to_([1-9]\d?|100)_percent|downgrade_to:[\w.-]+|hard_stop)$/,
    'an action: notify, notify_slack, notify_pagerduty, notify_teams, notify_email, ' +
      'notify_webhook:NAME, throttle_to_N_percent, downgrade_to:ROUTE, hard_stop',
  )
const step = z
  .strictObject({
    threshold: fraction,
    action: action.optional(),
    actions: z.array(action).min(1).optional(),
  })
  .refine(
    (one) => (one.action === undefined) !== (one.actions === undefined),
    'say action or actions',
  )
/** `{0.5, notify}`: a flow map whose two keys have no values. */
const shortStep = z.record(z.string(), z.union([z.null(), z.literal('')]))
const ladder = z.array(z.union([step, shortStep]))

const selectors = z.partialRecord(z.enum(dimensions), name)
const moneyPeriods = ['hourly', 'daily', 'weekly', 'monthly', 'quarterly', 'yearly'] as const
const money = Object.fromEntries(
  moneyPeriods.map((period) => [`budget_${period}_usd`, amount.optional()]),
) as Record<`budget_${(typeof moneyPeriods)[number]}_usd`, z.ZodOptional<typeof amount>>

const common = {
  ...selectorsShape(),
  per: z.enum(dimensions).optional(),
  name: text.optional(),
  mode: z.enum(['enforce', 'observe']).optional(),
}
function selectorsShape(): Record<(typeof dimensions)[number], z.ZodOptional<typeof name>> {
  return Object.fromEntries(dimensions.map((one) => [one, name.optional()])) as ReturnType<
    typeof selectorsShape
  >
}

export const budget = z.strictObject({
  ...common,
  ...money,
  max_usd_per_outcome: outcomeLimit.optional(),
  alerts: ladder.optional(),
  owner: text.optional(),
  review_every: days.optional(),
})

const counted = ['calls', 'conversations', 'tokens'] as const
const windows = ['minute', 'hour', 'day', 'week', 'month'] as const
const maxima = Object.fromEntries(
  counted.flatMap((what) =>
    windows.map((window) => [`max_${what}_per_${window}`, whole.optional()]),
  ),
) as Record<
  `max_${(typeof counted)[number]}_per_${(typeof windows)[number]}`,
  z.ZodOptional<typeof whole>
>

export const quota = z.strictObject({
  ...common,
  ...maxima,
  max_concurrent: whole.optional(),
  soft: fraction.refine((text) => Number(text) <= 1, 'at most 1: the whole quota').optional(),
})

const credential = z.string()
const provider = z.strictObject({
  kind: z.enum(['openai', 'anthropic', 'google', 'openai_compatible', 'simulator']).optional(),
  api_key: credential.optional(),
  base_url: text.optional(),
  environments: z.array(name).optional(),
  models: z.array(text).optional(),
  free: flag.optional(),
  retries: z.enum(['0', '1', '2']).optional(),
})

const agent = z.union([
  z.literal(''),
  z.null(),
  z.strictObject({
    owner: text.optional(),
    purpose: text.optional(),
  }),
])
const team = z.strictObject({ owner: text.optional(), agents: z.record(name, agent).optional() })
const unit = z.strictObject({ owner: text.optional(), teams: z.record(name, team).optional() })

const webhook = z.strictObject({ url: credential, secret: credential.optional() })
const notify = z.strictObject({
  slack: z
    .strictObject({
      webhook_url: credential.optional(),
      bot_token: credential.optional(),
      channel: text.optional(),
      signing_secret: credential.optional(),
      approvers: z.array(z.string().regex(/^[UW][A-Z0-9]{1,30}$/, 'a Slack user id')).optional(),
      api_url: text.optional(),
    })
    .optional(),
  pagerduty: z.strictObject({ routing_key: credential, events_url: text.optional() }).optional(),
  teams: z.strictObject({ workflow_url: credential }).optional(),
  email: z
    .strictObject({
      smtp: credential,
      to: z.array(text).min(1),
      from: text.optional(),
    })
    .optional(),
  webhooks: z.record(z.string().regex(/^[\w-]{1,64}$/), webhook).optional(),
})

const policy = z.strictObject({
  unpriced_model: z.enum(['deny', 'hold_at_most_expensive', 'allow_and_flag']).optional(),
  no_budget: z.enum(['allow', 'deny']).optional(),
  ledger_unavailable: z
    .union([z.literal('deny'), z.strictObject({ allow_usd: amount })])
    .optional(),
  on_tight: z.enum(['clamp', 'refuse']).optional(),
  clamp_floor_tokens: whole.optional(),
  expose_amounts: z.enum(['full', 'percent', 'none']).optional(),
  platform_fee_percent: fraction.optional(),
  max_wait: z
    .string()
    .regex(/^\d{1,2}s$/, 'seconds, such as 15s')
    .optional(),
})

const times = z.string().regex(/^([1-9]\d{0,2}|1000)$/, 'write a whole number from 1 to 1000')

const run = z.strictObject({
  ...selectorsShape(),
  max_usd: amount.optional(),
  max_calls: whole.optional(),
  mode: z.enum(['enforce', 'observe']).optional(),
  loop: z
    .strictObject({
      identical_calls: times.optional(),
      retries: times.optional(),
      returns: times.optional(),
      within: z
        .string()
        .regex(/^\d+[smh]$/, 'a time such as 60s')
        .optional(),
    })
    .optional(),
})
const route = z.strictObject({
  expensive: text,
  cheap: text,
  classifier: text.optional(),
  max_quality_loss: fraction.optional(),
  holdout: fraction.optional(),
  sticky: z.enum(['conversation', 'none']).optional(),
  match: selectors.optional(),
})
export const configFile = z.strictObject({
  organization: name.optional(),
  timezone: text.optional(),
  business_units: z.record(name, unit).optional(),
  environments: z.array(name).min(1).optional(),
  providers: z.record(z.string().regex(/^[\w-]{1,64}$/), provider).optional(),
  budgets: z.array(budget).optional(),
  quotas: z.array(quota).optional(),
  runs: z.array(run).optional(),
  routes: z.record(z.string(), route).optional(),
  caching: z.strictObject({ inject: flag.optional() }).optional(),
  outcomes: outcomeTypes.optional(),
  outcome_hooks: outcomeHooks.optional(),
  alerts: z.strictObject({ default_ladder: ladder.optional() }).optional(),
  notify: notify.optional(),
  policy: policy.optional(),
  auth: auth.optional(),
  prices: prices.optional(),
})

export type ConfigFile = z.output<typeof configFile>
export type BudgetEntry = z.output<typeof budget>
export type RunEntry = z.output<typeof run>
export type QuotaEntry = z.output<typeof quota>
export type LadderEntry = z.output<typeof ladder>[number]
export { counted, moneyPeriods, windows }
