/** Headers in and out: what is visible to the caller, what is sent on, what comes back. */
import { formatUsd, type Nanos } from '#core/money.ts'
import type { ProviderTarget, Snapshot } from '#core/snapshot.ts'
import { isForever, toIso } from '#core/time.ts'
import {
  type AccountView,
  bindingBudget,
  remaining,
  tightestQuota,
  usedPercent,
} from '#core/view.ts'

type Out = Record<string, string>

/** Budget and quota headers of an answer; amounts only where policy shows them. */
export function budgetHeaders(views: readonly AccountView[], snapshot: Snapshot): Out {
  const out: Out = {}
  const { exposeAmounts } = snapshot.policy
  const binding = bindingBudget(views)
  if (binding !== null) {
    out['bursar-budget'] = safe(binding.rule.name)
    out['bursar-budget-state'] = binding.state
    out['bursar-budget-resets-at'] = toIso(binding.account.period.end)
    if (exposeAmounts !== 'none') out['bursar-budget-used-percent'] = usedPercent(binding)
    if (exposeAmounts === 'full') {
      out['bursar-budget-remaining-usd'] = formatUsd(remaining(binding) as Nanos)
      out['bursar-budget-limit-usd'] = formatUsd(binding.rule.amount as Nanos)
    }
  }
  const quota = tightestQuota(views)
  if (quota !== null) {
    const used = quota.account.posted + quota.account.pending
    const { unit, per, period } = quota.rule
    const window = unit === 'concurrent' ? unit : per === 'run' ? per : period
    out['bursar-quota'] =
      `"${safe(quota.rule.name)}";limit=${quota.rule.amount};used=${used};window=${window}`
  }
  const warned = views.find(({ state }) => state !== 'ok')
  if (warned !== undefined) out['bursar-warning'] = warningOf(warned)
  return out
}

function warningOf(view: AccountView): string {
  const { rule, account } = view
  const used = `${usedPercent(view)} % of "${safe(rule.name)}" used`
  return isForever(account.period.end) ? used : `${used}, resets ${toIso(account.period.end)}`
}

/** Header values are visible ASCII; a name may be anything. */
export function safe(text: string): string {
  return text
    .replace(/[^\x20-\x7e]/g, '?')
    .replaceAll('"', "'")
    .slice(0, 128)
}

const sentOn = [
  'accept',
  'anthropic-beta',
  'anthropic-version',
  'anthropic-dangerous-direct-browser-access',
  'openai-beta',
  'user-agent',
  'x-goog-api-client',
  'traceparent',
  'tracestate',
]

/** Headers for the provider: an allow-list, our credential, and nothing about who asked. */
export function upstreamHeaders(
  headers: Readonly<Record<string, readonly string[]>>,
  provider: ProviderTarget,
  options: {
    readonly dialect: 'openai' | 'anthropic' | 'google'
    readonly attemptId: string
    readonly bodyLength: number
  },
): Readonly<Record<string, string>> {
  const out: Out = {
    'content-type': 'application/json',
    'content-length': String(options.bodyLength),
    // Compressed answers would have to be unpacked to be metered, and a small one can be a bomb.
    'accept-encoding': 'identity',
  }
  for (const name of sentOn) {
    const value = headers[name]?.[0]
    if (value === undefined) continue
    if (/^[\x20-\x7e]*$/.test(value) && value.length <= 8192) out[name] = value
  }
  const directive = headers['bursar-sim']?.[0]
  if (directive !== undefined && takesDirectives(provider)) out['bursar-sim'] = directive
  if (options.dialect === 'openai' || provider.kind === 'simulator') {
    out['x-client-request-id'] = options.attemptId
  }
  credential(out, provider, options.dialect)
  return out
}

function takesDirectives({ kind, baseUrl }: ProviderTarget): boolean {
  return kind === 'simulator' || isLoopback(baseUrl)
}

export function isLoopback(url: string): boolean {
  const { hostname } = new URL(url)
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname)
}

function credential(out: Out, provider: ProviderTarget, dialect: string): void {
  if (provider.credential === null) return
  const secret = provider.credential.reveal()
  if (dialect === 'anthropic') {
    out['x-api-key'] = secret
    out['anthropic-version'] ??= '2023-06-01'
  } else if (dialect === 'google') out['x-goog-api-key'] = secret
  else out.authorization = `Bearer ${secret}`
}

const plainText = /^[\x20-\x7e]{0,1024}$/

const comeBack =
  /^(content-type|date|request-id|x-request-id|retry-after|retry-after-ms|x-should-retry|x-ratelimit-.*|openai-.*|anthropic-.*|x-goog-.*|x-envoy-.*|cf-ray)$/

/** What of the provider's headers the caller gets. Cookies and hop-by-hop headers are not. */
export function answerHeaders(headers: Readonly<Record<string, string>>): Out {
  const out: Out = {}
  let seen = 0
  for (const name in headers) {
    if (seen++ >= 64) break
    const value = headers[name]
    if (value === undefined || !comeBack.test(name)) continue
    // Node refuses to write anything else, and a call must not fail over what a provider adds.
    if (plainText.test(value)) out[name] = value
  }
  return out
}
