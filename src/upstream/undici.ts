/**
 * Providers over HTTP/1.1 by `undici`. No redirect is followed, nothing is decompressed, nothing is
 * retried: each of these would send bytes, or our credential, that no hold stands for.
 */
import { Agent, type Dispatcher } from 'undici'
import type {
  Upstream,
  UpstreamExchange,
  UpstreamFailure,
  UpstreamListener,
  UpstreamRequest,
} from '#ports/upstream.ts'

export interface UndiciOptions {
  readonly connectMs: number
  readonly connectionsPerOrigin: number
}

/**
 * More connections than calls are taken in: whoever waited for one would wait behind callers of
 * another key, and with its money held.
 */
const usual: UndiciOptions = { connectMs: 10_000, connectionsPerOrigin: 12_000 }

export class UndiciUpstream implements Upstream {
  readonly #agent: Agent

  constructor(options: UndiciOptions = usual) {
    this.#agent = new Agent({
      connect: { timeout: options.connectMs },
      connections: options.connectionsPerOrigin,
      pipelining: 1,
      // Shorter than what servers commonly keep, so that a call is rarely written to a dead socket.
      keepAliveTimeout: 3000,
      keepAliveMaxTimeout: 60_000,
      maxHeaderSize: 16 * 1024,
    })
  }

  send(request: UpstreamRequest, listener: UpstreamListener): UpstreamExchange {
    const exchange = new Exchange(request, listener)
    const { origin, path, headers, body, timeouts } = request
    this.#agent.dispatch(
      {
        origin,
        path,
        method: 'POST',
        headers,
        body,
        headersTimeout: timeouts.firstByteMs,
        bodyTimeout: timeouts.idleMs,
      },
      exchange,
    )
    return exchange
  }

  async close(): Promise<void> {
    await this.#agent.destroy()
  }
}

const hintsMax = 10

class Exchange implements UpstreamExchange, Dispatcher.DispatchHandler {
  readonly #listener: UpstreamListener
  readonly #deadline: NodeJS.Timeout
  #controller: Dispatcher.DispatchController | null = null
  #aborting: UpstreamFailure['reason'] | null = null
  #paused = false
  #done = false
  #hints = 0

  constructor(request: UpstreamRequest, listener: UpstreamListener) {
    this.#listener = listener
    this.#deadline = setTimeout(() => this.#abortAs('timeout'), request.timeouts.totalMs)
  }

  pause(): void {
    this.#paused = true
    this.#controller?.pause()
  }

  resume(): void {
    this.#paused = false
    this.#controller?.resume()
  }

  abort(): void {
    this.#abortAs('aborted')
  }

  get isSent(): boolean {
    return this.#controller !== null
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // Given up while it waited: undici writes nothing of what is aborted here.
    if (this.#done) return controller.abort(new Error('aborted'))
    this.#controller = controller
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    // Early hints and 100-continue are not the answer, and a flood of them is none either.
    if (status < 200) {
      this.#hints += 1
      if (this.#hints > hintsMax) controller.abort(new Error('too many informational answers'))
      return
    }
    const flat: Record<string, string> = {}
    for (const [name, value] of Object.entries(headers)) {
      if (value !== undefined) flat[name] = Array.isArray(value) ? (value[0] ?? '') : value
    }
    this.#listener.started(status, flat)
    if (this.#paused) controller.pause()
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#listener.data(chunk)
  }

  onResponseEnd(): void {
    if (!this.#finish()) return
    this.#listener.ended()
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    if (!this.#finish()) return
    this.#listener.failed({
      // undici starts a request only on an open connection: before that, nothing was written.
      sent: this.#controller !== null,
      reason: this.#aborting ?? reasonOf(error),
      detail: error.message,
    })
  }

  #abortAs(reason: UpstreamFailure['reason']): void {
    if (this.#done || this.#aborting !== null) return
    this.#aborting = reason
    if (this.#controller !== null) return this.#controller.abort(new Error(reason))
    if (!this.#finish()) return
    this.#listener.failed({ sent: false, reason, detail: 'given up before it was sent' })
  }

  #finish(): boolean {
    if (this.#done) return false
    this.#done = true
    clearTimeout(this.#deadline)
    return true
  }
}

function reasonOf(error: Error & { code?: string }): UpstreamFailure['reason'] {
  const { code = '' } = error
  if (/TIMEOUT/.test(code)) return code.includes('CONNECT') ? 'connect' : 'timeout'
  return /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|CERT|TLS/.test(code) ? 'connect' : 'broken'
}
