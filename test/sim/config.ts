/** The configs of a simulated world: four budgets over every call, tight enough to be reached. */
import { strict as assert } from 'node:assert'
import type { BudgetRule } from '#core/budget.ts'
import { noTargets } from '#core/channels.ts'
import { nanos, parseUsd } from '#core/money.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { makeId } from '#lib/id.ts'
import { priceBook } from './provider.ts'

function rule(name: string, usd: string, more: Partial<BudgetRule> = {}): BudgetRule {
  return {
    id: makeId('bud', name),
    name,
    selector: {},
    per: null,
    unit: 'usd',
    amount: parseUsd(usd) ?? assert.fail(),
    period: 'hour',
    timeZone: 'UTC',
    mode: 'enforce',
    owner: null,
    reviewEveryDays: null,
    origin: 'sim',
    ladder: [
      { label: '0.5', at: { numerator: 5n, denominator: 10n }, actions: [] },
      { label: '0.8', at: { numerator: 8n, denominator: 10n }, actions: [] },
      { label: '1.2', at: { numerator: 12n, denominator: 10n }, actions: [{ kind: 'hard_stop' }] },
    ],
    ...more,
  }
}

/** A new one for each reload: the same budgets with other amounts, and another policy. */
export function snapshotOf(chance: () => number, version: string): Snapshot {
  const tight = (0.05 + chance() * 0.5).toFixed(3)
  const throttled: BudgetRule['ladder'] = [
    {
      label: '0.9',
      at: { numerator: 9n, denominator: 10n },
      actions: [{ kind: 'throttle', percent: 50 }],
    },
    { label: '1.2', at: { numerator: 12n, denominator: 10n }, actions: [{ kind: 'hard_stop' }] },
  ]
  return {
    version,
    organization: 'sim',
    timeZone: 'UTC',
    environments: [],
    treeDeclared: false,
    tree: [],
    oidc: null,
    webhooks: [],
    notify: noTargets,
    runs: [],
    loops: [],
    outcomes: [],
    outcomeHooks: [],
    outcomeLimits: [],
    notices: [],
    priceBook,
    contracts: [],
    acceptedPrices: null,
    providers: [
      {
        name: 'sim',
        kind: 'openai',
        baseUrl: 'http://provider.sim',
        credential: null,
        environments: null,
        models: [],
        free: false,
        retries: chance() < 0.5 ? 1 : 0,
      },
    ],
    budgets: [
      rule('organization', '5.00', { period: 'day' }),
      rule('agent', tight, chance() < 0.3 ? { ladder: throttled } : {}),
      rule('user', '0.060', { per: 'user', period: 'minute' }),
      rule('calls', '0', { unit: 'calls', amount: 40n, period: 'hour' }),
    ],
    policy: {
      unpricedModel: 'deny',
      noBudget: 'allow',
      onTight: chance() < 0.5 ? 'clamp' : 'refuse',
      clampFloorTokens: 16,
      exposeAmounts: 'full',
      maxWaitMs: 2000,
      platformFeePercent: '0',
      ledgerUnavailableAllowance: nanos(0n),
    },
  }
}
