/** Load: `wrk` for throughput (it must not be what is slow), a raw socket for one call at a time. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createConnection, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pinned, type Target } from './targets.ts'

export type Shape = '2 KB' | '60 KB' | 'stream'

export function bodyOf(shape: Shape, user = 'bench'): string {
  const bytes = shape === '60 KB' ? 60_000 : 1900
  return JSON.stringify({
    model: 'gpt-5-mini',
    user,
    messages: [
      { role: 'system', content: 'You are a careful assistant. Answer in one paragraph.' },
      { role: 'user', content: 'The customer writes: my parcel is late. '.repeat(bytes / 40) },
    ],
    max_completion_tokens: 200,
    ...(shape === 'stream' ? { stream: true } : {}),
  })
}

export interface Throughput {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly errors: number
}

/** Closed loop of `connections` for `seconds`. */
export function flood(
  { port, headers }: Target,
  shape: Shape,
  connections: number,
  seconds: number,
  keys: readonly string[] = [],
  users = 0,
): Throughput {
  const folder = mkdtempSync(join(tmpdir(), 'bench-wrk-'))
  const script = join(folder, 'load.lua')
  const lines = Object.entries(headers).map(([n, v]) => `wrk.headers["${n}"] = "${v}"`)
  writeFileSync(
    script,
    `wrk.method = "POST"\nwrk.body = [==[${bodyOf(shape)}]==]\n${lines.join('\n')}
     ${rotating(keys, users)}
     done = function(summary, latency)
       local e = summary.errors
       io.write(string.format("RESULT %d %d %f %f %d\\n", summary.requests, summary.duration,
         latency:percentile(50) / 1000, latency:percentile(99) / 1000,
         e.connect + e.read + e.write + e.status + e.timeout))
     end`,
  )
  const url = `http://127.0.0.1:${port}/v1/chat/completions`
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '-s', script, url]
  const ran = pinned
    ? spawnSync('taskset', ['-c', '0', 'wrk', ...args], { encoding: 'utf8' })
    : spawnSync('wrk', args, { encoding: 'utf8' })
  rmSync(folder, { recursive: true, force: true })
  const match = /RESULT (\d+) (\d+) ([\d.]+) ([\d.]+) (\d+)/.exec(ran.stdout)
  if (match === null) throw new Error(`wrk said: ${ran.stdout}${ran.stderr}`)
  const [requests = 0, micros = 1, p50Ms = 0, p99Ms = 0, errors = 0] = match.slice(1).map(Number)
  return { perSecond: (requests * 1e6) / micros, p50Ms, p99Ms, errors }
}

/** Each request under the next key, or for the next user. */
function rotating(keys: readonly string[], users: number): string {
  if (keys.length === 0 && users === 0) return ''
  const key =
    keys.length === 0 ? '' : `wrk.headers["authorization"] = keys[no % ${keys.length} + 1]`
  const user = users === 0 ? '' : `wrk.headers["bursar-user"] = "u" .. no % ${users}`
  return `local keys = {${keys.map((one) => `"Bearer ${one}"`).join(',')}}
     local no = 0
     request = function()
       no = no + 1
       ${key}
       ${user}
       return wrk.format()
     end`
}

export interface Times {
  readonly firstByteMs: readonly number[]
  readonly wholeMs: readonly number[]
}

/** `count` calls, one after another, on one connection. */
export async function oneByOne(target: Target, shape: Shape, count: number): Promise<Times> {
  const body = bodyOf(shape)
  const head = Object.entries(target.headers).map(([name, value]) => `${name}: ${value}\r\n`)
  const request =
    `POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\n${head.join('')}` +
    `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
  const socket = createConnection({ port: target.port, host: '127.0.0.1', noDelay: true })
  await new Promise((resolve) => socket.once('connect', resolve))
  const firstByteMs: number[] = []
  const wholeMs: number[] = []
  for (let i = 0; i < count; i++) {
    const { first, whole } = await exchange(socket, request)
    firstByteMs.push(first)
    wholeMs.push(whole)
  }
  socket.destroy()
  return { firstByteMs, wholeMs }
}

function exchange(socket: Socket, request: string): Promise<{ first: number; whole: number }> {
  return new Promise((resolve, reject) => {
    const start = performance.now()
    let first = 0
    let text = ''
    const heard = (chunk: Buffer): void => {
      text += chunk.toString('latin1')
      const end = text.indexOf('\r\n\r\n')
      if (end < 0) return
      const streamed = /\r\ntransfer-encoding: *chunked/i.test(text.slice(0, end + 2))
      if (first === 0 && (!streamed || text.includes('data: '))) first = performance.now() - start
      if (!isWhole(text, end, streamed)) return
      socket.off('data', heard)
      socket.off('close', closed)
      if (!text.startsWith('HTTP/1.1 200')) return reject(new Error(text.slice(0, 600)))
      resolve({ first, whole: performance.now() - start })
    }
    const closed = (): void => reject(new Error('the connection closed'))
    socket.on('data', heard)
    socket.on('close', closed)
    socket.write(request)
  })
}

function isWhole(text: string, end: number, streamed: boolean): boolean {
  if (streamed) return text.endsWith('\r\n0\r\n\r\n')
  const length = Number(/\r\ncontent-length: *(\d+)/i.exec(text.slice(0, end + 2))?.[1] ?? 0)
  return text.length >= end + 4 + length
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
