/** The database is away: nothing is admitted, nothing grows, and nothing spent is forgotten. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { PostgresStore } from '#store/postgres/store.ts'
import { EndingFile } from '#system/ending-journal.ts'
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

test('calls that end while it is away are answered, and settled at their cost though their process dies', async () => {
  const child = await startReplica(site, url, 0)
  const key = await makeKey(child)
  const streams = Array.from({ length: 10 }, () => longCall(child, key, true))
  const others = Array.from({ length: 10 }, () => longCall(child, key, false))
  const store = await PostgresStore.open({ url })
  await until('20 holds', async () => (await store.openHolds()) === 20)
  await store.close()
  await postgres.crash()
  // The callers get all of their answers, to the end; only the books have to wait.
  const told = await Promise.all([...streams, ...others])
  expect(told.every(({ text }) => text.length > 100)).toBe(true)
  expect(told.every(({ cost }) => cost !== null)).toBe(true)
  await child.kill()

  // The next one waits for the database, as long as it takes.
  const log = Promise.withResolvers<string>()
  const next = startReplica(site, url, 0, log.resolve)
  expect(await log.promise).toContain('waiting for the database')
  await postgres.start()
  await using _next = await next
  const after = await PostgresStore.open({ url })
  const holds = await after.recentHolds(100)
  await after.close()
  expect(holds.map(({ state, basis }) => `${state} ${basis}`)).toEqual(
    told.map(() => 'settled actual'),
  )
  const costs = new Map(holds.map(({ call, cost }) => [String(call), cost]))
  for (const { call, cost } of told) expect(costs.get(call)).toBe(nanosOf(cost))
  const posted = holds.reduce((sum, { cost }) => sum + (cost ?? 0n), 0n)
  expect(posted).toBe(nanosOf(site.simulator.bill().total_usd))
  const journal = new EndingFile(join(site.folder, 'replica-0', 'endings.db'), expect.unreachable)
  expect(journal.left()).toEqual([])
  journal.close()
})

test('a replica that freezes amid a batch costs the others no call', async () => {
  await using frozen = await startReplica(site, url, 0)
  await using other = await startReplica(site, url, 1)
  const key = await makeKey(frozen)
  await until('the key is known', async () => (await ask(other, key)).status === 200)
  let over = false
  const seen: number[] = []
  const load = async (child: Child, statuses: number[]): Promise<void> => {
    while (!over) {
      const { status } = await ask(child, key, 'delay=1')
      statuses.push(status)
    }
  }
  const calls = Array.from({ length: 16 }, (_, no) =>
    no % 2 === 0 ? load(frozen, []) : load(other, seen),
  )
  // Wherever it is in its batch.
  for (let round = 0; round < 8; round += 1) {
    const before = seen.length
    frozen.process.kill('SIGSTOP')
    await until('the other one goes on', () => seen.length > before + 50, 10_000)
    frozen.process.kill('SIGCONT')
    await new Promise((resolve) => setTimeout(resolve, 20 + round * 7))
  }
  over = true
  await Promise.all(calls)
  expect(seen.filter((status) => status !== 200)).toEqual([])
  expect((await ask(frozen, key)).status).toBe(200)
})

const nanosOf = (usd: string | null): bigint => BigInt(usd?.replace('.', '') ?? -1)

/** A call of a second and a half, to its end: its answer, and what it was told to have cost. */
async function longCall({ url: base }: Child, key: string, stream: boolean) {
  const answer = await fetch(`${base}/v1/chat/completions`, {
    method: 'POST',
    signal: AbortSignal.timeout(15_000),
    body: JSON.stringify({
      model: 'gpt-5-mini',
      stream,
      max_tokens: 50,
      messages: [{ role: 'user', content: 'hello' }],
    }),
    headers: {
      'x-api-key': key,
      'bursar-sim': stream ? 'tokens=30; chunks=30; pace=50' : 'tokens=30; delay=1500',
    },
  })
  const call = answer.headers.get('bursar-call-id') ?? ''
  const text = await answer.text()
  const said = /^: bursar .*"cost_usd":"([\d.]+)"/m.exec(text)?.[1]
  return { call, text, cost: said ?? answer.headers.get('bursar-cost-usd') }
}
