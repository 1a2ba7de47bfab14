/** A checked file to a snapshot: names resolved, amounts exact, nothing silently ignored. */
import { channelOf } from '#core/alert-route.ts'
import type { BudgetRule } from '#core/budget.ts'
import { nanos, parseUsd } from '#core/money.ts'
import type { PriceBook } from '#core/price-book.ts'
import type { Policy, Snapshot, TreeNode, WebhookTarget } from '#core/snapshot.ts'
import { isTimeZone } from '#core/time.ts'
import { failed, type Result, succeeded } from '#lib/result.ts'
import { secret } from '#lib/secret.ts'
import { compileAuth } from './compile-auth.ts'
import { compileNotify } from './compile-notify.ts'
import { compileOutcomes } from './compile-outcomes.ts'
import { compileProviders } from './compile-providers.ts'
import { compileRules, ownerOf } from './compile-rules.ts'
import { compileRuns } from './compile-runs.ts'
import { compileContracts, ownPrices } from './compile-prices.ts'
import type { ConfigFile } from './document.ts'
import type { Loaded, Merged } from './merged.ts'
import type { ConfigProblem } from './source.ts'

export function compile(
  merged: Merged,
  listed: PriceBook,
  version: string,
): Result<Loaded, readonly ConfigProblem[]> {
  const problems: ConfigProblem[] = []
  const notices = [...merged.notices]
  const { file } = merged
  const priceBook = ownPrices(merged, listed, problems)
  const timeZone = timeZoneOf(merged, problems)
  const organization = file.organization ?? 'default'
  const tree = treeOf(file, merged, problems)
  const providers = compileProviders(merged, problems, notices)
  const names = {
    organization,
    tree,
    treeDeclared: file.business_units !== undefined,
    timeZone,
    environments: file.environments ?? [],
    priceBook,
    providers: Object.keys(file.providers ?? {}),
    models: Object.values(file.providers ?? {}).flatMap(({ models = [] }) => models),
  }
  const budgets: readonly BudgetRule[] = isTimeZone(timeZone)
    ? compileRules(merged, names, problems, notices)
    : []
  const runs = compileRuns(
    merged,
    { timeZone, ownerOf: (selector) => ownerOf(selector, names) },
    problems,
  )
  const outcomes = compileOutcomes(merged, names, problems, notices)
  const contracts = compileContracts(merged, priceBook, problems)
  const oidc = compileAuth(merged, tree, problems)
  const channels = { webhooks: webhooksOf(file), notify: compileNotify(merged, problems) }
  notices.push(...silent(budgets, channels), ...notYet(file))
  if (problems.length > 0) return failed(problems)
  const snapshot: Snapshot = {
    version:
      priceBook === listed ? version : `${version.slice(0, 8)}${priceBook.version.slice(0, 8)}`,
    organization,
    timeZone,
    environments: names.environments,
    treeDeclared: names.treeDeclared,
    tree: withImplied(tree, budgets, names.treeDeclared),
    providers: providers.targets,
    budgets,
    runs: runs.caps,
    loops: runs.loops,
    ...outcomes,
    policy: policyOf(file),
    oidc,
    ...channels,
    priceBook,
    contracts,
    acceptedPrices: file.prices?.accept ?? null,
    notices,
  }
  return succeeded({ snapshot: freeze(snapshot), simulate: !providers.hasCredential })
}

function timeZoneOf(merged: Merged, problems: ConfigProblem[]): string {
  const timeZone = merged.file.timezone ?? 'UTC'
  if (isTimeZone(timeZone)) return timeZone
  const message = `"${timeZone}" is not an IANA time zone`
  problems.push(merged.problem(['timezone'], message, 'such as Europe/Berlin'))
  return timeZone
}

function treeOf(file: ConfigFile, merged: Merged, problems: ConfigProblem[]): readonly TreeNode[] {
  const nodes: TreeNode[] = []
  const seen = new Set<string>()
  const add = (node: TreeNode, path: readonly string[]): void => {
    const id = `${node.kind} ${node.name}`
    if (seen.has(id)) {
      problems.push(merged.problem(path, `${node.kind} "${node.name}" is defined twice`))
    }
    seen.add(id)
    nodes.push(node)
  }
  for (const [unit, { owner: unitOwner = null, teams = {} }] of Object.entries(
    file.business_units ?? {},
  )) {
    const unitPath = ['business_units', unit]
    add(
      { kind: 'business_unit', name: unit, owner: unitOwner, businessUnit: unit, team: null },
      unitPath,
    )
    for (const [team, { owner: teamOwner = unitOwner, agents = {} }] of Object.entries(teams)) {
      const teamPath = [...unitPath, 'teams', team]
      add({ kind: 'team', name: team, owner: teamOwner, businessUnit: unit, team }, teamPath)
      for (const [name, agent] of Object.entries(agents)) {
        const said = typeof agent === 'object' && agent !== null ? agent.owner : undefined
        const owner = said ?? teamOwner
        add({ kind: 'agent', name, owner, businessUnit: unit, team }, [...teamPath, 'agents', name])
      }
    }
  }
  return nodes
}

/** In a file without a tree, an agent that a budget names is thereby known. */
function withImplied(
  tree: readonly TreeNode[],
  budgets: readonly BudgetRule[],
  declared: boolean,
): readonly TreeNode[] {
  if (declared) return tree
  const agents = new Set(budgets.flatMap(({ selector }) => selector.agent ?? []))
  return [...agents].map((name) => ({
    kind: 'agent' as const,
    name,
    owner: null,
    businessUnit: null,
    team: null,
  }))
}

function policyOf({ policy = {} }: ConfigFile): Policy {
  const allowed =
    typeof policy.ledger_unavailable === 'object'
      ? parseUsd(policy.ledger_unavailable.allow_usd)
      : null
  return {
    unpricedModel: policy.unpriced_model ?? 'deny',
    noBudget: policy.no_budget ?? 'allow',
    onTight: policy.on_tight ?? 'clamp',
    clampFloorTokens: Number(policy.clamp_floor_tokens ?? '256'),
    exposeAmounts: policy.expose_amounts ?? 'full',
    maxWaitMs: Number((policy.max_wait ?? '15s').slice(0, -1)) * 1000,
    platformFeePercent: policy.platform_fee_percent ?? '0',
    ledgerUnavailableAllowance: allowed ?? nanos(0n),
  }
}

function webhooksOf({ notify }: ConfigFile): readonly WebhookTarget[] {
  return Object.entries(notify?.webhooks ?? {})
    .filter(([, { url }]) => url !== '')
    .map(([name, { url, secret: key }]) => ({
      name,
      url,
      secret: key === undefined || key === '' ? null : secret(key),
    }))
}

/** Steps of ladders that name a channel which nothing is configured for. */
function silent(
  budgets: readonly BudgetRule[],
  { webhooks, notify }: Pick<Snapshot, 'webhooks' | 'notify'>,
): readonly string[] {
  const known = (['slack', 'pagerduty', 'teams', 'email'] as const).filter((one) => notify[one])
  const heard = new Set(['owner', ...known, ...webhooks.map(({ name }) => `webhook:${name}`)])
  const actions = budgets.flatMap(({ ladder }) => ladder.flatMap((step) => step.actions))
  const named = actions.flatMap((action) => (action.kind === 'notify' ? [channelOf(action)] : []))
  return [...new Set(named)]
    .filter((channel) => !heard.has(channel))
    .map((channel) => channel.replace(/^webhook:/, 'webhooks.'))
    .map(
      (name) =>
        `a ladder notifies ${name}, and notify.${name} is not configured: nobody hears there`,
    )
}

/** What this version reads and checks but does not act on. Each is said; none is dropped. */
function notYet(file: ConfigFile): readonly string[] {
  const notices: string[] = []
  const say = (part: string, present: boolean): void => {
    if (present) notices.push(`${part}: read and checked, but this version does not act on it`)
  }
  say('routes', Object.keys(file.routes ?? {}).length > 0)
  say('caching.inject', file.caching?.inject === 'true')
  say('policy.ledger_unavailable.allow_usd', typeof file.policy?.ledger_unavailable === 'object')
  return notices
}

/** Rows are shared by every call: what cannot be changed cannot be changed by mistake. */
function freeze(snapshot: Snapshot): Snapshot {
  for (const rule of [...snapshot.budgets, ...snapshot.runs]) Object.freeze(rule)
  for (const provider of snapshot.providers) Object.freeze(provider)
  Object.freeze(snapshot.policy)
  return Object.freeze(snapshot)
}
