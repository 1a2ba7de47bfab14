/** Prompt caches as providers keep them: prefixes by credential, forgotten after a while. */
const entriesMax = 10_000
const minutes = 60_000

export interface Cached {
  readonly read: number
  readonly written: number
}

/** Longest prefixes seen, in tokens, by account, model and the text's own beginning. */
export class PromptCache {
  readonly #seen = new Map<string, { tokens: number; until: number }>()
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  /**
   * `parts` are the prompt in order, each with its tokens. What was seen before, from the start on,
   * is read; the rest up to `upTo` parts is written.
   */
  look(
    scope: string,
    parts: readonly { readonly text: string; readonly tokens: number }[],
    upTo: number,
    lastsMs = 5 * minutes,
  ): Cached {
    const now = this.#now()
    let prefix = scope
    let total = 0
    let read = 0
    for (const { text, tokens } of parts.slice(0, upTo)) {
      prefix = `${digest(prefix)}${digest(text)}${text.length}`
      total += tokens
      const known = this.#seen.get(prefix)
      if (known !== undefined && known.until > now) read = total
      if (this.#seen.size >= entriesMax) this.#seen.clear()
      this.#seen.set(prefix, { tokens: total, until: now + lastsMs })
    }
    return { read, written: total - read }
  }

  clear(): void {
    this.#seen.clear()
  }
}

/** Two lanes of FNV: enough to tell prompts of a simulator apart. */
function digest(text: string): string {
  let a = 0x811c9dc5
  let b = 0x01000193
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i)
    a = Math.imul(a ^ code, 0x01000193)
    b = Math.imul(b ^ (code + 31), 0x85ebca6b)
  }
  return `${(a >>> 0).toString(36)}${(b >>> 0).toString(36)}`
}
