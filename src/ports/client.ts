/** The caller's side of a call: where the answer goes. */
export interface Client {
  start(status: number, headers: Readonly<Record<string, string>>): void
  /** False: wait for `onDrain` before writing more. */
  write(chunk: Uint8Array): boolean
  end(): void
  /**
   * The answer can no longer be completed: break the connection so that nobody takes it for whole.
   */
  destroy(): void
  onDrain(listener: () => void): void
  /** Called once when the caller hangs up before the answer is complete; at once if it has. */
  onGone(listener: () => void): void
  readonly gone: boolean
  /** True once `start` was called. */
  readonly started: boolean
}

/** A request as the gateway reads it, whatever carried it. */
export interface ClientRequest {
  readonly method: string
  /** Path and query, as sent. */
  readonly target: string
  /** Lower-case names. A header sent twice has several values. */
  readonly headers: Readonly<Record<string, readonly string[]>>
  readonly body: Uint8Array
}
