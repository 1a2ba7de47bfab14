/** Receivers of alerts, on real sockets: they keep what they get, check it, and fail when told. */
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Received {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly text: string
  readonly body: Readonly<Record<string, unknown>>
  /** The status it was answered with; 0: it was left hanging. */
  readonly status: number
}

export interface Reply {
  readonly status: number
  readonly text?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** What to answer; `hang`: nothing, ever. */
export type Behaviour = (request: Omit<Received, 'status'>) => Reply | 'hang'

export interface Receiver extends AsyncDisposable {
  readonly url: string
  readonly received: readonly Received[]
  /** What was answered with a 2xx. */
  accepted(): readonly Received[]
  /** Until the next time: how everything is answered. */
  behave(behaviour: Behaviour): void
  /** What comes is taken, but not answered before then; null: at once. */
  wait(gate: Promise<void> | null): void
}

export async function startReceiver(usual: Behaviour): Promise<Receiver> {
  const received: Received[] = []
  let behaviour = usual
  let gate: Promise<void> | null = null
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString()
      const { url: path = '', headers } = request
      const seen = { path, headers, text, body: jsonOf(text) }
      const reply = behaviour(seen)
      received.push({ ...seen, status: reply === 'hang' ? 0 : reply.status })
      if (reply === 'hang') return
      const say = (): void =>
        void response.writeHead(reply.status, reply.headers).end(reply.text ?? '')
      if (gate === null) say()
      else void gate.then(say)
    })
  })
  await listening(server)
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    received,
    accepted: () => received.filter(({ status }) => status >= 200 && status < 300),
    behave: (next) => {
      behaviour = next
    },
    wait: (next) => {
      gate = next
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function listening(server: Server): Promise<void> {
  return new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
}

function jsonOf(text: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch {
    return {}
  }
}

/** A Slack workspace: `chat.postMessage` and `chat.update`, and each message as it stands. */
export interface Slack extends Receiver {
  readonly messages: ReadonlyMap<string, Readonly<Record<string, unknown>>>
  /** How its API is: `error` is what it says in a 200. */
  fail(error: string | Reply | 'hang' | null): void
}

export async function startSlack(): Promise<Slack> {
  const messages = new Map<string, Readonly<Record<string, unknown>>>()
  let failing: string | Reply | 'hang' | null = null
  const json = (value: unknown): Reply => ({
    status: 200,
    text: JSON.stringify(value),
    headers: { 'content-type': 'application/json' },
  })
  const receiver = await startReceiver(({ path, body }) => {
    if (typeof failing === 'string' && failing !== 'hang')
      return json({ ok: false, error: failing })
    if (failing !== null) return failing as Reply | 'hang'
    if (path.endsWith('/chat.update')) {
      const ts = String(body.ts)
      if (!messages.has(ts)) return json({ ok: false, error: 'message_not_found' })
      messages.set(ts, body)
      return json({ ok: true, ts, channel: body.channel })
    }
    const ts = `1732396200.${String(messages.size + 1).padStart(6, '0')}`
    messages.set(ts, body)
    return json({ ok: true, ts, channel: 'C0123456789' })
  })
  return {
    ...receiver,
    messages,
    fail: (error) => {
      failing = error
    },
  }
}
