/** Paths to endpoints. Deny by default: what is not listed here reaches no provider. */
import type { DialectName, Endpoint, Operation } from './dialect.ts'

export type Matched =
  | { readonly kind: 'endpoint'; readonly endpoint: Endpoint }
  | { readonly kind: 'models'; readonly dialect: DialectName }
  | { readonly kind: 'budget' }
  /** Encoded, doubled or relative parts: two readers could take it for two paths. */
  | { readonly kind: 'bad_target' }
  | { readonly kind: 'credential_in_url' }
  | { readonly kind: 'not_found' }

const posts: Readonly<Record<string, { dialect: DialectName; operation: Operation }>> = {
  '/chat/completions': { dialect: 'openai', operation: 'chat' },
  '/responses': { dialect: 'openai', operation: 'responses' },
  '/embeddings': { dialect: 'openai', operation: 'embeddings' },
  '/messages': { dialect: 'anthropic', operation: 'messages' },
  '/messages/count_tokens': { dialect: 'anthropic', operation: 'count_tokens' },
}

const geminiVerbs: Readonly<Record<string, { operation: Operation; stream: boolean }>> = {
  generateContent: { operation: 'generate', stream: false },
  streamGenerateContent: { operation: 'generate', stream: true },
  countTokens: { operation: 'count_tokens', stream: false },
  embedContent: { operation: 'embed', stream: false },
  batchEmbedContents: { operation: 'embed', stream: false },
}

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
  if (/(^|&)(key|api_key|access_token)=/i.test(query)) return { kind: 'credential_in_url' }
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
  const known = posts[rest]
  if (known !== undefined && (dialect === null || dialect === known.dialect)) {
    return plain(known, rest, query)
  }
  if (gemini === null || (dialect !== null && dialect !== 'google')) return { kind: 'not_found' }
  return geminiEndpoint(gemini[1] ?? '', gemini[2] ?? '', version, query)
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
  const known = geminiVerbs[verb]
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
