import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { fold } from '#core/fold.ts'
import { type Simulator, startSimulator } from '#simulator/server.ts'
import { SqliteStore } from '#store/sqlite.ts'
import { generator } from '#test/sim/clock.ts'
import { loadPriceBook } from '#system/price-files.ts'

const root = new URL('../../', import.meta.url).pathname
const cycles = process.env.BURSAR_LONG === '1' ? 500 : 50

interface Child {
  readonly process: ChildProcess
  readonly url: string
}

/** The real program; resolves when it has printed where it listens. */
function startChild(folder: string): Promise<Child> {
  return new Promise((resolve, reject) => {
    const child = spawn(
      process.execPath,
      [
        '--disable-warning=ExperimentalWarning',
        `${root}src/main.ts`,
        'up',
        '--listen',
        '127.0.0.1:0',
        '--config',
        join(folder, 'bursar.yaml'),
        '--data',
        join(folder, 'data'),
      ],
      { env: { ...process.env, BURSAR_ADMIN_TOKEN: 'adm_test' } },
    )
    let said = ''
    child.stdout.on('data', (chunk) => {
      said += chunk
      const url = /Anthropic\s+(http:\S+)/.exec(said)?.[1]
      if (url !== undefined) resolve({ process: child, url })
    })
    child.stderr.on('data', (chunk) => {
      said += chunk
    })
    child.on('exit', () => reject(new Error(`it did not start: ${said}`)))
  })
}

function killed({ process: child }: Child): Promise<void> {
  return new Promise((resolve) => {
    child.on('exit', () => resolve())
    child.kill('SIGKILL')
  })
}

/** Calls without pause until the process dies. What was answered is acknowledged. */
async function load(
  { url }: Child,
  key: string,
  acknowledged: Map<string, string>,
  stop: { now: boolean },
): Promise<void> {
  const body = JSON.stringify({
    model: 'gpt-5-mini',
    max_tokens: 50,
    messages: [{ role: 'user', content: 'hello' }],
  })
  const one = async (): Promise<void> => {
    while (!stop.now) {
      try {
        const answer = await fetch(`${url}/v1/chat/completions`, {
          method: 'POST',
          body,
          headers: { 'x-api-key': key, 'bursar-sim': 'delay=3' },
        })
        const id = answer.headers.get('bursar-call-id')
        const cost = answer.headers.get('bursar-cost-usd')
        await answer.text()
        if (answer.status === 200 && id !== null && cost !== null) acknowledged.set(id, cost)
      } catch {
        return
      }
    }
  }
  await Promise.all(Array.from({ length: 16 }, one))
}

async function makeKey({ url }: Child): Promise<string> {
  const answer = await fetch(`${url}/api/v1/keys`, {
    method: 'POST',
    body: '{"agent":"a"}',
    headers: { authorization: 'Bearer adm_test' },
  })
  return ((await answer.json()) as { key: string }).key
}

function writeConfig(folder: string, simulator: Simulator): void {
  writeFileSync(
    join(folder, 'bursar.yaml'),
    `organization: acme
providers: { simulator: { base_url: "${simulator.url}" } }
budgets: [{ name: all, budget_yearly_usd: 1000000 }, { per: agent, budget_daily_usd: 100000 }]
`,
  )
}

test(`${cycles} kills -9 under load: nothing acknowledged is lost, orphans are presumed`, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'bursar-kill-'))
  const simulator = await startSimulator({
    listen: { host: '127.0.0.1', port: 0 },
    priceBook: loadPriceBook(),
    delayMs: 0,
    paceMs: 0,
  })
  writeConfig(folder, simulator)
  const chance = generator(20_261_124)
  const acknowledged = new Map<string, string>()
  let key = ''
  for (let cycle = 0; cycle < cycles; cycle += 1) {
    const child = await startChild(folder)
    if (key === '') key = await makeKey(child)
    const stop = { now: false }
    const loading = load(child, key, acknowledged, stop)
    await new Promise((resolve) => setTimeout(resolve, 20 + Math.floor(chance() * 200)))
    await killed(child)
    stop.now = true
    await loading
  }
  // One more start takes over what the last kill left; then it ends in the ordinary way.
  const last = await startChild(folder)
  const ended = new Promise((resolve) => last.process.on('exit', resolve))
  last.process.kill('SIGTERM')
  await ended
  const found = await examine(folder, acknowledged, simulator)
  await simulator.close()
  rmSync(folder, { recursive: true, force: true })
  expect(acknowledged.size).toBeGreaterThan(cycles * 5)
  expect(found).toMatchObject({ lost: [], wrong: [], under: [], pending: 0, unbalanced: [] })
  expect(found.presumed).toBeGreaterThan(0)
}, 600_000)

async function examine(
  folder: string,
  acknowledged: ReadonlyMap<string, string>,
  simulator: Simulator,
): Promise<Record<string, unknown> & { presumed: number }> {
  const store = new SqliteStore({ path: join(folder, 'data', 'bursar.db') })
  const holds = await store.recentHolds(1_000_000)
  const byCall = new Map(holds.map((hold) => [String(hold.call), hold]))
  const nanosOf = (usd: string): bigint => BigInt(usd.replace('.', ''))
  const bill = new Map(
    simulator.bill().lines.map((line) => [line.client_request_id, line.cost_usd]),
  )
  const balances = fold(await store.entries(0, 10_000_000))
  const unbalanced: string[] = []
  for (const [account, { posted, pending }] of balances) {
    const kept = await store.account(account)
    if (kept?.posted !== posted || kept.pending !== pending) unbalanced.push(account)
  }
  const found = {
    lost: [...acknowledged.keys()].filter((call) => !byCall.has(call)),
    wrong: [...acknowledged].filter(([call, cost]) => byCall.get(call)?.cost !== nanosOf(cost)),
    under: holds.filter(({ id, cost }) => (cost ?? 0n) < nanosOf(bill.get(id) ?? '0')),
    pending: await store.openHolds(),
    unbalanced,
    presumed: holds.filter(({ basis, state }) => basis === 'presumed' && state === 'expired')
      .length,
  }
  await store.close()
  return found
}
