/** Texts that only this installation can read, for what a browser keeps for us a while. */
import { createHash } from 'node:crypto'
import { EncryptJWT, errors, jwtDecrypt } from 'jose'

export interface Seals {
  seal(value: Readonly<Record<string, string>>, forMs: number): Promise<string>
  unseal(text: string): Promise<Readonly<Record<string, unknown>> | null>
}

/** `secret`: the installation's; all replicas have the same. */
export function seals(secret: string, now: () => number): Seals {
  const key = createHash('sha256').update(`bursar seal ${secret}`).digest()
  return {
    seal: (value, forMs) =>
      new EncryptJWT({ ...value })
        .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
        .setExpirationTime(Math.floor((now() + forMs) / 1000))
        .encrypt(key),
    unseal: async (text) => {
      try {
        const { payload } = await jwtDecrypt(text, key, {
          currentDate: new Date(now()),
          keyManagementAlgorithms: ['dir'],
          contentEncryptionAlgorithms: ['A256GCM'],
          requiredClaims: ['exp'],
        })
        return payload
      } catch (error) {
        if (error instanceof errors.JOSEError) return null
        throw error
      }
    },
  }
}
