/** Signing in by OpenID Connect: what the config says, and which rights a person's claims give. */
import type { Secret } from '#lib/secret.ts'
import type { Rights } from './role.ts'
import { isNameText } from './scope.ts'

/** Who has this value in this claim has these rights. */
export interface RoleRule extends Rights {
  /** A name, or a path such as `realm_access.roles`. */
  readonly claim: string
  readonly value: string
}

export interface Oidc {
  readonly issuer: string
  readonly clientId: string
  /** Null: a public client, which PKCE alone protects. */
  readonly clientSecret: Secret | null
  /** Where the provider sends people back to; null: to the loopback address they came by. */
  readonly redirectUrl: string | null
  readonly roles: readonly RoleRule[]
}

export type Claims = Readonly<Record<string, unknown>>

/** By the first rule that fits; null: by none, and who has no role is not let in. */
export function rightsOf(rules: readonly RoleRule[], claims: Claims): Rights | null {
  const rule = rules.find(({ claim, value }) => valuesOf(claims, claim).includes(value))
  return rule === undefined ? null : { role: rule.role, subtree: rule.subtree }
}

/** The claims that the rules ask for, and no others: kept with a session, and asked again. */
export function keptClaims(rules: readonly RoleRule[], claims: Claims): Claims {
  const kept = rules.map(({ claim }) => [claim, valuesOf(claims, claim)])
  return { ...Object.fromEntries(kept), email_verified: claims.email_verified === true }
}

/** As people know them: an address that the provider has checked, else the provider's own name. */
export function nameOf(claims: Claims): string {
  const { email, sub } = claims
  const isFit = typeof email === 'string' && isNameText(email) && email.length <= 128
  return isFit && claims.email_verified === true ? email : String(sub)
}

function valuesOf(claims: Claims, claim: string): readonly string[] {
  // Whoever may write any address into his profile is not therefore the person at that address.
  if (claim === 'email' && claims.email_verified !== true) return []
  const direct = Object.hasOwn(claims, claim) ? claims[claim] : inside(claims, claim.split('.'))
  const values = Array.isArray(direct) ? direct : [direct]
  return values.flatMap((one) => {
    const isPlain = ['string', 'number', 'boolean'].includes(typeof one)
    return isPlain ? [String(one)] : []
  })
}

function inside(value: unknown, path: readonly string[]): unknown {
  const [name, ...rest] = path
  if (name === undefined) return value
  const isMap = typeof value === 'object' && value !== null && Object.hasOwn(value, name)
  return isMap ? inside((value as Claims)[name], rest) : undefined
}
