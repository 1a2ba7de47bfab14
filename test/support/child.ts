/** The real program as a process of its own: for what only a process meets, death and disks. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Simulator, startSimulator } from '#simulator/server.ts'
import { loadPriceBook } from '#system/price-files.ts'

const main = new URL('../../src/main.ts', import.meta.url).pathname

/** A simulator in this process, and a folder with a config that leads to it. */
export interface Site extends AsyncDisposable {
  readonly simulator: Simulator
  readonly folder: string
  readonly data: string
  readonly ledger: string
}

const ordinary = `budgets:
  - { name: all, budget_yearly_usd: 1000000 }
  - { per: agent, budget_daily_usd: 100000 }
`

/** `config` follows the organization and the provider: a simulator of its own, or one at `url`. */
export async function newSite(config = ordinary, url?: string): Promise<Site> {
  const folder = mkdtempSync(join(tmpdir(), 'bursar-site-'))
  const simulator = await startSimulator({
    listen: { host: '127.0.0.1', port: 0 },
    priceBook: loadPriceBook(),
    delayMs: 0,
    paceMs: 0,
  })
  writeFileSync(
    join(folder, 'bursar.yaml'),
    `organization: acme
providers: { simulator: { base_url: "${url ?? simulator.url}" } }
${config}`,
  )
  const data = join(folder, 'data')
  return {
    simulator,
    folder,
    data,
    ledger: join(data, 'bursar.db'),
    [Symbol.asyncDispose]: async () => {
      await simulator.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

export interface Ended {
  readonly code: number | null
  readonly said: string
}

export interface Child extends AsyncDisposable {
  readonly process: ChildProcess
  readonly pid: number
  readonly url: string
  /** What it wrote to its log so far. */
  log(): string
  /** SIGTERM: resolves when it has ended by itself. */
  stop(): Promise<Ended>
  kill(): Promise<void>
}

/** What `child` leaves to say when it ends; `log` is all it has said. */
function ending(child: ChildProcess, log: () => string): Promise<Ended> {
  return once(child, 'exit').then(([code]) => ({ code: code as number | null, said: log() }))
}

function launch(args: readonly string[], env: NodeJS.ProcessEnv): [ChildProcess, () => string] {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      // Half of a start is parsing: once is enough.
      NODE_COMPILE_CACHE: join(tmpdir(), 'bursar-compile-cache'),
      BURSAR_ADMIN_TOKEN: 'adm_test',
      ...env,
    },
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk) => {
      said += chunk
    })
  }
  return [child, () => said]
}

/** One command of the program, to its end. */
export function runBursar(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return ending(...launch(args, env))
}

/**
 * `bursar up`; resolves when it has printed where it listens, rejects when it ends before. `said`
 * hears all of its log so far, whenever there is more.
 */
export async function startChild(
  { folder, data }: Site,
  env: NodeJS.ProcessEnv = {},
  said: (log: string) => void = () => {},
): Promise<Child> {
  const config = join(folder, 'bursar.yaml')
  const args = ['up', '--listen', '127.0.0.1:0', '--config', config, '--data', data]
  const [child, log] = launch(args, env)
  const ended = ending(child, log)
  child.stderr?.on('data', () => said(log()))
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout?.on('data', () => {
      const found = /Anthropic\s+(http:\S+)/.exec(log())?.[1]
      if (found !== undefined) resolve(found)
    })
    ended.then(({ said }) => reject(new Error(`it did not start: ${said}`)))
  })
  const signalled = (signal: 'SIGTERM' | 'SIGKILL') => (): Promise<Ended> => {
    child.kill(signal)
    return ended
  }
  const kill = async (): Promise<void> => void (await signalled('SIGKILL')())
  return {
    process: child,
    pid: child.pid ?? 0,
    url,
    log,
    stop: signalled('SIGTERM'),
    kill,
    [Symbol.asyncDispose]: kill,
  }
}

export async function makeKey({ url }: Child): Promise<string> {
  const answer = await fetch(`${url}/api/v1/keys`, {
    method: 'POST',
    body: '{"agent":"a"}',
    headers: { authorization: 'Bearer adm_test' },
  })
  return ((await answer.json()) as { key: string }).key
}

export interface Asked {
  readonly status: number
  readonly id: string
  readonly cost: string | null
  readonly retryAfter: string | null
  readonly code: string | null
  readonly ms: number
}

/** One small call; `sim` tells the simulator how to answer. */
export async function ask(
  { url }: Child,
  key: string,
  sim = 'tokens=5',
  headers: Readonly<Record<string, string>> = {},
): Promise<Asked> {
  const from = performance.now()
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    body: '{"model":"gpt-5-mini","max_tokens":50,"messages":[{"role":"user","content":"hello"}]}',
    headers: { 'x-api-key': key, 'bursar-sim': sim, ...headers },
  })
  const { error } = (await answer.json()) as { error?: { code?: string } }
  return {
    status: answer.status,
    id: answer.headers.get('bursar-call-id') ?? '',
    cost: answer.headers.get('bursar-cost-usd'),
    retryAfter: answer.headers.get('retry-after'),
    code: error?.code ?? null,
    ms: performance.now() - from,
  }
}
