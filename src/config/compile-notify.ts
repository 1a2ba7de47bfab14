/** `notify:` to targets. A channel whose values are all empty is not configured. */
import {
  type EmailTarget,
  isAddress,
  type NotifyTargets,
  type SlackTarget,
} from '#core/channels.ts'
import { secret } from '#lib/secret.ts'
import type { Merged } from './merged.ts'
import type { ConfigProblem } from './source.ts'

const slackApi = 'https://slack.com/api'
const pagerDutyEvents = 'https://events.pagerduty.com/v2/enqueue'

export function compileNotify(merged: Merged, problems: ConfigProblem[]): NotifyTargets {
  const { slack, pagerduty, teams, email } = merged.file.notify ?? {}
  const refuse = (channel: string, message: string): null => {
    // What was written may be a secret: it is not repeated.
    problems.push(merged.problem(['notify', channel], message))
    return null
  }
  const key = said(pagerduty?.routing_key)
  const flow = said(teams?.workflow_url)
  const events = said(pagerduty?.events_url) ?? pagerDutyEvents
  const signing = said(slack?.signing_secret)
  return {
    slack: slackOf(slack ?? {}, refuse),
    slackSigningSecret: signing === null ? null : secret(signing),
    slackApprovers: slack?.approvers ?? [],
    pagerduty:
      key === null
        ? null
        : isWeb(events)
          ? { routingKey: secret(key), eventsUrl: events }
          : refuse('pagerduty', 'events_url must start with https://'),
    teams:
      flow === null
        ? null
        : isWeb(flow)
          ? { workflowUrl: secret(flow) }
          : refuse('teams', 'workflow_url must start with https://'),
    email: email === undefined ? null : emailOf(email, refuse),
  }
}

type Refuse = (channel: string, message: string) => null
type Written<Channel extends 'slack' | 'email'> = NonNullable<
  NonNullable<Merged['file']['notify']>[Channel]
>

function slackOf(slack: Written<'slack'>, refuse: Refuse): SlackTarget | null {
  const token = said(slack.bot_token)
  const url = said(slack.webhook_url)
  const channel = said(slack.channel)
  // Without the secret nobody could believe that a button was pressed.
  const buttons = said(slack.signing_secret) !== null
  if (token !== null) {
    if (channel === null) return refuse('slack', 'bot_token needs a channel, such as C0123456789')
    const apiUrl = (said(slack.api_url) ?? slackApi).replace(/\/+$/, '')
    if (!isWeb(apiUrl)) return refuse('slack', 'api_url must start with https://')
    return { kind: 'bot', token: secret(token), channel, apiUrl, buttons }
  }
  if (url === null) return null
  if (!isWeb(url)) return refuse('slack', 'webhook_url must start with https://')
  return { kind: 'webhook', url: secret(url), buttons }
}

function emailOf(email: Written<'email'>, refuse: Refuse): EmailTarget | null {
  const smtp = said(email.smtp)
  if (smtp === null) return null
  if (!/^smtps?:\/\/\S+$/.test(smtp) || !URL.canParse(smtp)) {
    return refuse('email', 'smtp must be smtp://user:password@host:port, or smtps://')
  }
  const bad = [...email.to, ...(email.from === undefined ? [] : [email.from])].find(
    (address) => !isAddress(address),
  )
  if (bad !== undefined) {
    return refuse('email', 'to and from must be plain addresses, such as finops@acme.test')
  }
  const domain = email.to[0]?.split('@')[1] ?? 'localhost'
  return { smtp: secret(smtp), to: email.to, from: email.from ?? `bursar@${domain}` }
}

const said = (value: string | undefined): string | null =>
  value === undefined || value === '' ? null : value

const isWeb = (url: string): boolean => /^https?:\/\/[^\s/]/.test(url) && URL.canParse(url)
