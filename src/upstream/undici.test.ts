import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import type { UpstreamFailure } from '#ports/upstream.ts'
import { UndiciUpstream } from './undici.ts'

test('what waits for a connection and is given up is never sent', async () => {
  const seen: string[] = []
  const server = createServer((request, response) => {
    seen.push(request.url ?? '')
    if (request.url !== '/1') response.end('ok')
    else setTimeout(() => response.end('ok'), 300)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const upstream = new UndiciUpstream({ connectMs: 1000, connectionsPerOrigin: 1 })
  const failures: UpstreamFailure[] = []
  const send = (path: string, ended: () => void) =>
    upstream.send(
      {
        origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
        path,
        headers: {},
        body: Buffer.from('{}'),
        timeouts: { firstByteMs: 5000, idleMs: 5000, totalMs: 5000 },
      },
      { started: () => {}, data: () => {}, ended, failed: (failure) => failures.push(failure) },
    )
  const first = new Promise<void>((resolve) => {
    send('/1', resolve)
  })
  const waiting = send('/2', () => {})
  await expect.poll(() => seen.length).toBe(1)
  expect(waiting.isSent).toBe(false)
  waiting.abort()
  expect(failures).toMatchObject([{ sent: false, reason: 'aborted' }])
  await first
  await new Promise<void>((resolve) => {
    send('/3', resolve)
  })
  expect(seen).toEqual(['/1', '/3'])
  expect(failures).toHaveLength(1)
  await upstream.close()
  server.close()
})
