/** Headers in and out: what is visible to the caller, what is sent on, what comes back. */
import { formatUsd, type Nanos } from '#core/money.ts'
import type { ProviderTarget, Snapshot } from '#core/snapshot.ts'
import { toIso } from '#core/time.ts'
import { type AccountView, bindingBudget, tightestQuota } from '#core/view.ts'

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
    if (exposeAmounts !== 'none') out['bursar-budget-used-percent'] = binding.usedPercent
    if (exposeAmounts === 'full') {
      out['bursar-budget-remaining-usd'] = formatUsd(binding.remaining as Nanos)
      out['bursar-budget-limit-usd'] = formatUsd(binding.rule.amount as Nanos)
    }
  }
  const quota = tightestQuota(views)
  if (quota !== null) {
    const used = quota.account.posted + quota.account.pending
    const window = quota.rule.unit === 'concurrent' ? 'concurrent' : quota.rule.period
    out['bursar-quota'] =
      `"${safe(quota.rule.name)}";limit=${quota.rule.amount};used=${used};window=${window}`
  }
  const warning = views.map(warningOf).find((text) => text !== null)
  if (warning !== undefined && warning !== null) out['bursar-warning'] = warning
  return out
}

function warningOf(view: AccountView): string | null {
  if (view.state === 'ok') return null
  return (
    `${view.usedPercent} % of "${safe(view.rule.name)}" used, resets ` +
    toIso(view.account.period.end)
  )
}

/** Header values are visible ASCII; a name may be anything. */
export function safe(text: string): string {
  return text
    .replace(/[^\x20-\x7e]/g, '?')
    .replaceAll('"', "'")
    .slice(0, 128)
}

const sentOn = new Set([
  'accept',
  'anthropic-beta',
  'anthropic-version',
  'anthropic-dangerous-direct-browser-access',
  'openai-beta',
  'user-agent',
  'x-goog-api-client',
  'traceparent',
  'tracestate',
])

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
  for (const [name, values] of Object.entries(headers)) {
    const [value] = values
    if (value === undefined || !sentOn.has(name)) continue
    if (/^[\x20-\x7e]*$/.test(value) && value.length <= 8192) out[name] = value
  }
  if (provider.kind === 'simulator' || isLoopback(provider.baseUrl)) {
    const [directive] = headers['bursar-sim'] ?? []
    if (directive !== undefined) out['bursar-sim'] = directive
  }
  if (options.dialect === 'openai' || provider.kind === 'simulator') {
    out['x-client-request-id'] = options.attemptId
  }
  credential(out, provider, options.dialect)
  return out
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

export function isLoopback(url: string): boolean {
  const { hostname } = new URL(url)
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname)
}

const comeBack =
  /^(content-type|date|request-id|x-request-id|retry-after|retry-after-ms|x-should-retry|x-ratelimit-.*|openai-.*|anthropic-.*|x-goog-.*|x-envoy-.*|cf-ray)$/

/** What of the provider's headers the caller gets. Cookies and hop-by-hop headers are not. */
export function answerHeaders(headers: Readonly<Record<string, string>>): Out {
  const out: Out = {}
  for (const [name, value] of Object.entries(headers).slice(0, 64)) {
    if (comeBack.test(name)) out[name] = value
  }
  return out
}
