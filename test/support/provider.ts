/** A provider that says whatever bytes a test wants said: no HTTP server would. */
import { type AddressInfo, createServer, type Socket } from 'node:net'

export interface RawProvider extends AsyncDisposable {
  readonly url: string
  /** Requests that came in whole. */
  requests(): number
  /** What the last one said. */
  last(): string
}

/** Called with the connection when a request is whole; `no` counts from 1. */
export type Script = (socket: Socket, no: number, request: string) => void

export async function startRawProvider(script: Script): Promise<RawProvider> {
  const sockets = new Set<Socket>()
  let count = 0
  let last = ''
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      // A greeting in TLS, which this does not speak.
      if (text.startsWith('\x16')) return socket.destroy()
      for (let end = wholeRequest(text); end !== -1; end = wholeRequest(text)) {
        count += 1
        last = text.slice(0, end)
        text = text.slice(end)
        script(socket, count, last)
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    requests: () => count,
    last: () => last,
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

/** Where the first request in `text` ends, or -1. The gateway always says a content-length. */
function wholeRequest(text: string): number {
  const head = text.indexOf('\r\n\r\n')
  if (head === -1) return -1
  const length = Number(/\r\ncontent-length: (\d+)/i.exec(text.slice(0, head))?.[1] ?? 0)
  return text.length >= head + 4 + length ? head + 4 + length : -1
}

/** A whole chat answer with usage, as OpenAI would send it. */
export function chatAnswer(content: string): string {
  return JSON.stringify({
    id: 'chatcmpl-1',
    object: 'chat.completion',
    model: 'gpt-5-mini',
    choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
  })
}

export function httpAnswer(
  headers: readonly string[],
  body: string,
  line = 'HTTP/1.1 200 OK',
): string {
  return [line, ...headers, '', body].join('\r\n')
}

/** An answer that is right in every way. */
export function goodAnswer(content: string): string {
  const body = chatAnswer(content)
  return httpAnswer(['content-type: application/json', `content-length: ${body.length}`], body)
}
