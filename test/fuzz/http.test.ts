/**
 * Requests that chance has bent, through the running program and to a provider that fails on
 * request. There is no maintained coverage-guided fuzzer for JavaScript (Jazzer.js has stopped), so
 * what is bent starts from valid requests, and reaches deep that way. A failure prints the seed
 * that repeats it (BURSAR_SEED).
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { Pool } from 'undici'
import { expect, test } from 'vitest'
import { refusalCodes } from '#core/refusal.ts'
import { startBursar } from '#src/wiring.ts'
import { apiAt, closeBooks, snapshotFor, usual } from '#test/support/bursar.ts'
import { liveBytes } from '#test/support/memory.ts'
import { startSimulatorProcess } from '#test/support/simulator.ts'
import { type Shot, shot } from './requests.ts'

const shots = process.env.BURSAR_LONG === '1' ? 500_000 : 100_000
const seed = Number(process.env.BURSAR_SEED ?? Date.now() % 2 ** 31)
const workers = 48
const config = `organization: acme
budgets:
  - { name: all, budget_yearly_usd: 10000000 }
  - { name: each user, per: user, budget_yearly_usd: 100000 }
quotas: [{ per: tenant, max_calls_per_day: 100000000 }]
policy: { max_wait: 1s }
`

interface Said {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
}

/** Null: the connection broke, as it does where an answer was cut on its way. */
async function fire(pool: Pool, { method, path, headers, body }: Shot): Promise<Said | null> {
  try {
    const answer = await pool.request({
      method: method as 'POST',
      path,
      headers,
      ...(method === 'GET' ? {} : { body }),
    })
    return { status: answer.statusCode, headers: answer.headers, text: await answer.body.text() }
  } catch (error) {
    // The client itself refuses to send some of what chance draws: that is no shot at us.
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    if (code === 'UND_ERR_INVALID_ARG' || code === 'UND_ERR_NOT_SUPPORTED') return null
    if (/SOCKET|ABORTED|ECONNRESET|HTTP_PARSER|other side closed/.test(`${code} ${error}`))
      return null
    throw error
  }
}

const ours: ReadonlySet<string> = new Set(['upstream_unreachable', 'upstream_timeout'])

/** Why an answer is a fault of ours, or null. */
function faultOf(said: Said): string | null {
  if (said.status < 500 || said.headers['bursar-origin'] === 'upstream') return null
  const code = Object.keys(refusalCodes).find((name) => said.text.toLowerCase().includes(name))
  return code !== undefined && ours.has(code) ? null : `${said.status} ${said.text.slice(0, 300)}`
}

test(`${shots} bent requests: no 5xx of ours, no leak, and the bill is the ledger`, async () => {
  const provider = await startSimulatorProcess()
  const dataFolder = mkdtempSync(join(tmpdir(), 'bursar-fuzz-'))
  const bursar = await startBursar({
    ...usual,
    dataFolder,
    // Whether calls are shed on a busy machine is for `test/faults/overload.test.ts`.
    limits: { queueMs: 60_000, waitMs: 60_000 },
    load: () => snapshotFor(config, provider.url),
  })
  const api = apiAt(bursar.url)
  const { key } = (await api('/keys', {})) as { key: string }
  const pool = new Pool(bursar.url, { connections: workers, pipelining: 1 })
  const arbitrary = shot(key)
  const statuses = new Map<number, number>()
  // What is drawn is shot several times over: drawing costs more than a call.
  const batchSize = 1000
  const repeats = 4
  const round = async (no: number): Promise<void> => {
    const drawn = fc.sample(arbitrary, { numRuns: batchSize / repeats, seed: seed + no })
    const queue = Array.from({ length: repeats }, () => drawn).flat()
    const work = async (): Promise<void> => {
      for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
        const said = await fire(pool, next)
        statuses.set(said?.status ?? 0, (statuses.get(said?.status ?? 0) ?? 0) + 1)
        const fault = said === null ? null : faultOf(said)
        if (fault === null) continue
        const shown = `${next.method} ${next.path} ${JSON.stringify(next.headers)}`
        throw new Error(`seed ${seed}: ${shown} ${Buffer.from(next.body)}\n-> ${fault}`)
      }
    }
    await Promise.all(Array.from({ length: workers }, work))
  }
  const heap: number[] = []
  try {
    for (let no = 0; no < shots / batchSize; no += 1) {
      await round(no)
      if (no % 10 === 9) heap.push(liveBytes())
    }
    await pool.close()
    await closeBooks({ store: bursar.store, api, provider })
    // Bent in all ways, and still many were served and many refused.
    const shown = [...statuses].join(' ')
    expect(statuses.get(200) ?? 0, shown).toBeGreaterThan(shots / 10)
    expect(statuses.get(400) ?? 0, shown).toBeGreaterThan(shots / 10)
    const half = Math.floor(heap.length / 2)
    const before = Math.max(...heap.slice(0, half))
    const after = Math.min(...heap.slice(half))
    expect(after - before, `heap by round: ${heap.join(' ')}`).toBeLessThan(24 * 1024 * 1024)
  } finally {
    await bursar.stop('test over')
    provider.stop()
    rmSync(dataFolder, { recursive: true, force: true })
  }
})
