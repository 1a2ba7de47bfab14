import type { Alert } from '#core/alert.ts'

export interface SendFailure {
  readonly reason: string
  /** When the receiver said to come back, in milliseconds. */
  readonly retryAfterMs: number | null
}

/** Delivers an alert to one channel. Null: delivered. Never throws. */
export interface Notifier {
  send(alert: Alert): Promise<SendFailure | null>
}
