/** Who spends. The key decides; what a caller claims may only narrow it (`gateway/identify.ts`). */
import type { KeyId } from '#lib/id.ts'

export const dimensions = [
  'organization',
  'business_unit',
  'team',
  'agent',
  'environment',
  'tenant',
  'user',
  'key',
  'model',
  'provider',
] as const
export type Dimension = (typeof dimensions)[number]

/** Values by dimension. Null: the call has no such value. */
export type Attribution = Readonly<Record<Dimension, string | null>>

/** Several selectors are AND. Empty: everything. */
export type Selector = Readonly<Partial<Record<Dimension, string>>>

/** The account value of a call that lacks the dimension a `per:` names. */
export const noValue = '(none)'

export interface Principal {
  readonly keyId: KeyId
  readonly keyName: string
  /** `model` and `provider` are filled in once the route is known. */
  readonly attribution: Attribution
  readonly conversation: string | null
  readonly run: string | null
  readonly parentRun: string | null
  readonly outcome: string | null
  readonly tags: Readonly<Record<string, string>>
}

export function matches(selector: Selector, attribution: Attribution): boolean {
  return dimensions.every((name) => {
    const wanted = selector[name]
    return wanted === undefined || wanted === attribution[name]
  })
}

/**
 * True where every store and every screen shows `text` as what it is: no control character, nothing
 * that turns the direction of writing or is not there to see, and no half of a character, which
 * UTF-8 cannot keep (two names that differ in it would be one account).
 */
export function isNameText(text: string): boolean {
  return text.isWellFormed() && !/[\p{Cc}\u200b\u2028-\u202e\u2060\u2066-\u2069\ufeff]/u.test(text)
}
