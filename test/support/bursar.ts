/** A real Bursar on loopback before a real simulator, on a ledger of its own. No mocks. */
import { strict as assert } from 'node:assert'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { formatProblem, loadSnapshot } from '#config/load.ts'
import { fold } from '#core/fold.ts'
import { formatUsd, nanos } from '#core/money.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { secret } from '#lib/secret.ts'
import type { Store } from '#ports/store.ts'
import type { Bill } from '#simulator/bill.ts'
import { type Simulator, startSimulator } from '#simulator/server.ts'
import { loadPriceBook } from '#system/price-files.ts'
import type { GatewayLimits } from '#gateway/deps.ts'
import type { ConnectionLimits } from '#gateway/listener.ts'
import { type Bursar, startBursar } from '#src/wiring.ts'

export interface World extends AsyncDisposable {
  readonly bursar: Bursar
  readonly simulator: Simulator
  readonly url: string
  readonly dataFolder: string
  /** A new virtual key. */
  key(of?: Readonly<Record<string, string>>): Promise<string>
  /** `GET` or, with a body, `POST` below `/api/v1`. */
  api(path: string, body?: unknown): Promise<unknown>
  /** Posted in all accounts of the only budget that covers everything. */
  postedUsd(budget: string): Promise<string>
}

export interface WorldOptions {
  /** A PostgreSQL for the ledger; left out, SQLite in a folder. */
  readonly databaseUrl?: string
  readonly config: string
  readonly limits?: Partial<GatewayLimits>
  readonly delayMs?: number
  readonly paceMs?: number
  readonly dataFolder?: string
  readonly retries?: number
  /** Names of simulated providers, one target each. */
  readonly providers?: readonly string[]
  /** Another provider than the simulator, at this address. */
  readonly providerUrl?: string
  readonly connections?: Partial<ConnectionLimits>
}

export function snapshotFor(
  config: string,
  simulatorUrl: string,
  options: Pick<WorldOptions, 'providers' | 'retries'> = {},
): Snapshot {
  const loaded = loadSnapshot({
    files: [{ name: 'test.yaml', text: config }],
    env: () => undefined,
    readFile: () => null,
    priceBook: loadPriceBook(),
  })
  if (!loaded.ok) throw new Error(loaded.problem.map(formatProblem).join('\n'))
  const { snapshot } = loaded.value
  const names = options.providers ?? ['simulator']
  return {
    ...snapshot,
    providers: [
      ...snapshot.providers,
      ...names.map((name) => ({
        name,
        kind: 'simulator' as const,
        baseUrl: simulatorUrl,
        credential: secret('provider-key'),
        environments: null,
        models: [],
        free: false,
        retries: options.retries ?? 0,
      })),
    ],
  }
}

/** How every Bursar of a test is started: on a port of its own, and `apiAt` knows its token. */
export const usual = {
  host: '127.0.0.1',
  port: 0,
  demo: false,
  adminToken: 'adm_test',
  secretKey: 'pepper',
  databaseUrl: undefined,
  logLevel: 'silent',
} as const

export async function startWorld(options: WorldOptions): Promise<World> {
  const simulator = await startSimulator({
    listen: { host: '127.0.0.1', port: 0 },
    priceBook: loadPriceBook(),
    delayMs: options.delayMs ?? 0,
    paceMs: options.paceMs ?? 0,
  })
  const dataFolder = options.dataFolder ?? mkdtempSync(join(tmpdir(), 'bursar-'))
  const bursar = await startBursar({
    ...usual,
    dataFolder,
    databaseUrl: options.databaseUrl,
    load: () => snapshotFor(options.config, options.providerUrl ?? simulator.url, options),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...(options.connections === undefined ? {} : { connections: options.connections }),
  })
  const api = apiAt(bursar.url)
  return {
    bursar,
    simulator,
    url: bursar.url,
    dataFolder,
    api,
    key: async (of = {}) => ((await api('/keys', of)) as { key: string }).key,
    postedUsd: async (budget) => {
      const rows = (await api(`/budgets/${budget}`)) as { posted_usd: string }[]
      const total = rows.reduce((sum, row) => sum + BigInt(row.posted_usd.replace('.', '')), 0n)
      return formatUsd(nanos(total))
    },
    [Symbol.asyncDispose]: async () => {
      await bursar.stop('test over')
      await simulator.close()
      if (options.dataFolder === undefined) rmSync(dataFolder, { recursive: true, force: true })
    },
  }
}

/** The admin API of a server, as its first admin or with another token: see `World.api`. */
export function apiAt(url: string, token = 'adm_test'): World['api'] {
  return async (path, body) => {
    const answer = await fetch(`${url}/api/v1${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`)
    return JSON.parse(text)
  }
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  json(): Record<string, unknown>
}

/** One call, as a program would make it. */
export async function call(
  world: Pick<World, 'url'>,
  key: string,
  path: string,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const answer = await fetch(world.url + path, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
  })
  const text = await answer.text()
  return {
    status: answer.status,
    headers: answer.headers,
    text,
    json: () => JSON.parse(text) as Record<string, unknown>,
  }
}

export const chatBody = (
  content: string,
  more: Readonly<Record<string, unknown>> = {},
): unknown => ({ model: 'gpt-5-mini', messages: [{ role: 'user', content }], ...more })

/** Waits until `done` says so; fails loudly, with what was last seen. */
export async function until(
  what: string,
  done: () => Promise<boolean> | boolean,
  ms = 5000,
): Promise<void> {
  const end = Date.now() + ms
  while (!(await done())) {
    if (Date.now() > end) throw new Error(`still waiting for: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** Every stored balance against the fold of the entries. Returns the open holds. */
export async function auditBooks({ bursar }: Pick<World, 'bursar'>): Promise<number> {
  return auditStore(bursar.store)
}

async function auditStore(store: Store): Promise<number> {
  const balances = new Map<string, { posted: bigint; pending: bigint }>()
  let folded = fold([])
  for (let after = 0; ; ) {
    const page = await store.entries(after, 5000)
    folded = fold(page, folded)
    const last = page.at(-1)
    if (last === undefined) break
    after = last.seq
  }
  for (const [account, { posted, pending }] of folded) {
    const kept = await store.account(account)
    if (kept === null || kept.posted !== posted || kept.pending !== pending) {
      throw new Error(`${account} is not the fold of its entries`)
    }
    balances.set(account, { posted, pending })
  }
  return store.openHolds()
}

interface Closing {
  readonly store: Store
  readonly api: World['api']
  readonly provider: { bill(): Bill | Promise<Bill> }
}

/**
 * Once nothing is open and what was presumed is set right, the balance of the budget `all` is the
 * provider's bill, and every balance the sum of its entries. Returns how many were presumed.
 */
export async function closeBooks({ store, api, provider }: Closing): Promise<number> {
  await until('no open hold', async () => (await store.openHolds()) === 0, 70_000)
  assert.equal(await auditStore(store), 0)
  const simulator = await provider.bill()
  const presumed = await trueUp({ bursar: { store }, api, simulator: { bill: () => simulator } })
  assert.equal(await auditStore(store), 0)
  const rows = (await api('/budgets')) as { name: string; posted_usd: string }[]
  const all = rows.find(({ name }) => name.startsWith('all'))
  assert.equal(all?.posted_usd, simulator.total_usd)
  return presumed
}

interface Billed {
  readonly bursar: { readonly store: Store }
  readonly api: World['api']
  readonly simulator: Pick<Simulator, 'bill'>
}

/** What nobody knew is set right by the provider's bill, as reconciliation does. */
export async function trueUp({ bursar, api, simulator }: Billed): Promise<number> {
  const lines = new Map(simulator.bill().lines.map((line) => [line.client_request_id, line]))
  const presumed = (await bursar.store.recentHolds(10_000_000)).filter(
    ({ basis }) => basis === 'presumed',
  )
  const left = [...presumed]
  const work = async (): Promise<void> => {
    for (let next = left.pop(); next !== undefined; next = left.pop()) {
      const cost_usd = lines.get(next.id)?.cost_usd ?? '0.000000000'
      await api('/ledger/adjustments', { hold: next.id, cost_usd, reason: "the provider's bill" })
    }
  }
  await Promise.all(Array.from({ length: 16 }, work))
  return presumed.length
}
