/**
 * A body as it comes, copied into one buffer that grows. A list of its pieces would cost a hundred
 * bytes and more for each, and a caller may send them a byte at a time.
 */
const least = 4096

export class Gather {
  readonly #expected: number
  #bytes: Buffer | null = null
  #length = 0

  /** `expected`: how long it will be at most, so that no more is taken for it. */
  constructor(expected: number) {
    this.#expected = expected
  }

  get length(): number {
    return this.#length
  }

  push(piece: Uint8Array): void {
    const wanted = this.#length + piece.byteLength
    const room = this.#bytes?.byteLength ?? 0
    if (wanted > room) {
      const grown = Buffer.allocUnsafeSlow(
        Math.max(wanted, Math.min(this.#expected, Math.max(least, room * 2))),
      )
      this.#bytes?.copy(grown, 0, 0, this.#length)
      this.#bytes = grown
    }
    this.#bytes?.set(piece, this.#length)
    this.#length = wanted
  }

  /** All of it. What is pushed later may overwrite nothing of it. */
  whole(): Buffer {
    return (this.#bytes ?? Buffer.alloc(0)).subarray(0, this.#length)
  }
}
