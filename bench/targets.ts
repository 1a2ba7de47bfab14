/** The proxies under measure: each is started the same way, on its own port, before one upstream. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const here = import.meta.dirname
export const upstreamPort = 4811

export interface Target {
  readonly name: string
  readonly port: number
  readonly pid: number
  readonly headers: Readonly<Record<string, string>>
  stop(): Promise<void>
}

/**
 * `--pin`: the proxy has core 1 to itself, load and upstream share core 0. Without it all share all
 * cores, as they do on a machine of one's own: a proxy that can use two may.
 */
export const pinned =
  process.argv.includes('--pin') && spawnSync('taskset', ['-V']).status === 0

function run(
  core: number,
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): ChildProcess {
  const [file, all] = pinned
    ? ['taskset', ['-c', String(core), command, ...args]]
    : [command, [...args]]
  return spawn(file, all, {
    env: { ...process.env, NODE_NO_WARNINGS: '1', ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

export async function listening(port: number, timeoutMs = 20_000): Promise<void> {
  for (let waited = 0; waited < timeoutMs; waited += 50) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = createConnection({ port, host: '127.0.0.1' })
      socket.once('connect', () => resolve(true))
      socket.once('error', () => resolve(false))
      socket.once('connect', () => socket.destroy())
    })
    if (open) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`nothing listens on port ${port}`)
}

async function started(
  name: string,
  port: number,
  child: ChildProcess,
  headers: Readonly<Record<string, string>> = {},
  clean: () => void = () => {},
): Promise<Target> {
  await listening(port, 60_000)
  return {
    name,
    port,
    pid: child.pid ?? 0,
    headers: { 'content-type': 'application/json', authorization: 'Bearer sk-none', ...headers },
    stop: async () => {
      const gone = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGTERM')
      await gone
      clean()
    },
  }
}

export async function upstream(): Promise<Target> {
  const child = run(0, process.execPath, [join(here, 'upstream.ts'), String(upstreamPort)])
  return started('direct', upstreamPort, child)
}

export async function bare(): Promise<Target> {
  const args = [join(here, 'bare-proxy.ts'), '4812', String(upstreamPort)]
  return started('node:http + undici', 4812, run(1, process.execPath, args))
}

/** Null where nginx is not installed. */
export async function nginx(): Promise<Target | null> {
  const bin = ['/usr/sbin/nginx', '/usr/bin/nginx'].find((path) => existsSync(path))
  if (bin === undefined) return null
  const folder = mkdtempSync(join(tmpdir(), 'bench-nginx-'))
  const config = join(folder, 'nginx.conf')
  writeFileSync(
    config,
    `daemon off; ${pinned ? 'master_process off; worker_processes 1' : 'worker_processes 2'};
     pid ${folder}/pid; error_log ${folder}/error crit;
     events { worker_connections 15000; }
     http {
       access_log off; client_body_buffer_size 128k; keepalive_requests 10000000;
       client_body_temp_path ${folder}/b; proxy_temp_path ${folder}/p; fastcgi_temp_path ${folder}/f;
       uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
       upstream up { server 127.0.0.1:${upstreamPort}; keepalive 512; keepalive_requests 10000000; }
       server { listen 127.0.0.1:4813 backlog=4096; location / {
         proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection "";
         proxy_buffering off; } } }`,
  )
  const clean = (): void => rmSync(folder, { recursive: true, force: true })
  return started('nginx', 4813, run(1, bin, ['-c', config, '-p', folder]), {}, clean)
}

/** Installed on demand below bench/, with the versions whose streams work. Null: not to be had. */
export async function portkey(): Promise<Target | null> {
  const folder = join(here, '.peers', 'portkey')
  const main = join(folder, 'node_modules/@portkey-ai/gateway/build/start-server.js')
  if (!existsSync(main)) {
    mkdirSync(folder, { recursive: true })
    const manifest = {
      private: true,
      dependencies: { '@portkey-ai/gateway': '1.15.2' },
      overrides: { hono: '4.9.7', '@hono/node-server': '1.3.3' },
    }
    writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest))
    const args = ['install', '--no-audit', '--no-fund', '--ignore-scripts']
    if (spawnSync('npm', args, { cwd: folder, stdio: 'ignore' }).status !== 0) return null
  }
  const child = run(1, process.execPath, [main, '--port=4814', '--headless'])
  return started('Portkey', 4814, child, {
    'x-portkey-provider': 'openai',
    'x-portkey-custom-host': `http://127.0.0.1:${upstreamPort}/v1`,
  })
}

/** Installed on demand below bench/, where Python and its registry are there; its own budget on. */
export async function litellm(): Promise<Target | null> {
  const folder = join(here, '.peers', 'litellm')
  const bin = join(folder, 'bin', 'litellm')
  if (!existsSync(bin)) {
    const pip = join(folder, 'bin', 'pip')
    const steps = [
      ['python3', '-m', 'venv', folder],
      [pip, 'install', '-q', 'litellm[proxy]==1.108.7'],
    ]
    for (const [command = '', ...args] of steps) {
      if (spawnSync(command, args, { stdio: 'ignore' }).status !== 0) return null
    }
  }
  const config = join(folder, 'bench.yaml')
  writeFileSync(
    config,
    `model_list:
  - model_name: gpt-5-mini
    litellm_params:
      { model: openai/gpt-5-mini, api_key: none, api_base: "http://127.0.0.1:${upstreamPort}/v1" }
litellm_settings: { max_budget: 1000000, budget_duration: 30d, request_timeout: 60 }
`,
  )
  const args = ['--config', config, '--host', '127.0.0.1', '--port', '4816', '--telemetry', 'False']
  const key = `sk-${'0123456789abcdef'.repeat(4)}`
  const env = { LITELLM_LOG: 'ERROR', LITELLM_LOCAL_MODEL_COST_MAP: 'True', LITELLM_MASTER_KEY: key }
  const child = run(1, bin, args, env)
  return started('LiteLLM', 4816, child, { authorization: `Bearer ${key}` })
}

export interface BursarOptions {
  readonly port?: number
  readonly config?: string
  readonly nodeArgs?: readonly string[]
  /** Its ledger is there, and not in a folder. */
  readonly databaseUrl?: string
  /** A tree to run instead of this one: for before and after in one run. */
  readonly tree?: string
  /** Agents that get a key each, more than once if need be. */
  readonly agents?: readonly string[]
}

export interface BursarTarget extends Target {
  readonly data: string
  /** One for each of the agents asked for. */
  readonly keys: readonly string[]
}

export async function bursar(options: BursarOptions = {}): Promise<BursarTarget> {
  const { port = 4815, config = join(here, 'bursar.yaml'), nodeArgs = [] } = options
  const tree = options.tree ?? join(here, '..')
  const folder = mkdtempSync(join(tmpdir(), 'bench-bursar-'))
  const data = join(folder, 'data')
  const child = run(
    1,
    process.execPath,
    [
      ...nodeArgs,
      join(tree, 'src/main.ts'),
      'up',
      `--listen=127.0.0.1:${port}`,
      `--config=${config}`,
      `--data=${data}`,
    ],
    {
      BENCH_UPSTREAM: `http://127.0.0.1:${upstreamPort}/v1`,
      BURSAR_LOG: 'warn',
      DATABASE_URL: options.databaseUrl ?? '',
    },
  )
  await listening(port, 300_000)
  const token = readFileSync(join(data, 'admin-token'), 'utf8').trim()
  const key = await newKey(port, token, 'resolver')
  const keys: string[] = []
  const { agents = [] } = options
  for (let from = 0; from < agents.length; from += 100) {
    const some = agents.slice(from, from + 100).map((agent) => newKey(port, token, agent))
    keys.push(...(await Promise.all(some)))
  }
  const headers = { authorization: `Bearer ${key}`, 'bursar-user': 'u1' }
  const clean = (): void => rmSync(folder, { recursive: true, force: true })
  return { ...(await started('Bursar', port, child, headers, clean)), data, keys }
}

async function newKey(port: number, adminToken: string, agent: string): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${port}/api/v1/keys`, {
    method: 'POST',
    headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ team: 'support', agent, environment: 'prod' }),
  })
  if (!answer.ok) throw new Error(`no key: ${answer.status} ${await answer.text()}`)
  return ((await answer.json()) as { key: string }).key
}
