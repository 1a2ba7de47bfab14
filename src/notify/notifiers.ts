/** The senders of a config, by channel. */
import { isAddress } from '#core/channels.ts'
import type { Snapshot } from '#core/snapshot.ts'
import type { Clock } from '#ports/clock.ts'
import type { Notifier, Notifiers } from '#ports/notifier.ts'
import { emailNotifier } from './email.ts'
import { pagerDutyNotifier } from './pagerduty.ts'
import { slackNotifier } from './slack.ts'
import { teamsNotifier } from './teams.ts'
import { webhookNotifier } from './webhook.ts'

const made = new WeakMap<Snapshot, Notifiers>()

export function notifiersOf(snapshot: Snapshot, clock: Clock): Notifiers {
  let notifiers = made.get(snapshot)
  if (notifiers === undefined) {
    notifiers = makeNotifiers(snapshot, clock)
    made.set(snapshot, notifiers)
  }
  return notifiers
}

function makeNotifiers({ notify, webhooks }: Snapshot, clock: Clock): Notifiers {
  const { slack, pagerduty, teams, email } = notify
  const all = new Map<string, Notifier>()
  if (slack !== null) all.set('slack', slackNotifier(slack, clock))
  if (pagerduty !== null) all.set('pagerduty', pagerDutyNotifier(pagerduty, clock))
  if (teams !== null) all.set('teams', teamsNotifier(teams, clock))
  if (email !== null) all.set('email', emailNotifier(email, email.to))
  for (const target of webhooks) {
    all.set(`webhook:${target.name}`, webhookNotifier(target, clock))
  }
  return {
    names: [...all.keys()],
    of: (channel) => {
      const known = all.get(channel)
      if (known !== undefined) return known
      const address = channel.startsWith('email:') ? channel.slice('email:'.length) : ''
      return email !== null && isAddress(address) ? emailNotifier(email, [address]) : null
    },
  }
}
