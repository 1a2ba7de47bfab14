/** Whether a webhook was sent by whom it says, as its maker signs. Pure, and in constant time. */
import { createHmac, timingSafeEqual } from 'node:crypto'

export const hookKinds = ['zendesk', 'hubspot', 'intercom', 'salesforce', 'json'] as const
export type HookKind = (typeof hookKinds)[number]

export interface SignedRequest {
  readonly header: (name: string) => string | undefined
  readonly body: string
  /** As the sender called it: part of what HubSpot signs. */
  readonly url: string
  /** Milliseconds. */
  readonly now: number
}

/** Older is somebody else's copy. */
const windowMs = 5 * 60_000

export function isSigned(kind: HookKind, secret: string, request: SignedRequest): boolean {
  if (secret === '') return false
  const { header, body } = request
  switch (kind) {
    case 'zendesk': {
      const at = header('x-zendesk-webhook-signature-timestamp') ?? ''
      if (!(Math.abs(request.now - Date.parse(at)) <= windowMs)) return false
      // Zendesk's page says the one order and its example is signed in the other.
      return [at + body, body + at].some((text) => {
        return isSame(hmac('sha256', secret, text, 'base64'), header('x-zendesk-webhook-signature'))
      })
    }
    case 'hubspot': {
      const at = header('x-hubspot-request-timestamp') ?? ''
      if (!/^\d{10,15}$/.test(at) || Math.abs(request.now - Number(at)) > windowMs) return false
      const digest = hmac('sha256', secret, `POST${request.url}${body}${at}`, 'base64')
      return isSame(digest, header('x-hubspot-signature-v3'))
    }
    case 'intercom':
      return isSame(`sha1=${hmac('sha1', secret, body, 'hex')}`, header('x-hub-signature'))
    case 'salesforce':
    case 'json':
      // Neither signs: they send the secret itself.
      return isSame(`Bearer ${secret}`, header('authorization'))
  }
}

function hmac(
  algorithm: 'sha1' | 'sha256',
  secret: string,
  text: string,
  encoding: 'base64' | 'hex',
): string {
  return createHmac(algorithm, secret).update(text).digest(encoding)
}

function isSame(wanted: string, given: string | undefined): boolean {
  const [a, b] = [Buffer.from(wanted), Buffer.from(given ?? '')]
  return a.length === b.length && timingSafeEqual(a, b)
}
