/**
 * Compiled config: frozen, versioned, swapped whole. A call reads exactly one snapshot from start
 * to end. Nothing here has a secret in it but `ProviderCredential`, which never serialises.
 */
import type { Secret } from '#lib/secret.ts'
import type { BudgetRule } from './budget.ts'
import type { NotifyTargets } from './channels.ts'
import type { Contract } from './contract.ts'
import type { Nanos } from './money.ts'
import type { OutcomeHook } from './outcome-hook.ts'
import type { OutcomeLimit } from './outcome-limit.ts'
import type { OutcomeDefinition } from './outcome.ts'
import type { PriceBook } from './price-book.ts'
import type { LoopRule } from './run.ts'
import type { Oidc } from './sign-in.ts'
import type { TreeNode } from './tree.ts'

export type { Secret, TreeNode }

export type ProviderKind = 'openai' | 'anthropic' | 'google' | 'openai_compatible' | 'simulator'

export interface ProviderTarget {
  readonly name: string
  readonly kind: ProviderKind
  /** Origin and base path without a trailing slash; a trailing `/v1` or `/v1beta` is cut off. */
  readonly baseUrl: string
  /** Null: send no credential (a local model). */
  readonly credential: Secret | null
  /** Environments that may use it; null: all. */
  readonly environments: readonly string[] | null
  /** Names it serves beyond the price book (openai_compatible), else empty. */
  readonly models: readonly string[]
  /** True: calls to it cost nothing, and an unlisted model is not unpriced. */
  readonly free: boolean
  /** Extra tries at this provider after a failure that provably cost nothing. */
  readonly retries: number
}

export interface Policy {
  readonly unpricedModel: 'deny' | 'hold_at_most_expensive' | 'allow_and_flag'
  readonly noBudget: 'allow' | 'deny'
  readonly onTight: 'clamp' | 'refuse'
  readonly clampFloorTokens: number
  readonly exposeAmounts: 'full' | 'percent' | 'none'
  /** How long a paced call may wait before it is refused. */
  readonly maxWaitMs: number
  readonly platformFeePercent: string
  /** What may be spent while the ledger cannot commit. 0: fail closed. */
  readonly ledgerUnavailableAllowance: Nanos
}

export interface WebhookTarget {
  readonly name: string
  readonly url: string
  readonly secret: Secret | null
}

export interface Snapshot {
  /** Hash of config and price book: every ledger entry carries it. */
  readonly version: string
  readonly organization: string
  readonly timeZone: string
  readonly environments: readonly string[]
  /** True where the file declares a tree; agents outside it are then unknown. */
  readonly treeDeclared: boolean
  readonly tree: readonly TreeNode[]
  readonly providers: readonly ProviderTarget[]
  readonly budgets: readonly BudgetRule[]
  /** Caps on one run each: their accounts have the run as value, and no period. */
  readonly runs: readonly BudgetRule[]
  readonly loops: readonly LoopRule[]
  readonly outcomes: readonly OutcomeDefinition[]
  readonly outcomeHooks: readonly OutcomeHook[]
  readonly outcomeLimits: readonly OutcomeLimit[]
  readonly policy: Policy
  /** Where people sign in; null: by tokens only. */
  readonly oidc: Oidc | null
  readonly webhooks: readonly WebhookTarget[]
  readonly notify: NotifyTargets
  readonly priceBook: PriceBook
  /** What was agreed with providers, beside their list prices. */
  readonly contracts: readonly Contract[]
  /** The version of a price book that may move prices far: see `price-guard.ts`. */
  readonly acceptedPrices: string | null
  /** Parts of the file that this version reads but does not act on yet, in words. */
  readonly notices: readonly string[]
}
