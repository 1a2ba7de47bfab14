/** What a caller says about itself in headers: ours, and what other programs and gateways send. */
import { failed, type Result, succeeded } from '#lib/result.ts'
import type { WireProblem } from './dialect.ts'

export type ClaimName =
  | 'agent'
  | 'environment'
  | 'tenant'
  | 'user'
  | 'conversation'
  | 'run'
  | 'parentRun'
  | 'outcome'
type Claims = Readonly<Partial<Record<ClaimName, string>>>

export interface HeaderClaims {
  /** `bursar-*` headers: meant for us, so one that contradicts the key is refused. */
  readonly explicit: Claims
  /** What else hints at the same: fills in where nobody said. */
  readonly hints: Claims
  readonly tags: Readonly<Record<string, string>>
}

type Headers = Readonly<Record<string, readonly string[]>>

const ours: readonly (readonly [header: string, claim: ClaimName])[] = [
  ['bursar-agent', 'agent'],
  ['bursar-environment', 'environment'],
  ['bursar-tenant', 'tenant'],
  ['bursar-user', 'user'],
  ['bursar-conversation', 'conversation'],
  ['bursar-run', 'run'],
  ['bursar-run-id', 'run'],
  ['bursar-parent-run', 'parentRun'],
  ['bursar-parent-run-id', 'parentRun'],
  ['bursar-outcome', 'outcome'],
  ['bursar-outcome-id', 'outcome'],
]

/** First that is present wins. */
const aliases: readonly (readonly [header: string, claim: ClaimName])[] = [
  ['x-claude-code-agent-id', 'agent'],
  ['x-claude-code-session-id', 'conversation'],
  ['helicone-session-id', 'conversation'],
  ['session-id', 'conversation'],
  ['thread-id', 'conversation'],
  ['helicone-user-id', 'user'],
  ['x-litellm-end-user-id', 'user'],
  ['x-litellm-customer-id', 'user'],
]

const valueMax = 128
const tagsMax = 32

export function readHeaderClaims(headers: Headers): Result<HeaderClaims, WireProblem> {
  const explicit: Partial<Record<ClaimName, string>> = {}
  for (const [name, claim] of ours) {
    const values = headers[name]
    if (values === undefined) continue
    const [value = ''] = values
    if (values.length > 1) return failed(problem(name, 'is sent twice'))
    if (!isValue(value))
      return failed(problem(name, `is not 1 to ${valueMax} printable ASCII characters`))
    if (explicit[claim] !== undefined && explicit[claim] !== value) {
      return failed(problem(name, 'contradicts its other spelling'))
    }
    explicit[claim] = value
  }
  const tags = readTags(headers['bursar-tags'] ?? noValues)
  if (!tags.ok) return tags
  // Ours last: what was written for us wins over what another gateway would have read.
  return succeeded({
    explicit,
    hints: hintsOf(headers),
    tags: { ...foreignTags(headers), ...tags.value },
  })
}

function isValue(value: string): boolean {
  return value.length <= valueMax && /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(value)
}

function problem(name: string, what: string): WireProblem {
  return { code: 'invalid_request', param: name, message: `Header ${name} ${what}.` }
}

const noValues: readonly string[] = []

function readTags(
  values: readonly string[],
): Result<Readonly<Record<string, string>>, WireProblem> {
  if (values.length === 0) return succeeded({})
  const name = 'bursar-tags'
  if (values.length > 1) return failed(problem(name, 'is sent twice'))
  const [text = ''] = values
  const tags: Record<string, string> = Object.create(null)
  for (const part of text
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '')) {
    const at = part.indexOf('=')
    const key = part.slice(0, at).trim()
    const value = part.slice(at + 1).trim()
    if (at <= 0 || !isValue(key) || !isValue(value)) {
      return failed(problem(name, 'is not a list of key=value, separated by commas'))
    }
    if (tags[key] !== undefined) return failed(problem(name, `names "${key}" twice`))
    tags[key] = value
  }
  return Object.keys(tags).length <= tagsMax
    ? succeeded(tags)
    : failed(problem(name, `has more than ${tagsMax} tags`))
}

function hintsOf(headers: Headers): Claims {
  const hints: Partial<Record<ClaimName, string>> = {}
  const hint = (claim: ClaimName, value: string | undefined): void => {
    if (value !== undefined && isValue(value)) hints[claim] ??= value
  }
  const carried = headers.baggage?.[0]
  if (carried !== undefined) {
    const baggage = baggageOf(carried)
    hint('agent', baggage.get('gen_ai.agent.name') ?? baggage.get('agent'))
  }
  const turn = headers['x-codex-turn-metadata']?.[0]
  if (turn !== undefined) {
    const codex = objectOf(turn)
    hint('agent', codex.agent_name)
    hint('run', codex.root_turn_id)
  }
  for (const [header, claim] of aliases) hint(claim, headers[header]?.[0])
  return hints
}

/** Metadata that other gateways take as a JSON object in a header. */
const metadataHeaders = [
  'x-litellm-spend-logs-metadata',
  'x-portkey-metadata',
  'cf-aig-metadata',
  'x-tfy-metadata',
]
const heliconeProperty = 'helicone-property-'

/** Tags in other gateways' headers, so that moving here is a change of base URL only. */
function foreignTags(headers: Headers): Readonly<Record<string, string>> {
  const pairs: (readonly [string, string])[] = []
  for (const name of metadataHeaders) {
    const text = headers[name]?.[0]
    if (text !== undefined) pairs.push(...Object.entries(objectOf(text)))
  }
  for (const name in headers) {
    if (!name.startsWith(heliconeProperty)) continue
    pairs.push([name.slice(heliconeProperty.length), headers[name]?.[0] ?? ''])
  }
  const litellm = headers['x-litellm-tags']?.[0]
  for (const tag of litellm === undefined ? [] : litellm.split(',')) {
    const [key = '', ...rest] = tag.split(/[=:]/)
    pairs.push([key.trim(), rest.join(':').trim() || 'true'])
  }
  if (pairs.length === 0) return {}
  const usable = pairs.filter(([key, value]) => isValue(key) && isValue(value))
  return Object.fromEntries(usable.slice(0, tagsMax))
}

/** W3C baggage: `k=v;properties, k=v`. */
function baggageOf(text: string): ReadonlyMap<string, string> {
  const pairs = text
    .slice(0, 8192)
    .split(',')
    .flatMap((part) => {
      const [pair = ''] = part.split(';')
      const at = pair.indexOf('=')
      if (at <= 0) return []
      return [[pair.slice(0, at).trim(), decoded(pair.slice(at + 1).trim())] as const]
    })
  return new Map(pairs)
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** String members of a JSON object in a header; nothing of it is trusted further than that. */
export function objectOf(text: string | undefined): Readonly<Record<string, string>> {
  if (text === undefined || text.length > 8192 || !text.startsWith('{')) return {}
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null) return {}
    return Object.fromEntries(
      Object.entries(value).filter(
        (entry): entry is [string, string] => typeof entry[1] === 'string',
      ),
    )
  } catch {
    return {}
  }
}

/** Codex takes 402 for a passing fault: it needs answers of its own. */
export function isCodex(headers: Headers): boolean {
  const starts = (name: string): boolean =>
    headers[name]?.[0]?.toLowerCase().startsWith('codex') === true
  return starts('originator') || starts('user-agent')
}
