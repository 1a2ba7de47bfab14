/** What a button in Slack means, and whether it was Slack that says it was pressed. */
import { createHmac, timingSafeEqual } from 'node:crypto'

export const approveAction = (override: string): string => `override_approve:${override}`
export const denyAction = (override: string): string => `override_deny:${override}`

export interface SlackDecision {
  readonly decision: 'approved' | 'denied'
  /** As it was written into the button: to be parsed as an id. */
  readonly override: string
}

/** The meaning of an `action_id`; null: it is none of ours. */
export function slackDecision(actionId: string): SlackDecision | null {
  const match = /^override_(approve|deny):(ovr_[0-9a-zA-Z-]{1,64})$/.exec(actionId)
  if (match === null) return null
  return { decision: match[1] === 'approve' ? 'approved' : 'denied', override: match[2] ?? '' }
}

const windowSeconds = 5 * 60

/**
 * True where `signature` (`v0=` and hex, header `x-slack-signature`) is that of `rawBody` at
 * `timestamp` (Unix seconds as text, header `x-slack-request-timestamp`), and that is not more than
 * five minutes from `now` (milliseconds). Pure, and in constant time.
 */
export function verifySlackSignature(
  secret: string,
  timestamp: string,
  rawBody: string,
  signature: string,
  now: number,
): boolean {
  if (secret === '' || !/^\d{1,12}$/.test(timestamp)) return false
  if (Math.abs(now / 1000 - Number(timestamp)) > windowSeconds) return false
  const digest = createHmac('sha256', secret).update(`v0:${timestamp}:${rawBody}`).digest('hex')
  const wanted = Buffer.from(`v0=${digest}`)
  const given = Buffer.from(signature)
  return given.length === wanted.length && timingSafeEqual(given, wanted)
}
