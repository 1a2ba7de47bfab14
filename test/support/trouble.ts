/** Callers and providers as they are on a bad day. */
import { type Agent, request as openRequest } from 'node:http'
import { chatBody } from './bursar.ts'

const faults = [
  'status=500',
  'status=429',
  'status=529; times=1',
  'reset=1',
  'malformed=1',
  'usage=missing',
  'cut=after:2',
  'overbill=50',
]

export interface Sent {
  readonly url: string
  readonly key: string
  readonly agent: Agent
  readonly chance: () => number
  readonly shares: { readonly faults: number; readonly aborts: number }
}

/**
 * One call to its end, or to where its caller hangs up: `shares.faults` of them meet a fault of
 * the provider, `shares.aborts` a caller in a hurry. Its status; 0: there was none.
 */
export function troubledCall({ url, key, agent, chance, shares }: Sent): Promise<number> {
  const stream = chance() < 0.5
  const body = JSON.stringify(chatBody('hi', { max_tokens: 20, ...(stream ? { stream } : {}) }))
  const fault = chance() < shares.faults ? faults[Math.floor(chance() * faults.length)] : undefined
  const hangsUpMs = chance() < shares.aborts ? chance() * 20 : null
  const headers = {
    authorization: `Bearer ${key}`,
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'bursar-user': `u${Math.floor(chance() * 100)}`,
    'bursar-sim': ['delay=3', 'chunks=8', ...(fault === undefined ? [] : [fault])].join('; '),
  }
  return new Promise((resolve) => {
    const request = openRequest(
      `${url}/v1/chat/completions`,
      { method: 'POST', headers, agent },
      (answer) => {
        answer.on('data', () => {})
        answer.on('error', () => {})
        answer.on('close', () => resolve(answer.statusCode ?? 0))
      },
    )
    request.on('error', () => resolve(0))
    request.end(body)
    if (hangsUpMs !== null) setTimeout(() => request.destroy(), hangsUpMs)
  })
}
