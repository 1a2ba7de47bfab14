import { expect, test } from 'vitest'
import { matchEndpoint } from './routes.ts'

const named = (method: string, target: string): string => {
  const matched = matchEndpoint(method, target)
  if (matched.kind !== 'endpoint')
    return matched.kind === 'models' ? `models ${matched.dialect}` : matched.kind
  const { dialect, operation, upstreamPath, query, pathModel } = matched.endpoint
  return [dialect, operation, upstreamPath + query, pathModel]
    .filter((part) => part !== null)
    .join(' ')
}

test.each([
  ['/v1/chat/completions', 'openai chat /v1/chat/completions'],
  ['/chat/completions', 'openai chat /v1/chat/completions'],
  ['/v1/v1/chat/completions', 'openai chat /v1/chat/completions'],
  ['/openai/v1/responses', 'openai responses /v1/responses'],
  ['/openai/embeddings', 'openai embeddings /v1/embeddings'],
  ['/v1/messages?beta=true', 'anthropic messages /v1/messages?beta=true'],
  ['/messages', 'anthropic messages /v1/messages'],
  ['/anthropic/v1/messages/count_tokens', 'anthropic count_tokens /v1/messages/count_tokens'],
  [
    '/v1beta/models/gemini-2.5-pro:generateContent',
    'google generate /v1beta/models/gemini-2.5-pro:generateContent gemini-2.5-pro',
  ],
  [
    '/v1/models/gemini-2.5-pro:streamGenerateContent?alt=sse',
    'google generate /v1/models/gemini-2.5-pro:streamGenerateContent?alt=sse gemini-2.5-pro',
  ],
  [
    '/gemini/v1beta/models/x:batchEmbedContents',
    'google embed /v1beta/models/x:batchEmbedContents x',
  ],
  ['/anthropic/v1/chat/completions', 'not_found'],
  ['/openai/v1/messages', 'not_found'],
  ['/v1/batches', 'not_found'],
  ['/v1/chat/completions/', 'not_found'],
  ['/', 'not_found'],
  ['/v1//chat/completions', 'bad_target'],
  ['/v1/../chat/completions', 'bad_target'],
  ['/v1/%63hat/completions', 'bad_target'],
  ['http://evil/v1/chat/completions', 'bad_target'],
  ['/v1/chat/completions?key=abc', 'credential_in_url'],
  ['/v1/chat/completions?%6bey=abc', 'credential_in_url'],
  ['/v1/chat/completions?beta=true;key=abc', 'credential_in_url'],
  ['/v1/chat/completions?%zz=abc', 'bad_target'],
  ['/v1constructor', 'not_found'],
  ['/v1toString', 'not_found'],
  ['/v1beta/models/x:constructor', 'not_found'],
  ['/v1beta/models/x:generateContent?alt=proto', 'bad_target'],
  [
    '/v1beta/models/x:generateContent?fields=candidates&alt=json',
    'google generate /v1beta/models/x:generateContent?alt=json x',
  ],
])('POST %s', (target, wanted) => {
  expect(named('POST', target)).toBe(wanted)
})

test.each([
  ['/v1/models', 'models openai'],
  ['/v1beta/models', 'models google'],
  ['/anthropic/v1/models', 'models anthropic'],
  ['/v1/budget', 'budget'],
  ['/v1/chat/completions', 'not_found'],
])('GET %s', (target, wanted) => {
  expect(named('GET', target)).toBe(wanted)
})
