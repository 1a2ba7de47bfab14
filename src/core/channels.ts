/** Where alerts can go, as the config says it. Secrets are wrapped, and so are URLs with one. */
import type { Secret } from '#lib/secret.ts'

export type SlackTarget =
  | { readonly kind: 'webhook'; readonly url: Secret; readonly buttons: boolean }
  | {
      readonly kind: 'bot'
      readonly token: Secret
      /** An id such as C0123456789, or a name. */
      readonly channel: string
      /** Without a trailing slash: https://slack.com/api. */
      readonly apiUrl: string
      readonly buttons: boolean
    }

export interface PagerDutyTarget {
  readonly routingKey: Secret
  /** https://events.pagerduty.com/v2/enqueue, or that of the EU. */
  readonly eventsUrl: string
}

export interface TeamsTarget {
  readonly workflowUrl: Secret
}

export interface EmailTarget {
  /** smtp://user:password@host:port, or smtps://. */
  readonly smtp: Secret
  readonly to: readonly string[]
  readonly from: string
}

export interface NotifyTargets {
  readonly slack: SlackTarget | null
  /** What Slack signs its requests to us with; null: none are believed. */
  readonly slackSigningSecret: Secret | null
  /** Who may approve and deny there: ids of Slack users. */
  readonly slackApprovers: readonly string[]
  readonly pagerduty: PagerDutyTarget | null
  readonly teams: TeamsTarget | null
  readonly email: EmailTarget | null
}

export const noTargets: NotifyTargets = {
  slack: null,
  slackSigningSecret: null,
  slackApprovers: [],
  pagerduty: null,
  teams: null,
  email: null,
}

/** Plain enough for every mail server, and without anything that would end a header or a list. */
export function isAddress(text: string): boolean {
  return (
    text.length <= 254 && /^[\w.!#$%&'*+/=?^`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$/.test(text)
  )
}

/** `email:kim@acme.test` is the mailbox of one person. */
export const mailboxOf = (address: string): string => `email:${address}`
