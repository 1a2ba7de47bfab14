/** The database is away: nothing is admitted, nothing grows, and nothing spent is forgotten. */
import { readFileSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { PostgresStore } from '#store/postgres/store.ts'
import { until } from '#test/support/bursar.ts'
import { ask, type Child, makeKey, newSite, type Site } from '#test/support/child.ts'
import { type Postgres, startPostgres } from '#test/support/postgres.ts'
import { startReplica } from '#test/support/replicas.ts'

let postgres: Postgres
let site: Site
let url = ''
beforeEach(async () => {
  postgres = await startPostgres()
  site = await newSite()
  url = await postgres.database()
})
afterEach(async () => {
  await site[Symbol.asyncDispose]()
  await postgres[Symbol.asyncDispose]()
})

const residentMiB = ({ pid }: Child): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024

/** Milliseconds until a call is served again. */
async function backAfter(child: Child, key: string): Promise<number> {
  const from = performance.now()
  await until('it serves', async () => (await ask(child, key)).status === 200, 10_000)
  return performance.now() - from
}

const aways: Readonly<Record<string, readonly [away: () => unknown, back: () => unknown]>> = {
  'that has fallen over': [() => postgres.crash(), () => postgres.start()],
  'that does not answer': [() => postgres.freeze(), () => postgres.thaw()],
}

test.each(Object.entries(aways))(
  'a database %s: 503, nothing sent, then back',
  async (_name, of) => {
    const [away, back] = of
    await using child = await startReplica(site, url, 0)
    const key = await makeKey(child)
    expect((await ask(child, key)).status).toBe(200)
    const sent = site.simulator.requests()
    await away()
    const first = await ask(child, key)
    expect(first.status).toBe(503)
    expect(first.code).toBe('ledger_unavailable')
    expect(first.ms).toBeLessThan(2500)
    const before = residentMiB(child)
    for (let round = 0; round < 5; round += 1) {
      const all = await Promise.all(Array.from({ length: 100 }, () => ask(child, key)))
      expect(all.map(({ status }) => status)).toEqual(all.map(() => 503))
    }
    expect(residentMiB(child) - before).toBeLessThan(100)
    expect(site.simulator.requests()).toBe(sent)
    await back()
    expect(await backAfter(child, key)).toBeLessThan(5000)
  },
)

test('calls that end while it is away are settled at their cost, though their process dies', async () => {
  const child = await startReplica(site, url, 0)
  const key = await makeKey(child)
  const calls = Array.from({ length: 10 }, () => stream(child, key))
  const store = await PostgresStore.open({ url })
  await until('10 holds', async () => (await store.openHolds()) === 10)
  await store.close()
  await postgres.crash()
  // The callers get all of their answers; only the books have to wait.
  const answers = await Promise.all(calls)
  expect(answers.every((text) => text.includes('data: [DONE]'))).toBe(true)
  const journal = `${site.folder}/replica-0/endings.jsonl`
  const kept = (): number => readFileSync(journal, 'utf8').split('\n').length - 1
  await until('10 endings are on the disk', () => kept() === 10)
  await child.kill()
  await postgres.start()

  await using _next = await startReplica(site, url, 0)
  const after = await PostgresStore.open({ url })
  const holds = await after.recentHolds(100)
  await after.close()
  expect(holds).toHaveLength(10)
  expect(holds.map(({ state, basis }) => `${state} ${basis}`)).toEqual(
    holds.map(() => 'settled actual'),
  )
  const posted = holds.reduce((sum, { cost }) => sum + (cost ?? 0n), 0n)
  expect(posted).toBe(BigInt(site.simulator.bill().total_usd.replace('.', '')))
  expect(readFileSync(journal, 'utf8')).toBe('')
})

/** The text of a stream of a second and a half, as far as it comes. */
async function stream({ url: base }: Child, key: string): Promise<string> {
  const answer = await fetch(`${base}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({
      model: 'gpt-5-mini',
      stream: true,
      max_tokens: 50,
      messages: [{ role: 'user', content: 'hello' }],
    }),
    headers: { 'x-api-key': key, 'bursar-sim': 'tokens=30; chunks=30; pace=50' },
  })
  let text = ''
  try {
    for await (const chunk of answer.body ?? []) {
      text += Buffer.from(chunk).toString()
      // What comes behind it is written once the books are: not now.
      if (text.includes('data: [DONE]')) break
    }
  } catch {
    // Cut off: what came has to do.
  }
  return text
}
