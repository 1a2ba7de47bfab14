/** What the control plane knows people by: the installation's token, other tokens, sign-in. */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { Door } from '#control/deps.ts'
import type { Oidc } from '#core/sign-in.ts'
import { oidcSignIn } from '#identity/oidc.ts'
import { seals } from '#identity/seal.ts'
import type { Chance } from '#ports/chance.ts'
import type { Clock } from '#ports/clock.ts'
import type { SignIn } from '#ports/sign-in.ts'
import { hashKey } from '#system/secrets.ts'

export interface AdminDoorOptions {
  readonly adminToken: string
  /** Under which secrets are hashed and sealed; the same on all replicas. */
  readonly pepper: string
  readonly chance: Chance
  readonly clock: Clock
}

export function adminDoor({ adminToken, pepper, chance, clock }: AdminDoorOptions): Door {
  // What a provider has told is kept with the config that names it.
  const providers = new WeakMap<Oidc, SignIn>()
  const now = (): number => clock.now()
  return {
    isBootstrap: (token) => isSameSecret(token, adminToken),
    makeToken: () => `bat_${chance.token(43)}`,
    // Not the hash that virtual keys have: a secret of one kind is never one of another.
    hash: (secret) => hashKey(pepper, `admin ${secret.slice(0, 256)}`),
    ...seals(pepper, now),
    signIn: (oidc) => {
      const known = providers.get(oidc) ?? oidcSignIn(oidc, now)
      providers.set(oidc, known)
      return known
    },
  }
}

function isSameSecret(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}
