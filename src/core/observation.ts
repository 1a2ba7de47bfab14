/**
 * One union of everything worth a log line or a metric. No secret and no prompt is a field here.
 */
import type { Account } from './account.ts'
import type { Alert } from './alert.ts'
import type { Basis } from './journal.ts'
import type { Nanos } from './money.ts'
import type { RefusalCode } from './refusal.ts'

export type Observation =
  | { readonly kind: 'started'; readonly url: string; readonly store: string }
  | { readonly kind: 'stopping'; readonly reason: string; readonly callsInFlight: number }
  | {
      readonly kind: 'call_refused'
      readonly call: string
      readonly code: RefusalCode
      readonly agent: string | null
      readonly message: string
    }
  | {
      readonly kind: 'call_ended'
      readonly call: string
      readonly agent: string | null
      readonly model: string
      readonly provider: string
      readonly status: number
      readonly cost: Nanos
      readonly basis: Basis
      readonly ownMs: number
      readonly upstreamMs: number
    }
  | {
      readonly kind: 'attempt_failed'
      readonly call: string
      readonly provider: string
      readonly status: number
      readonly reason: string
    }
  | {
      readonly kind: 'overage'
      readonly call: string
      readonly model: string
      readonly held: Nanos
      readonly cost: Nanos
    }
  | {
      readonly kind: 'odd_usage'
      readonly call: string
      readonly model: string
      readonly oddities: readonly string[]
    }
  | { readonly kind: 'cross_use'; readonly key: string }
  | { readonly kind: 'holds_expired'; readonly count: number }
  | { readonly kind: 'alert'; readonly alert: Alert }
  | {
      readonly kind: 'notification_failed'
      readonly alert: string
      readonly channel: string
      readonly reason: string
      readonly dead: boolean
    }
  | { readonly kind: 'digest_sent'; readonly channel: string; readonly alerts: readonly string[] }
  | { readonly kind: 'ledger_failed'; readonly reason: string }
  | { readonly kind: 'ledger_recovered' }
  | {
      readonly kind: 'config_loaded'
      readonly version: string
      readonly notices: readonly string[]
    }
  /** Another one than before is in force: by its files, without anybody asking here. */
  | {
      readonly kind: 'config_changed'
      readonly version: string
      readonly changes: readonly string[]
    }
  | { readonly kind: 'config_refused'; readonly problems: readonly string[] }
  | { readonly kind: 'committed'; readonly commands: number; readonly ms: number }
  | { readonly kind: 'account_touched'; readonly account: Account }
  | { readonly kind: 'sign_in_failed'; readonly reason: string }
  | { readonly kind: 'unexpected'; readonly where: string; readonly reason: string }
