/** The program: reads argv, env and files, builds the house, prints what a person needs. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { demoConfig } from '#config/demo.ts'
import type { Loaded } from '#config/load.ts'
import { jsonSchema } from '#config/schema.ts'
import { type House, runCommand, type SimulateOptions, type UpOptions } from '#cli/program.ts'
import { ExitError, exitCodes } from '#cli/client.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { secret } from '#lib/secret.ts'
import { startSimulator } from '#simulator/server.ts'
import { postgresUrl } from '#store/open.ts'
import { inspectPostgres } from '#store/postgres/inspect.ts'
import { moveIn } from '#store/postgres/move-in.ts'
import { backUp, inspect, restore } from '#store/sqlite-inspect.ts'
import { type NamedText, readConfigFiles, readTextFile } from '#system/config-files.ts'
import { recover } from '#system/config-journal.ts'
import { packageRoot } from '#system/package-root.ts'
import { loadPriceBook } from '#system/price-files.ts'
import { priceRows } from '#cli/prices.ts'
import { systemClock } from '#system/clock.ts'
import { configHome, loadTexts } from './config-home.ts'
import { startBursar } from './wiring.ts'

const { env } = process
const version = versionOf()

function versionOf(): string {
  const text = readFileSync(new URL('package.json', packageRoot()), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

interface Source {
  readonly demo: boolean
  readonly files: () => readonly NamedText[]
  readonly name: string
}

/** `--config`, BURSAR_CONFIG, ./bursar.yaml, else the demo. A path that was said must exist. */
function sourceOf(said: string | undefined): Source {
  const path =
    said ??
    (env.BURSAR_CONFIG || undefined) ??
    (existsSync('bursar.yaml') ? 'bursar.yaml' : undefined)
  if (path === undefined) {
    const files = [{ name: 'demo', text: demoConfig }]
    return { demo: true, files: () => files, name: 'built-in demo' }
  }
  return { demo: false, files: () => readConfigFiles(path), name: path }
}

function addressOf(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:]+)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (match === null || port > 65_535) {
    throw new ExitError(exitCodes.usage, `"${text}" is not an address: write 127.0.0.1:4000`)
  }
  return { host: match[1] ?? match[2] ?? '', port }
}

async function up(options: UpOptions): Promise<void> {
  const started = performance.now()
  const address = addressOf(options.listen ?? env.BURSAR_LISTEN ?? '127.0.0.1:4000')
  const source = sourceOf(options.config)
  const wasHalf = !source.demo && recover(source.name)
  const loaded = loadOrExit(source)
  const simulator = loaded.simulate
    ? await startSimulator({ listen: { host: '127.0.0.1', port: 0 }, priceBook: loadPriceBook() })
    : null
  const dataFolder = options.data ?? env.BURSAR_DATA ?? './data'
  const bursar = await startBursar({
    ...address,
    dataFolder,
    databaseUrl,
    demo: source.demo,
    adminToken: env.BURSAR_ADMIN_TOKEN,
    secretKey: env.BURSAR_SECRET_KEY,
    logLevel: logLevelOf(env.BURSAR_LOG),
    home: source.demo
      ? null
      : configHome(source.name, (loaded) => withSimulator(loaded, simulator?.url ?? null)),
    acceptPrices: options.acceptPrices === true,
    load: () => {
      if (source.demo && sourceOf(options.config).name !== source.name) {
        throw new Error('there is a bursar.yaml now: restart to use it in place of the demo')
      }
      return withSimulator(loadOrExit(source), simulator?.url ?? null)
    },
  })
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  // Before it says that it is ready: whoever reads that may stop it at once.
  process.on('SIGHUP', () => void bursar.reload())
  const told = toldToStop()
  print(
    welcome({
      url: bursar.url,
      seconds,
      source,
      simulator: simulator?.url ?? null,
      notices: [...loaded.snapshot.notices, ...(wasHalf ? [halfApplied] : [])],
      ledger: databaseUrl === undefined ? dataFolder : 'PostgreSQL (DATABASE_URL)',
    }),
  )
  await told
  await bursar.stop('signal')
  await simulator?.close()
}

const halfApplied = 'a config was being applied when Bursar died: the files are as before it'

function toldToStop(): Promise<void> {
  return new Promise<void>((resolve) => {
    process.once('SIGTERM', resolve)
    process.once('SIGINT', resolve)
  })
}

/** Where no provider has a credential, the simulator is the only one. */
function withSimulator({ snapshot, simulate }: Loaded, url: string | null): Snapshot {
  if (url === null || !simulate) return snapshot
  const simulator: Snapshot['providers'][number] = {
    name: 'simulator',
    kind: 'simulator',
    baseUrl: url,
    credential: secret('simulator'),
    environments: null,
    models: [],
    free: false,
    retries: 0,
  }
  return { ...snapshot, providers: [...snapshot.providers, simulator] }
}

function loadOrExit(source: Source): Loaded {
  const loaded = loadTexts(source.files())
  if (loaded.ok) return loaded.value
  throw new ExitError(exitCodes.failed, `the config is not good:\n${loaded.problem.join('\n')}`)
}

function logLevelOf(text: string | undefined): 'debug' | 'info' | 'warn' | 'error' | 'silent' {
  return text === 'debug' || text === 'info' || text === 'error' || text === 'silent'
    ? text
    : 'warn'
}

function welcome(about: {
  readonly url: string
  readonly seconds: string
  readonly source: Source
  readonly simulator: string | null
  readonly notices: readonly string[]
  readonly ledger: string
}): string {
  const { url, source } = about
  const key = source.demo ? 'vk_demo' : '$KEY'
  const lines = [
    `  bursar ${version}   ready in ${about.seconds} s`,
    `  OpenAI      ${url}/v1`,
    `  Anthropic   ${url}`,
    `  Gemini      ${url}`,
    `  API         ${url}/api/openapi.json`,
    source.demo
      ? '  Key         vk_demo  (team demo, $20 a day)'
      : '  Key         npx bursar key create --agent NAME',
    `  Config      ${source.name}     Ledger  ${about.ledger}`,
    about.simulator === null
      ? ''
      : `  Providers   none configured: the simulator answers (no network, no cost)\n` +
        `  Bill        ${about.simulator}/__sim/bill`,
    `  Try         curl -s ${url}/v1/chat/completions -H "authorization: Bearer ${key}" \\\n` +
      `                -d '{"model":"gpt-5-mini","messages":[{"role":"user","content":"hi"}]}'` +
      ` -i | grep -i ^bursar-`,
    ...about.notices.map((notice) => `  Note        ${notice}`),
  ]
  return `\n${lines.filter((line) => line !== '').join('\n')}\n\n`
}

// Whoever reads has enough: `bursar call list | head`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

function print(text: string): void {
  process.stdout.write(text)
}

async function simulate(options: SimulateOptions): Promise<void> {
  const simulator = await startSimulator({
    listen: addressOf(options.listen),
    priceBook: loadPriceBook(),
    seed: Number(options.seed),
  })
  const told = toldToStop()
  print(`  simulator  ${simulator.url}   bill ${simulator.url}/__sim/bill\n`)
  await told
  await simulator.close()
}

function check(path: string): ReturnType<House['check']> {
  const loaded = loadTexts(readConfigFiles(path))
  if (!loaded.ok) return { problems: loaded.problem, summary: null }
  const { organization, budgets, providers, notices } = loaded.value.snapshot
  return {
    problems: [],
    summary: {
      organization,
      notices,
      providers: providers.map(({ name }) => name),
      budgets: budgets.map(({ id, name }) => ({ id, name })),
    },
  }
}

function adminToken(): string | null {
  const said = env.BURSAR_ADMIN_TOKEN
  if (said !== undefined && said !== '') return said
  return readTextFile(join(env.BURSAR_DATA ?? './data', 'admin-token'))
}

const ledgerIn = (data: string | undefined): string =>
  join(data ?? env.BURSAR_DATA ?? './data', 'bursar.db')

/** The ledger is in PostgreSQL, and no folder was named instead. */
const databaseUrl = env.DATABASE_URL === '' ? undefined : env.DATABASE_URL

function notInPostgres(data: string | undefined): void {
  if (databaseUrl === undefined || data !== undefined) return
  const hint = 'with pg_dump and pg_restore (docs/deploy.md); or name a folder with --data'
  throw new ExitError(exitCodes.usage, `the ledger is in PostgreSQL: back it up ${hint}`)
}

const house: House = {
  ledger: {
    inspect: async (data) =>
      databaseUrl !== undefined && data === undefined
        ? inspectPostgres(databaseUrl)
        : inspect(ledgerIn(data)),
    backUp: async (data, to) => {
      notInPostgres(data)
      return backUp(ledgerIn(data), to)
    },
    migrate: (from, to, progress) => moveIn(from, postgresUrl(to, '--to'), progress),
    restore: async (from, data) => {
      notInPostgres(data)
      mkdirSync(dirname(ledgerIn(data)), { recursive: true, mode: 0o700 })
      return restore(from, ledgerIn(data))
    },
  },
  bills: {
    lines: async (ask) => (await import('#files/bill-lines.ts')).billLines(ask),
  },
  unitCosts: {
    answer: async ({ vendors, ...ask }) => {
      const { unitCostOf } = await import('#files/unit-cost.ts')
      const known = new URL('prices/outcomes/vendors.yaml', packageRoot())
      return unitCostOf({ ...ask, vendors: vendors ?? known })
    },
    writeXlsx: async (path, answer) => (await import('#files/xlsx.ts')).writeXlsx(path, answer),
  },
  reportFiles: {
    writeSheet: async (path, sheet) => (await import('#files/xlsx.ts')).writeSheet(path, sheet),
    writeMonthPdf: async (path, report) =>
      (await import('#files/month-pdf.ts')).writeMonthPdf(path, report),
    writeParquet: async (lines, to, columns) =>
      (await import('#files/focus-parquet.ts')).writeParquet(lines, to, columns),
  },
  version,
  output: { out: print, err: (text) => void process.stderr.write(text) },
  server: () => ({ url: env.BURSAR_URL ?? 'http://127.0.0.1:4000', token: adminToken() }),
  up,
  simulate,
  readConfig: readConfigFiles,
  check,
  schema: jsonSchema,
  readText: (path) => readFileSync(path, 'utf8'),
  prices: (model) => priceRows(loadPriceBook(), model, systemClock.now()),
}

process.exitCode = await runCommand(house, process.argv.slice(2))
// Whatever still holds the loop open after a command has ended has nothing left to say.
if (process.argv[2] === 'up' || process.argv[2] === 'simulate') process.exit()
