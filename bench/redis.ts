/** What a counter in Redis does for the same calls: a script that checks and adds, and one that settles. */
import { spawn } from 'node:child_process'
import { createConnection, type Socket } from 'node:net'
import { listening } from './targets.ts'

const port = 4819
const accounts = ['a', 'b', 'c', 'd', 'e', 'f']
const hold = `for i, key in ipairs(KEYS) do
  local held = tonumber(redis.call('get', key) or '0')
  if held + tonumber(ARGV[1]) > tonumber(ARGV[2]) then return 0 end
end
for i, key in ipairs(KEYS) do redis.call('incrby', key, ARGV[1]) end
return 1`
const settle = `for i, key in ipairs(KEYS) do redis.call('incrby', key, ARGV[1]) end
return 1`

export interface Counted {
  readonly times: readonly number[]
  readonly seconds: number
}

/** One connection, many callers, as a gateway would have it. No file, no fsync, no ledger. */
export async function redisCounter(callers: number, seconds: number): Promise<Counted> {
  const server = spawn('redis-server', ['--port', String(port), '--save', '', '--appendonly', 'no'])
  server.stdout.resume()
  try {
    await listening(port)
    const socket = createConnection({ port, host: '127.0.0.1', noDelay: true })
    const ask = asker(socket)
    const times: number[] = []
    let over = false
    const caller = async (): Promise<void> => {
      while (!over) {
        const began = performance.now()
        await ask(hold, ['2125000', '100000000000000000'])
        await ask(settle, ['-2120000'])
        times.push(performance.now() - began)
      }
    }
    const running = Array.from({ length: callers }, caller)
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
    over = true
    await Promise.all(running)
    socket.destroy()
    return { times, seconds }
  } finally {
    server.kill()
  }
}

/** Answers come in the order of the questions, each a line `:1`. */
function asker(socket: Socket): (script: string, values: readonly string[]) => Promise<void> {
  const waiting: (() => void)[] = []
  let rest = ''
  socket.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString('latin1')).split('\r\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line !== ':1') throw new Error(`Redis said ${line}`)
      waiting.shift()?.()
    }
  })
  return (script, values) => {
    const parts = ['EVAL', script, String(accounts.length), ...accounts, ...values]
    const bulk = parts.map((part) => `$${Buffer.byteLength(part)}\r\n${part}\r\n`).join('')
    socket.write(`*${parts.length}\r\n${bulk}`)
    return new Promise((resolve) => void waiting.push(resolve))
  }
}
