/** Builds the adapters and hands them down: the only file that knows which is which. */
import { mkdirSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { getRequestListener } from '@hono/node-server'
import { controlApp } from '#control/app.ts'
import type { ControlDeps } from '#control/deps.ts'
import type { Freeze } from '#core/freeze.ts'
import type { OutcomePace } from '#core/outcome-limit.ts'
import type { Inspection } from '#core/recount.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { instant } from '#core/time.ts'
import { Books, rulesOf } from '#gateway/books.ts'
import { type GatewayDeps, type GatewayLimits, usualLimits } from '#gateway/deps.ts'
import { handleData, plainDoor, type Traffic } from '#gateway/http.ts'
import { Intake } from '#gateway/intake.ts'
import { type ConnectionLimits, listen } from '#gateway/listener.ts'
import { Loops } from '#gateway/loops.ts'
import { Replays } from '#gateway/replays.ts'
import { Runs } from '#gateway/runs.ts'
import type { Desk } from '#gateway/serve.ts'
import { tellEndings } from '#jobs/endings.ts'
import { testChannel } from '#jobs/channel-test.ts'
import { guardPrices } from '#jobs/price-guard.ts'
import { expireHolds } from '#jobs/holds.ts'
import { bookedOutlooks } from '#jobs/day-books.ts'
import { outlooks } from '#jobs/outlook.ts'
import { unitCost } from '#jobs/unit-cost.ts'
import { sharedWork } from '#lib/once.ts'
import { notifiersOf } from '#notify/notifiers.ts'
import { logObserver, type LogLevel } from '#observe/log.ts'
import { metricsObserver } from '#observe/metrics.ts'
import type { ConfigHome } from '#ports/config-home.ts'
import type { Observe } from '#ports/observer.ts'
import type { News, Store } from '#ports/store.ts'
import { openStore } from '#store/open.ts'
import { systemChance } from '#system/chance.ts'
import { pricesWith } from '#system/price-files.ts'
import { systemClock } from '#system/clock.ts'
import { EndingFile } from '#system/ending-journal.ts'
import { hashKey, newKeySecret, pepperOf, secretFile } from '#system/secrets.ts'
import { UndiciUpstream } from '#upstream/undici.ts'
import { type ConfigInForce, configInForce } from './config-in-force.ts'
import { adminDoor } from './admin-door.ts'
import { alertTools, startJobs } from './rounds.ts'
import { type KeyRing, keyRing } from './key-ring.ts'
import { type RecordRing, recordRing } from './record-ring.ts'

export interface BursarOptions {
  readonly host: string
  readonly port: number
  readonly dataFolder: string
  /** `postgres://...`: the ledger is there, and any number of replicas; unset: in the folder. */
  readonly databaseUrl: string | undefined
  /** Loads the config; called again on reload. Throws with what is wrong. */
  readonly load: () => Snapshot
  /** Where that is read from: watched, and written by `apply`. Unset: it cannot be changed. */
  readonly home?: ConfigHome | null
  /** True with the built-in demo config: then, and only then, `vk_demo` opens the door. */
  readonly demo: boolean
  /** Prices that move far are meant: of the book at the start, and no other. */
  readonly acceptPrices?: boolean
  readonly adminToken: string | undefined
  readonly secretKey: string | undefined
  readonly logLevel: LogLevel
  readonly limits?: Partial<GatewayLimits>
  readonly connections?: Partial<ConnectionLimits>
}

export interface Bursar {
  readonly url: string
  readonly adminToken: string
  readonly store: Store
  /** Loads the config anew; keeps the old one and returns the problems if it is not good. */
  reload(): Promise<string | null>
  /** Stops admitting, lets calls end, settles them, closes the store. */
  stop(reason: string): Promise<void>
}

/** What stands before the door opens: the ledger taken over, the config and the keys known. */
async function layGround(options: BursarOptions) {
  mkdirSync(options.dataFolder, { recursive: true, mode: 0o700 })
  const adminToken = adminTokenOf(options)
  const log = logObserver(options.logLevel)
  const { store, inspect } = await openStore(options.dataFolder, options.databaseUrl, (reason) =>
    log({ kind: 'ledger_failed', reason }),
  )
  const pepper = await pepperFor(store, options)
  const metrics = metricsObserver(() => store.openHolds())
  const observe = both(log, metrics.observe)
  const config = configInForce(options.load, {
    clock: systemClock,
    chance: systemChance,
    store,
    observe,
  })
  const accept = options.acceptPrices === true
  await guardPrices(store, systemClock, config.snapshot(), accept).catch(async (error: unknown) => {
    await store.close()
    throw error
  })
  const endings = new EndingFile(join(options.dataFolder, 'endings.db'), (reason) => {
    observe({ kind: 'unexpected', where: 'the journal of endings', reason })
  })
  await takeOver(store, config.snapshot(), observe, endings)
  // Listened for before they are read: what changes meanwhile is not missed.
  const ready = Promise.withResolvers<Rings>()
  await store.watch((news) => void ready.promise.then((rings) => hear(news, config, rings)))
  const keys = await keyRing(store, pepper, options.demo)
  const records = await recordRing(store)
  ready.resolve({ keys, records })
  const rings = { keys, records }
  return {
    options,
    config,
    store,
    observe,
    adminToken,
    pepper,
    endings,
    ...rings,
    metrics: metrics.text,
    inspect,
  }
}

export async function startBursar(options: BursarOptions): Promise<Bursar> {
  const ground = await layGround(options)
  const { adminToken, config, endings, keys, observe, store } = ground
  const deps: GatewayDeps = {
    clock: systemClock,
    chance: systemChance,
    observe,
    upstream: new UndiciUpstream(),
    store,
    endings,
    balances: store,
    freezes: () => ground.records.all('freeze').values() as Iterable<Freeze>,
    paces: () => ground.records.all('pace').values() as Iterable<OutcomePace>,
    snapshot: config.snapshot,
    findKey: keys.find,
    limits: { ...usualLimits, ...options.limits },
  }
  const desk = newDesk(deps)
  const isBusy = (): boolean => desk.books.backlog >= deps.limits.backlogMax
  const traffic: Traffic = { intake: new Intake(deps.limits, isBusy), stopping: false }
  const handle = doorman(desk, traffic, controlDeps({ ...ground, traffic }))
  const jobs = startJobs(ground)
  const { host, port, connections = {} } = options
  const listener = await listen({
    host,
    port,
    handle,
    plain: plainDoor(desk, traffic),
    limits: connections,
  })
  const shownHost = host.includes(':') ? `[${host}]` : host
  const url = `http://${shownHost}:${listener.port}`
  observe({ kind: 'started', url, store: store.kind })
  return {
    url,
    adminToken,
    store,
    reload: () => reloadAll(ground, false),
    stop: async (reason) => {
      observe({ kind: 'stopping', reason, callsInFlight: traffic.intake.underWay })
      traffic.stopping = true
      await listener.close(stopGraceMs)
      await allEnded(desk, traffic)
      await jobs.stop()
      await deps.upstream.close()
      await store.close()
      endings.close()
    },
  }
}

/** Here, and then on the other replicas, by their own files. */
async function reloadAll(
  { config, store }: { readonly config: ConfigInForce; readonly store: Store },
  isTold: boolean,
): Promise<string | null> {
  const problem = await config.reload(isTold)
  if (problem === null) await store.announceConfig()
  return problem
}

function newDesk(deps: GatewayDeps): Desk {
  const counters = { waiting: { count: 0 }, drains: { count: 0 } }
  const { store } = deps
  const parts = { runs: new Runs(store), loops: new Loops(), replays: new Replays() }
  return { deps, books: new Books(deps), ...parts, ...counters }
}

/** What open connections get to finish by themselves before they are broken. */
const stopGraceMs = 60_000
const endingMs = 70_000

/** Every call has ended and every ending is durable, or time is up and the next start presumes. */
async function allEnded(desk: Desk, traffic: Traffic): Promise<void> {
  const isOver = (): boolean => traffic.intake.underWay === 0 && desk.books.unsettled === 0
  for (let waited = 0; !isOver() && waited < endingMs; waited += 20) await systemClock.sleep(20)
}

function both(one: Observe, other: Observe): Observe {
  return (observation) => {
    one(observation)
    other(observation)
  }
}

/** New budgets are counted from the ledger; what a dead process left open is presumed spent. */
async function takeOver(
  store: Store,
  snapshot: Snapshot,
  observe: Observe,
  endings: EndingFile,
): Promise<void> {
  const rules = rulesOf(snapshot)
  const deps = { clock: systemClock, observe, store }
  // What is known comes before what is presumed.
  await tellEndings({ ...deps, endings, rules }, endings.left())
  const always = instant(Number.MAX_SAFE_INTEGER)
  const before = store.shared ? systemClock.now() : always
  await expireHolds({ ...deps, rules: () => rules }, before)
  await store.adopt(snapshot.budgets, systemClock.now())
  const { version, notices } = snapshot
  observe({ kind: 'config_loaded', version, notices })
}

/** What another replica changed holds here too. */
function hear(news: News, config: ConfigInForce, { keys, records }: Rings): void {
  if (news.kind === 'key') keys.put(news.key)
  else if (news.kind === 'record') records.put(news.record)
  else void config.reload()
}

/** What is asked for in memory, and kept up to date there. */
interface Rings {
  readonly keys: KeyRing
  readonly records: RecordRing
}

/** All replicas must know a key by the same HMAC, so what is shared has the pepper too. */
async function pepperFor(store: Store, options: BursarOptions): Promise<string> {
  const { dataFolder, secretKey } = options
  if (secretKey !== undefined && secretKey !== '') return secretKey
  const shared = await store.installationSecret(() => systemChance.token(43))
  return shared ?? pepperOf(dataFolder, systemChance, undefined)
}

function adminTokenOf({ adminToken, dataFolder }: BursarOptions): string {
  const path = join(dataFolder, 'admin-token')
  if (adminToken === undefined || adminToken === '') {
    return secretFile(path, () => `adm_${systemChance.token(43)}`)
  }
  // The CLI on this machine reads it from here, whoever chose it.
  writeFileSync(path, `${adminToken}\n`, { mode: 0o600 })
  return adminToken
}

function controlDeps(parts: {
  readonly options: BursarOptions
  readonly config: ConfigInForce
  readonly store: Store
  readonly observe: Observe
  readonly pepper: string
  readonly adminToken: string
  readonly keys: KeyRing
  readonly records: RecordRing
  readonly traffic: Traffic
  readonly metrics: () => Promise<string>
  readonly inspect: () => Promise<Inspection>
}): ControlDeps {
  const { config, store, observe, pepper, adminToken, traffic, metrics, inspect } = parts
  const { keys, records } = parts
  return {
    clock: systemClock,
    chance: systemChance,
    observe,
    store,
    metrics,
    inspect,
    snapshot: config.snapshot,
    config: {
      home: parts.options.home ?? null,
      problem: config.problem,
      reload: () => reloadAll(parts, true),
    },
    pricesWith: (files) => pricesWith(config.snapshot().priceBook, files),
    outlooks: sharedWork(async () => {
      const deps = { clock: systemClock, store, snapshot: config.snapshot }
      return [...(await outlooks(deps)), ...(await bookedOutlooks(deps))]
    }),
    unitCost: (question, only) =>
      unitCost({ clock: systemClock, store, snapshot: config.snapshot }, question, only),
    keys: {
      make: () => {
        const secret = newKeySecret(systemChance)
        return { secret, hash: hashKey(pepper, secret) }
      },
      changed: keys.put,
    },
    records,
    door: adminDoor({ adminToken, pepper, chance: systemChance, clock: systemClock }),
    channels: {
      names: () => notifiersOf(config.snapshot(), systemClock).names,
      test: (channel, by) => testChannel(alertTools(config, store, observe), channel, by),
    },
    health: () =>
      traffic.stopping ? { ready: false, reason: 'stopping' } : { ready: true, reason: null },
  }
}

/** The control plane has its own few paths; everything else is a call, or nothing. */
function doorman(
  desk: Desk,
  traffic: Traffic,
  control: ControlDeps,
): (request: IncomingMessage, response: ServerResponse) => void {
  const answerControl = getRequestListener(controlApp(control).fetch)
  return (request, response) => {
    const path = (request.url ?? '/').split('?')[0] ?? '/'
    const own = /^\/(api|auth)\//.test(path) || ['/healthz', '/readyz', '/metrics'].includes(path)
    if (own) void answerControl(request, response)
    else if (path === '/') answerRoot(response)
    else void handleData(desk, traffic, request, response)
  }
}

function answerRoot(response: ServerResponse): void {
  const text = 'Bursar is running. OpenAI: /v1  Anthropic: /  Gemini: /  API: /api/openapi.json\n'
  response.writeHead(200, { 'content-type': 'text/plain' })
  response.end(text)
}
