/** Beside a bench: takes webhooks, and changes something at the desk every second. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout } from 'node:timers/promises'

const [url = '', token = ''] = process.argv.slice(2)
if (url === '') {
  const receiver = createServer((request, response) => {
    request.resume().on('end', () => response.end())
  }).listen(0, '127.0.0.1', () => {
    process.stdout.write(`${(receiver.address() as AddressInfo).port}\n`)
  })
} else {
  for (let no = 0; ; no += 1) {
    const answer = await fetch(`${url}/api/v1/keys`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ team: 'support', agent: 'resolver', name: `k${no}` }),
    }).catch(() => null)
    if (answer === null) break
    await answer.arrayBuffer()
    await setTimeout(1000)
  }
}
