/** What a caller may ask about itself: its models, and where its budgets stand. */
import { accountKey, accountsFor, openAccount } from '#core/account.ts'
import { formatUsd, type Nanos } from '#core/money.ts'
import { route } from '#core/decide.ts'
import { toIso } from '#core/time.ts'
import { type AccountView, remaining, usedPercent, viewOf } from '#core/view.ts'
import { reliefOf } from '#core/override.ts'
import type { Principal } from '#core/scope.ts'
import type { Snapshot } from '#core/snapshot.ts'
import type { Client, ClientRequest } from '#ports/client.ts'
import { isCodex, readHeaderClaims } from '#wire/claims.ts'
import type { DialectName } from '#wire/dialect.ts'
import { dialectOf } from '#wire/dialects.ts'
import { credentialOf, type IdentityProblem, principalOf, usableKey } from './identify.ts'
import { plainRefusal } from './refusals.ts'
import { type Desk, newCallId, refuse } from './serve.ts'

type Headers = ClientRequest['headers']

const noClaims = { user: null, conversation: null, tags: {} }

function whoAsks(desk: Desk, headers: Headers, snapshot: Snapshot): Principal | IdentityProblem {
  const { deps } = desk
  const secret = credentialOf(headers)
  if (!secret.ok) return secret.problem
  const key = usableKey(deps.findKey(secret.value), deps.clock.now())
  if (!key.ok) return key.problem
  const claims = readHeaderClaims(headers)
  if (!claims.ok) return { ...claims.problem, code: 'invalid_request' }
  const principal = principalOf(snapshot, key.value, claims.value, noClaims)
  return principal.ok ? principal.value : principal.problem
}

function refuseAsker(
  desk: Desk,
  headers: Headers,
  client: Client,
  dialect: DialectName,
  problem: IdentityProblem,
): void {
  const frame = { callId: newCallId(desk.deps), codex: isCodex(headers) }
  const refusal = plainRefusal(frame, problem.code, problem.message, { param: problem.param })
  refuse(desk.deps, dialectOf(dialect), client, refusal)
}

function answerJson(client: Client, body: string): void {
  client.start(200, { 'content-type': 'application/json', 'cache-control': 'no-store' })
  client.write(Buffer.from(body))
  client.end()
}

/** `GET /v1/models`: what this key may call in this dialect. Free, and never refused by money. */
export function answerModels(
  desk: Desk,
  dialect: DialectName,
  headers: Headers,
  client: Client,
): void {
  const snapshot = desk.deps.snapshot()
  const principal = whoAsks(desk, headers, snapshot)
  if ('code' in principal) return refuseAsker(desk, headers, client, dialect, principal)
  const now = desk.deps.clock.now()
  const listed = snapshot.providers.flatMap(({ models }) => models)
  const names = new Set([...snapshot.priceBook.rows.map(({ model }) => model), ...listed])
  const callable = [...names].filter((model) => {
    const asked = { model, dialect, shape: noShape }
    return route(snapshot, asked, principal.attribution, now).kind === 'targets'
  })
  answerJson(client, dialectOf(dialect).listModels(callable))
}

const noShape = {
  textTokensMax: 0,
  textTokensExpected: 0,
  imageTokensMax: 0,
  audioTokensMax: 0,
  hiddenInput: false,
  outputCap: null,
  thinkingOutsideCap: 0,
  choices: 1,
  cacheWrite: 'none',
  tiers: ['standard'],
  geo: null,
  tools: [],
  audioOutput: false,
  imageOutput: false,
} as const

/** `GET /v1/budget`: the caller's budgets and quotas, and what is left of them. */
export async function answerBudget(desk: Desk, headers: Headers, client: Client): Promise<void> {
  const { deps } = desk
  const snapshot = deps.snapshot()
  const principal = whoAsks(desk, headers, snapshot)
  if ('code' in principal) return refuseAsker(desk, headers, client, 'openai', principal)
  const now = deps.clock.now()
  const overrides = await deps.balances.overrides()
  const refs = accountsFor(snapshot.budgets, principal.attribution)
  const views = await Promise.all(
    refs.map(async (ref) => {
      const account = (await deps.balances.account(accountKey(ref, now))) ?? openAccount(ref, now)
      return viewOf(account, ref.rule, reliefOf(overrides, account, now))
    }),
  )
  const { agent, team, environment, tenant, user } = principal.attribution
  answerJson(
    client,
    JSON.stringify({
      key: principal.keyId,
      agent,
      team,
      environment,
      tenant,
      user,
      budgets: views.filter(({ rule }) => rule.unit === 'usd').map((v) => moneyRow(v, snapshot)),
      quotas: views.filter(({ rule }) => rule.unit !== 'usd').map(quotaRow),
    }),
  )
}

function moneyRow(view: AccountView, { policy }: Snapshot): Record<string, unknown> {
  const { rule, account, state } = view
  const usd = (amount: bigint): string => formatUsd(amount as Nanos)
  return {
    id: rule.id,
    name: rule.name,
    value: account.value,
    state,
    ...(policy.exposeAmounts === 'none' ? {} : { used_percent: usedPercent(view) }),
    ...(policy.exposeAmounts === 'full'
      ? {
          limit_usd: usd(rule.amount),
          posted_usd: usd(account.posted),
          pending_usd: usd(account.pending),
          remaining_usd: usd(remaining(view)),
        }
      : {}),
    resets_at: toIso(account.period.end),
  }
}

function quotaRow({ rule, account, state }: AccountView): Record<string, unknown> {
  const used = account.posted + account.pending
  return {
    id: rule.id,
    name: rule.name,
    value: account.value,
    state,
    unit: rule.unit,
    window: rule.unit === 'concurrent' ? 'concurrent' : rule.period,
    limit: String(rule.amount),
    used: String(used),
    left: String(rule.amount > used ? rule.amount - used : 0n),
    resets_at: toIso(account.period.end),
  }
}
