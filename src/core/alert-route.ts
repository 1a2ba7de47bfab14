/** Which channels an alert goes to: `slack`, `webhook:ops`, `email:kim@acme.test`. */
import type { Alert } from './alert.ts'
import type { Action, Threshold } from './budget.ts'
import { isAddress, mailboxOf } from './channels.ts'

export interface Surroundings {
  /** Those with a sender: `slack`, `pagerduty`, `teams`, `email`, `webhook:<name>`. */
  readonly configured: readonly string[]
  /** Those of them over which nothing arrives now. */
  readonly dead: readonly string[]
  /** Of the budget, or of what the alert is about. */
  readonly owner: string | null
  /** Of the budget. */
  readonly ladder: readonly Threshold[]
  /** Where earlier alerts of this account in this period went. */
  readonly told: readonly string[]
}

/** Where there is nobody to tell: a row that says so. */
export const nobody = 'owner'

export function channelsOf(alert: Alert, around: Surroundings): readonly string[] {
  const { configured, dead, told } = around
  const webhooks = configured.filter((name) => name.startsWith('webhook:'))
  switch (alert.kind) {
    case 'test':
      return []
    case 'resumed':
      return told
    case 'channel_dead': {
      const silent = [...dead, alert.details?.channel ?? ''].map(carrierOf)
      const others = configured.filter((name) => !silent.includes(name))
      return others.length === 0 ? [nobody] : others
    }
    default: {
      const people = peopleFor(alert, around)
      const all = [...new Set([...people, ...webhooks])]
      return all.length === 0 ? [nobody] : all
    }
  }
}

/**
 * A step that slows or stops and names no channel goes to all that its ladder names: who was told
 * on the way up hears that it has come to that. Where a ladder names none, the owner hears it.
 */
function peopleFor(alert: Alert, around: Surroundings): readonly string[] {
  const named = namedIn(alert.actions, around)
  if (alert.actions.some(({ kind }) => kind === 'notify')) return named
  const all = around.ladder.flatMap(({ actions }) => namedIn(actions, around))
  return all.length > 0 ? all : ownersChannels(around)
}

function namedIn(actions: readonly Action[], around: Surroundings): readonly string[] {
  return actions.flatMap((action) => {
    if (action.kind !== 'notify') return []
    if (action.channel === 'owner') return ownersChannels(around)
    return [channelOf(action)]
  })
}

/** The channel that a step of a ladder names. */
export const channelOf = ({ channel, name }: Extract<Action, { kind: 'notify' }>): string =>
  name === null ? channel : `${channel}:${name}`

/** Their mailbox; where there is none, where people talk; else the mailbox of all. */
function ownersChannels({ configured, owner }: Surroundings): readonly string[] {
  const mail = configured.includes('email')
  if (mail && owner !== null && isAddress(owner)) return [mailboxOf(owner)]
  const chats = configured.filter((name) => name === 'slack' || name === 'teams')
  if (chats.length > 0) return chats
  return mail ? ['email'] : []
}

/** What a mailbox's health is counted by: all mailboxes share one server. */
export const carrierOf = (channel: string): string =>
  channel.startsWith('email:') ? 'email' : channel
