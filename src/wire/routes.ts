/** Paths to endpoints. Deny by default: what is not listed here reaches no provider. */
import type { DialectName, Endpoint, Operation } from './dialect.ts'

export type Matched =
  | { readonly kind: 'endpoint'; readonly endpoint: Endpoint }
  | { readonly kind: 'models'; readonly dialect: DialectName }
  | { readonly kind: 'budget' }
  | { readonly kind: 'telemetry'; readonly signal: 'traces' | 'logs' | 'metrics' }
  /** Encoded, doubled or relative parts: two readers could take it for two paths. */
  | { readonly kind: 'bad_target' }
  | { readonly kind: 'credential_in_url' }
  | { readonly kind: 'not_found' }

// Maps, not objects: a path such as `/v1constructor` must not find what every object inherits.
const posts: ReadonlyMap<string, { dialect: DialectName; operation: Operation }> = new Map([
  ['/chat/completions', { dialect: 'openai', operation: 'chat' }],
  ['/responses', { dialect: 'openai', operation: 'responses' }],
  ['/embeddings', { dialect: 'openai', operation: 'embeddings' }],
  ['/messages', { dialect: 'anthropic', operation: 'messages' }],
  ['/messages/count_tokens', { dialect: 'anthropic', operation: 'count_tokens' }],
])

/** Where OTLP's exporters send to. */
const telemetry: ReadonlyMap<string, 'traces' | 'logs' | 'metrics'> = new Map([
  ['/traces', 'traces'],
  ['/logs', 'logs'],
  ['/metrics', 'metrics'],
])

const geminiVerbs: ReadonlyMap<string, { operation: Operation; stream: boolean }> = new Map([
  ['generateContent', { operation: 'generate', stream: false }],
  ['streamGenerateContent', { operation: 'generate', stream: true }],
  ['countTokens', { operation: 'count_tokens', stream: false }],
  ['embedContent', { operation: 'embed', stream: false }],
  ['batchEmbedContents', { operation: 'embed', stream: false }],
])

const prefixes: Readonly<Record<string, DialectName>> = {
  '/openai': 'openai',
  '/anthropic': 'anthropic',
  '/gemini': 'google',
}

export function matchEndpoint(method: string, target: string): Matched {
  const [path = '', ...queries] = target.split('?')
  const query = queries.join('?')
  if (!/^\/[A-Za-z0-9._:/@+~-]*$/.test(path) || /\/\/|(^|\/)\.{1,2}(\/|$)/.test(path)) {
    return { kind: 'bad_target' }
  }
  const asked = readQuery(query)
  if (typeof asked === 'string') return { kind: asked }
  const hinted = Object.keys(prefixes).find((p) => path === p || path.startsWith(`${p}/`))
  const dialect = hinted === undefined ? null : (prefixes[hinted] ?? null)
  const version = /^(?:\/v1(?:beta|alpha)?)*/.exec(path.slice(hinted?.length ?? 0))?.[0] ?? ''
  const rest = path.slice((hinted?.length ?? 0) + version.length)
  const gemini = /^\/models\/([^/:]+(?::[^/:]+)*?):([A-Za-z]+)$/.exec(rest)
  if (method === 'GET' && rest === '/models') {
    return { kind: 'models', dialect: dialect ?? (version.includes('beta') ? 'google' : 'openai') }
  }
  if (method === 'GET' && rest === '/budget') return { kind: 'budget' }
  if (method !== 'POST') return { kind: 'not_found' }
  const signal = dialect === null ? telemetry.get(rest) : undefined
  if (signal !== undefined) return { kind: 'telemetry', signal }
  const known = posts.get(rest)
  if (known !== undefined && (dialect === null || dialect === known.dialect)) {
    return plain(known, rest, asked.forwarded)
  }
  if (gemini === null || (dialect !== null && dialect !== 'google')) return { kind: 'not_found' }
  return geminiEndpoint(gemini[1] ?? '', gemini[2] ?? '', version, asked.forwarded)
}

const credentials = new Set(['key', 'api_key', 'api-key', 'access_token'])

/**
 * What of the query goes upstream. Other names are left out: Google's `fields` would cut the usage
 * out of its answer, and an `alt` but these two is a format that is not metered.
 */
function readQuery(
  query: string,
): { readonly forwarded: string } | 'bad_target' | 'credential_in_url' {
  if (query === '') return { forwarded: '' }
  const kept: string[] = []
  for (const part of query.split(/[&;]/)) {
    const at = part.indexOf('=')
    const name = decoded(at === -1 ? part : part.slice(0, at))
    if (name === null) return 'bad_target'
    if (credentials.has(name.toLowerCase())) return 'credential_in_url'
    if (name === 'alt' && part !== 'alt=sse' && part !== 'alt=json') return 'bad_target'
    if (/^(alt|beta|api-version)=[A-Za-z0-9._-]{1,64}$/.test(part)) kept.push(part)
  }
  return { forwarded: kept.join('&') }
}

function decoded(name: string): string | null {
  try {
    return decodeURIComponent(name)
  } catch {
    return null
  }
}

function plain(
  { dialect, operation }: { dialect: DialectName; operation: Operation },
  rest: string,
  query: string,
): Matched {
  return {
    kind: 'endpoint',
    endpoint: {
      dialect,
      operation,
      pathModel: null,
      pathStream: false,
      upstreamPath: `/v1${rest}`,
      query: query === '' ? '' : `?${query}`,
    },
  }
}

function geminiEndpoint(model: string, verb: string, version: string, query: string): Matched {
  const known = geminiVerbs.get(verb)
  if (known === undefined) return { kind: 'not_found' }
  const upstreamVersion = version === '' ? '/v1beta' : `/${version.split('/').at(-1) ?? ''}`
  return {
    kind: 'endpoint',
    endpoint: {
      dialect: 'google',
      operation: known.operation,
      pathModel: model,
      pathStream: known.stream,
      upstreamPath: `${upstreamVersion}/models/${model}:${verb}`,
      query: query === '' ? '' : `?${query}`,
    },
  }
}
