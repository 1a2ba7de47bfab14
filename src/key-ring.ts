/** The keys that open the door, in memory: the store's, and what changes of them while it runs. */
import { hash } from 'node:crypto'
import type { VirtualKey } from '#core/key.ts'
import { makeId } from '#lib/id.ts'
import type { Store } from '#ports/store.ts'
import { systemChance } from '#system/chance.ts'
import { systemClock } from '#system/clock.ts'
import { hashKey, isWellFormed } from '#system/secrets.ts'

const demoSecret = 'vk_demo'
const keysInUseMax = 100_000

export interface KeyRing {
  readonly find: (secret: string) => VirtualKey | null
  readonly put: (key: VirtualKey) => void
}

/** Keys by hash, in memory: looking one up is one HMAC, the same for a right and a wrong one. */
export async function keyRing(store: Store, pepper: string, demo: boolean): Promise<KeyRing> {
  if (demo) await putDemoKey(store, hashKey(pepper, demoSecret))
  const all = await store.keys()
  const byHash = new Map(all.map((key) => [key.hash, key]))
  const hashOf = new Map(all.map((key) => [key.id, key.hash]))
  // Keys in use are found by a digest ten times cheaper than the HMAC; the secret is not kept,
  // but for this turn of the event loop, in which a call asks twice and many calls come together.
  const inUse = new Map<string, VirtualKey>()
  const inTurn = new Map<string, VirtualKey>()
  const foundNow = (secret: string, key: VirtualKey): VirtualKey => {
    if (inTurn.size === 0) setImmediate(() => inTurn.clear())
    inTurn.set(secret, key)
    return key
  }
  return {
    find: (secret) => {
      const asked = inTurn.get(secret)
      if (asked !== undefined) return asked
      const digest = hash('sha256', secret)
      const known = inUse.get(digest)
      if (known !== undefined) return foundNow(secret, known)
      const allowed = isWellFormed(secret) || (demo && secret === demoSecret)
      const found = byHash.get(hashKey(pepper, secret.slice(0, 256)))
      if (!allowed || found === undefined) return null
      if (inUse.size >= keysInUseMax) inUse.clear()
      inUse.set(digest, found)
      return foundNow(secret, found)
    },
    put: (key) => {
      // A rotated key has another hash: its old secret opens nothing from now on.
      byHash.delete(hashOf.get(key.id) ?? '')
      byHash.set(key.hash, key)
      hashOf.set(key.id, key.hash)
      inUse.clear()
      inTurn.clear()
    },
  }
}

async function putDemoKey(store: Store, hash: string): Promise<void> {
  const id = makeId('key', 'demo')
  if ((await store.key(id))?.hash === hash) return
  const now = systemClock.now()
  const key: VirtualKey = {
    id,
    name: 'demo',
    hash,
    prefix: demoSecret,
    team: 'demo',
    agent: null,
    environment: 'dev',
    tenant: null,
    user: null,
    createdAt: now,
    createdBy: 'bursar',
    expiresAt: null,
    revokedAt: null,
  }
  await store.change(
    { kind: 'put_key', key },
    {
      id: makeId('aud', systemChance.token(22)),
      at: now,
      actor: 'bursar',
      action: 'key.created',
      subject: id,
      reason: 'demo',
      before: null,
      after: null,
    },
  )
}
