/** What a helpdesk or CRM tells, read by a mapping: an outcome, its reversal, or nothing. */
import type { HookKind } from '#lib/hook-signatures.ts'
import type { Secret } from '#lib/secret.ts'
import type { Attester } from './outcome.ts'
import { type Instant, instant, parseInstant } from './time.ts'

/** Paths to values, all of which must be one of those named. */
export type When = Readonly<Record<string, readonly string[]>>

export interface OutcomeHook {
  readonly name: string
  readonly kind: HookKind
  readonly secret: Secret
  /** As the sender calls it; null: as it comes in. */
  readonly url: string | null
  readonly type: string
  readonly attestedBy: Attester
  readonly when: When
  readonly reversedWhen: When | null
  readonly paths: HookPaths
}

/** Where in the message it stands: `detail.external_id`, `items.0.id`. */
export interface HookPaths {
  readonly id: string
  readonly at: string | null
  readonly conversation: string | null
  readonly run: string | null
  readonly call: string | null
  readonly agent: string | null
  readonly tenant: string | null
  readonly value: string | null
}

type Usual = Pick<OutcomeHook, 'when' | 'reversedWhen'> & {
  readonly paths: Partial<HookPaths> & Pick<HookPaths, 'id'>
}

/** What each sends by itself, unless the config says otherwise. */
export const usualHooks: Readonly<Record<HookKind, Usual>> = {
  zendesk: {
    when: { 'event.current': ['SOLVED', 'CLOSED'] },
    reversedWhen: { 'event.current': ['NEW', 'OPEN', 'PENDING', 'HOLD'] },
    paths: { id: 'detail.id', at: 'time', conversation: 'detail.external_id' },
  },
  hubspot: {
    when: { propertyName: ['lifecyclestage'], propertyValue: ['salesqualifiedlead'] },
    reversedWhen: { propertyName: ['lifecyclestage'], propertyValue: ['other', 'lead'] },
    paths: { id: 'objectId', at: 'occurredAt', conversation: 'objectId' },
  },
  intercom: {
    when: { topic: ['conversation.admin.closed'] },
    reversedWhen: { topic: ['conversation.admin.opened', 'conversation.user.replied'] },
    paths: { id: 'data.item.id', at: 'created_at', conversation: 'data.item.id' },
  },
  salesforce: {
    when: { Status: ['Closed'] },
    reversedWhen: { Status: ['New', 'Working', 'Escalated', 'Reopened'] },
    paths: { id: 'Id', at: 'LastModifiedDate', conversation: 'Id' },
  },
  json: {
    when: { state: ['resolved', 'done', 'won'] },
    reversedWhen: { state: ['reopened', 'reversed'] },
    paths: { id: 'id', at: 'at', conversation: 'conversation' },
  },
}

type LinkName = 'conversation' | 'run' | 'call' | 'agent' | 'tenant'

export interface HookNews {
  readonly kind: 'claim' | 'reversal'
  /** The ticket, lead or case, as the sender knows it. */
  readonly subject: string
  readonly at: Instant | null
  readonly link: Readonly<Partial<Record<LinkName, string>>>
  readonly value: string | null
}

/** How much one message may hold. */
export const newsMax = 500

/** Of a message or a list of them; what says neither is left out. */
export function readHook(hook: OutcomeHook, message: unknown): readonly HookNews[] {
  const all = Array.isArray(message) ? message.slice(0, newsMax) : [message]
  return all.flatMap((one) => newsOf(hook, one) ?? [])
}

function newsOf({ paths, when, reversedWhen }: OutcomeHook, message: unknown): HookNews | null {
  const text = (path: string | null): string | null => {
    const found = path === null ? undefined : at(message, path)
    return typeof found === 'string' || typeof found === 'number' ? String(found) : null
  }
  const holds = (wanted: When): boolean =>
    Object.entries(wanted).every(([path, values]) => values.includes(text(path) ?? ''))
  const isReversal = reversedWhen !== null && holds(reversedWhen)
  const subject = text(paths.id)
  if (subject === null || subject === '' || !(isReversal || holds(when))) return null
  const link: Record<string, string> = {}
  for (const name of ['conversation', 'run', 'call', 'agent', 'tenant'] as const) {
    const value = text(paths[name])
    if (value !== null && value !== '') link[name] = value
  }
  return {
    kind: isReversal ? 'reversal' : 'claim',
    subject,
    at: timeOf(text(paths.at)),
    link,
    value: text(paths.value),
  }
}

function at(value: unknown, path: string): unknown {
  let found: unknown = value
  for (const part of path.split('.')) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, part)) return undefined
    found = (found as Readonly<Record<string, unknown>>)[part]
  }
  return found
}

/** ISO 8601, also with an offset without a colon, or seconds or milliseconds since the epoch. */
function timeOf(text: string | null): Instant | null {
  if (text === null) return null
  if (/^\d{13}$/.test(text)) return instant(Number(text))
  if (/^\d{10}$/.test(text)) return instant(Number(text) * 1000)
  return parseInstant(text)
}
