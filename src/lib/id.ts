import { assert } from './assert.ts'

/** Ids carry their kind, as Stripe's do: a log line, a URL and the type checker all read it. */
export type Id<Kind extends string> = `${Kind}_${string}`

export type BudgetId = Id<'bud'>
export type HoldId = Id<'hold'>
export type CallId = Id<'call'>
export type KeyId = Id<'key'>
export type OverrideId = Id<'ovr'>
export type AlertId = Id<'alrt'>
export type AuditId = Id<'aud'>
export type TokenId = Id<'tok'>
export type SessionId = Id<'ses'>

const body = /^[0-9a-zA-Z-]{1,64}$/

/** The id in `text`, or null when it is of another kind or has foreign characters. */
export function parseId<Kind extends string>(kind: Kind, text: string): Id<Kind> | null {
  const rest = text.startsWith(`${kind}_`) ? text.slice(kind.length + 1) : ''
  return body.test(rest) ? (text as Id<Kind>) : null
}

/** The body of a new id: sorts by time. `chance` tells those of one millisecond apart. */
export function bodyAt(nowMs: number, chance: string): string {
  return nowMs.toString(36).padStart(9, '0') + chance
}

export function makeId<Kind extends string>(kind: Kind, text: string): Id<Kind> {
  const id = parseId(kind, `${kind}_${text}`)
  assert(id !== null, 'bad id body', text)
  return id
}
