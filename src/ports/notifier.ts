import type { Failure, Manner } from '#core/delivery.ts'
import type { Message } from '#core/message.ts'

export type Sending =
  | {
      readonly kind: 'delivered'
      /** What the receiver said, for people; without any secret. */
      readonly answer: string
      /** What it needs to know when it next says something on this subject; null: nothing. */
      readonly thread: unknown
    }
  | ({ readonly kind: 'failed' } & Failure)

/** Delivers messages to one channel. Never throws, never takes longer than half a minute. */
export interface Notifier {
  readonly manner: Manner
  /** `thread`: what an earlier delivery on the same subject left, or null. */
  send(message: Message, thread: unknown): Promise<Sending>
}

/** The channels of a config. */
export interface Notifiers {
  /** `slack`, `pagerduty`, `teams`, `email`, `webhook:<name>`: those that are configured. */
  readonly names: readonly string[]
  /** Also of `email:<address>`. Null: it is not configured. */
  of(channel: string): Notifier | null
}
