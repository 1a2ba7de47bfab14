/** A mail server on a real socket: takes mails, or refuses them as told. No TLS. */
import { createServer, type Socket } from 'node:net'
import type { AddressInfo } from 'node:net'

export interface Mail {
  readonly from: string
  readonly to: readonly string[]
  /** As sent, headers and all. */
  readonly raw: string
  /** Unfolded, by lower-case name; a name that comes twice is there twice. */
  readonly headers: readonly (readonly [string, string])[]
}

export interface Mailbox extends AsyncDisposable {
  readonly port: number
  readonly mails: readonly Mail[]
  /** Commands it has heard, passwords and all. */
  readonly heard: readonly string[]
  /** `RCPT` is answered with this; `hang`: nothing is answered any more; null: as usual. */
  fail(how: string | 'hang' | null): void
}

export async function startSmtp(): Promise<Mailbox> {
  const mails: Mail[] = []
  const heard: string[] = []
  const sockets = new Set<Socket>()
  let failing: string | null = null
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => {})
    if (failing === 'hang') return
    const say = (line: string): void => void socket.write(`${line}\r\n`)
    let from = ''
    let to: string[] = []
    let inData = false
    let rest = ''
    say('220 mail.test ESMTP')
    const command = (line: string): void => {
      heard.push(line)
      const address = /<([^>]*)>/.exec(line)?.[1] ?? ''
      const verb = line.slice(0, 4).toUpperCase()
      if (verb === 'EHLO') say('250-mail.test\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN')
      else if (verb === 'AUTH') say(failing?.startsWith('535') ? failing : '235 ok')
      else if (verb === 'MAIL') {
        from = address
        to = []
        say('250 ok')
      } else if (verb === 'RCPT') {
        if (failing !== null) return say(failing)
        to.push(address)
        say('250 ok')
      } else if (verb === 'DATA') {
        inData = true
        say('354 go on')
      } else if (verb === 'QUIT') {
        say('221 bye')
        socket.end()
      } else say('250 ok')
    }
    socket.on('data', (chunk) => {
      rest += chunk.toString()
      for (;;) {
        const end = rest.indexOf(inData ? '\r\n.\r\n' : '\r\n')
        if (end < 0) return
        const part = rest.slice(0, end)
        rest = rest.slice(end + (inData ? 5 : 2))
        if (!inData) command(part)
        else {
          inData = false
          mails.push({ from, to, raw: part, headers: headersOf(part) })
          say('250 2.0.0 queued as 1')
        }
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    mails,
    heard,
    fail: (how) => {
      failing = how
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function headersOf(raw: string): readonly (readonly [string, string])[] {
  const head = raw.split('\r\n\r\n')[0] ?? ''
  return head
    .replace(/\r\n[ \t]+/g, ' ')
    .split('\r\n')
    .map((line) => {
      const at = line.indexOf(':')
      return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()] as const
    })
}
