/** Those beside a flood: another key's calls and an operator's requests, one of each at a time. */
import { parentPort, workerData } from 'node:worker_threads'
import { bodyOf, median } from './load.ts'

const { base, key, token, floodSeconds } = workerData as {
  readonly base: string
  readonly key: string
  readonly token: string
  readonly floodSeconds: number
}

async function ask(request: () => Promise<Response>) {
  const end = performance.now() + (floodSeconds - 1) * 1000
  const times: number[] = []
  let asked = 0
  while (performance.now() < end) {
    const since = performance.now()
    asked += 1
    const answer = await request().catch(() => null)
    await answer?.arrayBuffer()
    if (answer?.status === 200) times.push(performance.now() - since)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return { asked, answered: times.length, medianMs: times.length > 0 ? median(times) : 0 }
}

const call = (): Promise<Response> =>
  fetch(`${base}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
    body: bodyOf('2 KB'),
  })
const look = (): Promise<Response> =>
  fetch(`${base}/api/v1/budgets`, { headers: { authorization: `Bearer ${token}` } })

// The flood itself needs a moment to begin.
await new Promise((resolve) => setTimeout(resolve, 500))
const felt = await Promise.all([ask(call), ask(look)])
parentPort?.once('message', () => parentPort?.postMessage(felt))
