/** Where the config lives, and how a new one gets there. */
import type { Snapshot } from '#core/snapshot.ts'
import type { Result } from '#lib/result.ts'

export interface ConfigText {
  /** Of a file, for messages. */
  readonly name: string
  readonly text: string
}

export interface ConfigHome {
  /** A file or a folder, as it was said at the start. */
  readonly name: string
  /** As it is on disk now. Problems are formatted for people. */
  present(): Result<Snapshot, readonly string[]>
  /**
   * What these texts would mean here. They come from outside: they may name no file and no secret
   * of Bursar's own that the present config does not name.
   */
  read(texts: readonly ConfigText[]): Result<Snapshot, readonly string[]>
  /**
   * Puts them in the place of the present ones, whose copies stay beside them. Returns what undoes
   * it. Throws with a sentence for people where the place cannot be written.
   */
  write(texts: readonly ConfigText[]): () => void
  /** What was written is in force: it is not undone at the next start any more. */
  done(): void
  /** Another text once anything that the config is read from has changed. */
  fingerprint(): string
}
