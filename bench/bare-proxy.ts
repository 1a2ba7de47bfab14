/**
 * What a proxy costs on this stack before it governs anything: `node:http` and undici's
 * `Pool.dispatch`, no checks, no ledger.
 *
 *   node bench/bare-proxy.ts PORT UPSTREAM_PORT
 */
import { createServer } from 'node:http'
import { Pool } from 'undici'

const [port, upstreamPort] = process.argv.slice(2).map(Number)
const pool = new Pool(`http://127.0.0.1:${upstreamPort}`, { connections: 20_000, pipelining: 1 })

const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const body = Buffer.concat(chunks)
    const headers = { 'content-type': 'application/json', 'content-length': String(body.length) }
    pool.dispatch(
      { path: request.url ?? '/', method: 'POST', headers, body },
      {
        onRequestStart() {},
        onResponseStart(_controller, status, answer) {
          response.writeHead(status, answer as Record<string, string>)
          response.flushHeaders()
        },
        onResponseData(_controller, chunk) {
          response.write(chunk)
        },
        onResponseEnd() {
          response.end()
        },
        onResponseError() {
          response.destroy()
        },
      },
    )
  })
})
server.listen(port, '127.0.0.1', () => process.stdout.write('ready\n'))
