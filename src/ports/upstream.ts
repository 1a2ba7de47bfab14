/** One try at one provider. Redirects are not followed and nothing is retried below this port. */
export interface UpstreamRequest {
  /** Scheme, host and port: the connection pool's key. */
  readonly origin: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  readonly timeouts: Timeouts
}

/** Milliseconds. `idleMs` is the longest silence between two chunks. */
export interface Timeouts {
  readonly firstByteMs: number
  readonly idleMs: number
  readonly totalMs: number
}

export type UpstreamFailure = {
  /** False only where provably no byte of the request left: then nothing can be billed. */
  readonly sent: boolean
  readonly reason: 'connect' | 'timeout' | 'broken' | 'aborted'
  readonly detail: string
}

/** Exactly one of `ended` and `failed` is called, once, last. */
export interface UpstreamListener {
  started(status: number, headers: Readonly<Record<string, string>>): void
  data(chunk: Uint8Array): void
  ended(): void
  failed(failure: UpstreamFailure): void
}

export interface UpstreamExchange {
  /** False while it waits for a connection: nothing of it has left. */
  readonly isSent: boolean
  pause(): void
  resume(): void
  /** The listener hears `failed` with `aborted`, at once where nothing was sent. */
  abort(): void
}

export interface Upstream {
  send(request: UpstreamRequest, listener: UpstreamListener): UpstreamExchange
  close(): Promise<void>
}
