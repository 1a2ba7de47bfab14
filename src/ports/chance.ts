/** Ids and jitter. Seeded in simulations, `node:crypto` in production. */
export interface Chance {
  /** `length` characters of [0-9A-Za-z], unguessable in production. */
  token(length: number): string
  /** In [0, 1). Never used for secrets. */
  fraction(): number
}
