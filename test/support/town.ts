/** Receivers of all kinds, the config that names them, and what a test asks of an outbox. */
import type { Alert } from '#core/alert.ts'
import type { BudgetRule } from '#core/budget.ts'
import { crossing, type Post } from './alerts.ts'
import { pagerDutyEvent, slackMessage, teamsCard } from './payloads.ts'
import { type Receiver, type Reply, startReceiver, startSlack } from './receivers.ts'
import { type Mailbox, startSmtp } from './smtp.ts'

/** Secrets that must be nowhere but in the requests themselves. */
export const canaries = {
  slack: 'xoxb-CANARYslack1',
  hook: 'CANARYhookpath1',
  teams: 'CANARYteamssig1',
  pager: `CANARYpager${'0'.repeat(21)}`,
  smtp: 'CANARYsmtppass1',
  whsec: Buffer.from('CANARY of a webhook secret').toString('base64'),
}

export type Opened = <One extends AsyncDisposable>(one: One) => One

export interface Town {
  readonly slack: Awaited<ReturnType<typeof startSlack>>
  readonly teams: Receiver
  readonly pager: Receiver
  readonly hook: Receiver
  readonly mail: Mailbox
  readonly config: string
}

export const accepts = (): Reply => ({ status: 202, text: '{"status":"success"}' })
export const budgets = `organization: acme
budgets:
  - per: user
    budget_monthly_usd: 20
    alerts:
      - { threshold: 0.5, actions: [notify_slack, notify_teams, notify_pagerduty, notify_email] }
      - { threshold: 0.8, actions: [notify_slack, notify_teams, notify_pagerduty, notify_email] }
      - { threshold: 1.1, action: throttle_to_50_percent }
      - { threshold: 1.2, action: hard_stop }
`

/** Starts one of each; `opened` closes them behind the test. */
export async function startTown(opened: Opened): Promise<Town> {
  const slack = opened(await startSlack())
  const [teams, pager, hook] = [
    opened(await startReceiver(accepts)),
    opened(await startReceiver(accepts)),
    opened(await startReceiver(accepts)),
  ] as const
  const mail = opened(await startSmtp())
  const config = `${budgets}notify:
  slack: { bot_token: ${canaries.slack}, channel: C0123456789, api_url: "${slack.url}/api" }
  teams: { workflow_url: "${teams.url}/flow?sig=${canaries.teams}" }
  pagerduty: { routing_key: ${canaries.pager}, events_url: "${pager.url}/v2/enqueue" }
  email: { smtp: "smtp://me:${canaries.smtp}@127.0.0.1:${mail.port}", to: [finops@acme.test] }
  webhooks: { ops: { url: "${hook.url}/${canaries.hook}", secret: whsec_${canaries.whsec} } }
`
  return { slack, teams, pager, hook, mail, config }
}

export function ruleOf({ snapshot }: Post): BudgetRule {
  const [rule] = snapshot.budgets
  if (rule === undefined) throw new Error('no rule')
  return rule
}

export function storm(post: Post, count: number, from = 0): readonly Alert[] {
  const rule = ruleOf(post)
  const at = post.clock.now()
  return Array.from({ length: count }, (_, i) => crossing({ rule, value: `u${from + i}`, at }))
}

export async function raise({ store }: Post, alerts: readonly Alert[]): Promise<void> {
  await Promise.all(alerts.map((alert) => store.raise(alert)))
}

/** The state of every notification, by channel: how many. */
export async function states({ store }: Post): Promise<Readonly<Record<string, number>>> {
  const counts: Record<string, number> = {}
  for (const { channel, state } of await store.notifications(100_000)) {
    const name = `${channel} ${state}`
    counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}

/** Ids of alerts in what a webhook or pager was told, as often as they were. */
export function idsIn(receiver: Receiver): readonly string[] {
  return receiver.accepted().flatMap(({ text }) => text.match(/alrt_[0-9a-z]+/g) ?? [])
}

export function checkPayloads({ slack, teams, pager }: Town): void {
  for (const { body } of slack.received) slackMessage.parse(body)
  for (const { body } of teams.received) teamsCard.parse(body)
  for (const { body } of pager.received) pagerDutyEvent.parse(body)
}
