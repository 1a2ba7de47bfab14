/** Memory of many open streams: each gets an event every half second. */
import { readFileSync } from 'node:fs'
import { createConnection, type Socket } from 'node:net'
import { bodyOf } from './load.ts'
import type { Target } from './targets.ts'

export interface StreamsRow {
  readonly name: string
  readonly streams: number
  /** MiB of the process itself: before, and with all streams open. */
  readonly idleMiB: number
  readonly openMiB: number
  /** Streams that were refused or broke. */
  readonly failed: number
}

type Streamed = Target & { readonly keys?: readonly string[] }

/** Resident memory of a process and its children, in MiB. */
function residentMiB(pid: number): number {
  const own = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')
  const below = children.filter((child) => child.trim() !== '').map((child) => Number(child))
  return Number(own ?? 0) / 1024 + below.reduce((sum, child) => sum + residentMiB(child), 0)
}

/** `keys`: more streams than one key may have are shared by several. */
function openStream({ port, headers, keys = [] }: Streamed, no: number): Promise<Socket | null> {
  const body = bodyOf('stream', 'slow-500')
  const key = keys[no % keys.length]
  const own = key === undefined ? headers : { ...headers, authorization: `Bearer ${key}` }
  const head = Object.entries(own).map(([name, value]) => `${name}: ${value}\r\n`)
  return new Promise((resolve) => {
    const socket = createConnection({ port, host: '127.0.0.1' })
    const failed = (): void => resolve(null)
    socket.once('error', failed)
    socket.once('close', failed)
    socket.once('data', (chunk: Buffer) => {
      resolve(chunk.toString('latin1').startsWith('HTTP/1.1 200') ? socket : null)
      socket.on('data', () => {})
    })
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\n${head.join('')}` +
        `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    )
  })
}

export async function openStreams(target: Streamed, streams: number): Promise<StreamsRow> {
  const idleMiB = residentMiB(target.pid)
  const sockets: Socket[] = []
  let failed = 0
  for (let from = 0; from < streams; from += 100) {
    const count = Math.min(100, streams - from)
    const some = Array.from({ length: count }, (_, no) => openStream(target, no))
    for (const socket of await Promise.all(some)) {
      if (socket === null) failed += 1
      else sockets.push(socket)
    }
  }
  // Two rounds of events for everyone.
  await new Promise((resolve) => setTimeout(resolve, 2000))
  const openMiB = residentMiB(target.pid)
  failed += sockets.filter(({ destroyed }) => destroyed).length
  for (const socket of sockets) socket.destroy()
  await new Promise((resolve) => setTimeout(resolve, 1000))
  return { name: target.name, streams, idleMiB, openMiB, failed }
}

export function streamsTable(rows: readonly StreamsRow[]): string {
  return [
    '| through | open streams | idle MiB | open MiB | KiB a stream | failed |',
    '| --- | --: | --: | --: | --: | --: |',
    ...rows.map(({ name, streams, idleMiB, openMiB, failed }) => {
      const each = ((openMiB - idleMiB) * 1024) / streams
      const [idle, open] = [idleMiB.toFixed(0), openMiB.toFixed(0)]
      return `| ${name} | ${streams} | ${idle} | ${open} | ${each.toFixed(1)} | ${failed} |`
    }),
  ].join('\n')
}
