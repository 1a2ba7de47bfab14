/**
 * A small world in one thread: virtual time, one seeded generator, and real gateways between a
 * crowd of callers and a provider that keeps its own bill. One seed is one run, on every store.
 * First everything that can go wrong does; then nothing does, and all must come to rest.
 */
import { strict as assert } from 'node:assert'
import { formatUsd, nanos } from '#core/money.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { instant } from '#core/time.ts'
import { rulesOf } from '#gateway/books.ts'
import { serveCall } from '#gateway/serve.ts'
import { takeUp } from '#jobs/adoption.ts'
import { tellEndings } from '#jobs/endings.ts'
import { expireHolds } from '#jobs/holds.ts'
import type { Client } from '#ports/client.ts'
import type { Clock } from '#ports/clock.ts'
import type { Store } from '#ports/store.ts'
import { atRest, Auditor, checkTold, limitsOf } from './checks.ts'
import { generator, VirtualClock } from './clock.ts'
import { snapshotOf } from './config.ts'
import { boot, type Process, shaky, type Surroundings } from './process.ts'
import { BillingProvider } from './provider.ts'
import { calm, drawSwarm, type Swarm } from './swarm.ts'

export interface Report {
  readonly answered: number
  readonly refused: number
  readonly aborted: number
  readonly crashes: number
  readonly presumed: number
  readonly billed: string
  readonly entries: number
}

interface Tally {
  answered: number
  refused: number
  aborted: number
  /** What callers were told that their call did cost, by call. */
  readonly told: Map<string, string>
}

/** A caller that may hang up. After a crash nothing it does reaches anybody. */
function caller(clock: Clock, tally: Tally, abortAfterMs: number | null): Client {
  let gone = false
  let started = false
  let done = false
  const listeners: (() => void)[] = []
  if (abortAfterMs !== null) {
    void clock.sleep(abortAfterMs).then(() => {
      if (done) return
      gone = true
      tally.aborted += 1
      for (const listener of listeners) listener()
    })
  }
  return {
    get gone() {
      return gone
    },
    get started() {
      return started
    },
    start: (status, headers) => {
      started = true
      if (status === 200) tally.answered += 1
      else tally.refused += 1
      const cost = headers['bursar-cost-usd']
      if (cost !== undefined) tally.told.set(headers['bursar-call-id'] ?? '', cost)
    },
    write: (bytes) => {
      const said = /^: bursar (.*)\n/.exec(Buffer.from(bytes).toString())?.[1]
      const { call, cost_usd: cost } = JSON.parse(said ?? '{}') as Record<string, string>
      if (call !== undefined) tally.told.set(call, cost ?? '')
      return true
    },
    end: () => {
      done = true
    },
    destroy: () => {
      done = true
    },
    onDrain: (listener) => listener(),
    onGone: (listener) => (gone ? listener() : void listeners.push(listener)),
  }
}

/**
 * Runs one seed on `store` and checks every promise, on the way and at rest. `others` reach the
 * same ledger: gateways are spread over them.
 */
export async function simulate(
  seed: number,
  store: Store,
  others: readonly Store[] = [],
  calls = 60,
): Promise<Report> {
  const world = new World(seed, [store, ...others])
  await world.open()
  await world.faultyPart(calls)
  await world.calmPart()
  return world.report()
}

interface Under {
  way: number
  /** The last command of any replica: where there are several, the next waits for it. */
  last: Promise<unknown>
}

/**
 * Its methods, counted while they are under way. Which of two replicas is the faster is chance of
 * another kind than a seed's: `inTurn` has their commands done in the order of asking.
 */
function counted(store: Store, under: Under, inTurn: boolean): Store {
  return new Proxy(store, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      return (...args: unknown[]) => {
        const ask = (): Promise<unknown> => Reflect.apply(value, target, args) as Promise<unknown>
        const result = inTurn && name === 'run' ? under.last.then(ask) : ask()
        const done = (): void => {
          under.way -= 1
        }
        under.way += 1
        under.last = result.then(done, done)
        return result
      }
    },
  })
}

class World {
  readonly #store: Store
  readonly #under: Under = { way: 0, last: Promise.resolve() }
  readonly #chance: () => number
  // Just before an hour ends, so that calls and holds straddle periods.
  readonly #clock = new VirtualClock(Date.UTC(2026, 9, 31, 22, 58, 30), () => this.#under.way > 0)
  readonly #swarm: Swarm
  readonly #provider: BillingProvider
  readonly #surroundings: Surroundings
  readonly #configs: Snapshot[]
  readonly #auditor: Auditor
  readonly #processes: Process[] = []
  readonly #tally: Tally = { answered: 0, refused: 0, aborted: 0, told: new Map() }
  readonly #failures: Error[] = []
  #snapshot: Snapshot
  #faulty = true
  #away = 0
  #open = 0
  #changed = false
  #crashes = 0
  #presumed = 0

  constructor(seed: number, shared: readonly Store[]) {
    const stores = shared.map((one) => counted(one, this.#under, shared.length > 1))
    const [store = assert.fail('a world has a store')] = stores
    this.#store = store
    this.#chance = generator(seed)
    this.#swarm = drawSwarm(generator(seed + 3_000_003))
    const swarm = (): Swarm => (this.#faulty ? this.#swarm : calm)
    const storeSwarm = (): Swarm => (this.#away > 0 ? { ...swarm(), failBefore: 1 } : swarm())
    const clock = this.#clock
    this.#provider = new BillingProvider(clock, generator(seed + 1_000_003), swarm)
    this.#snapshot = snapshotOf(this.#chance, 'sim-0')
    this.#configs = [this.#snapshot]
    this.#auditor = new Auditor(store, (account) => limitsOf(this.#configs)(account))
    let tokens = 0
    this.#surroundings = {
      clock,
      chance: this.#chance,
      provider: this.#provider,
      store,
      flaky: shaky(stores, clock, generator(seed + 2_000_003), storeSwarm),
      snapshot: () => this.#snapshot,
      token: (n) => String(tokens++).padStart(n, '0'),
      unexpected: (reason) => this.#failures.push(new Error(reason)),
    }
  }

  async open(): Promise<void> {
    await this.#store.adopt(this.#snapshot.budgets, this.#clock.now())
    for (let i = 0; i < this.#swarm.gateways; i += 1) this.#processes.push(boot(this.#surroundings))
  }

  /** Calls, crashes, jumps of the clock and new configs, all at times of chance. */
  async faultyPart(calls: number): Promise<void> {
    for (let i = 0; i < calls; i += 1) this.#start(() => this.#call(i, 120_000))
    for (let i = 0; i < this.#swarm.crashes; i += 1) this.#start(() => this.#crash())
    for (let i = 0; i < this.#swarm.jumps; i += 1) this.#start(() => this.#jump())
    for (let i = 0; i < this.#swarm.reloads; i += 1) this.#start(() => this.#reload())
    for (let i = 0; i < this.#swarm.aways; i += 1) this.#start(() => this.#leave())
    await this.#clock.run(
      () => this.#open === 0,
      () => this.#audit(),
    )
  }

  /** Nothing fails any more: what is open ends, and what fits is served. */
  async calmPart(): Promise<void> {
    this.#faulty = false
    await this.#clock.run(() => this.#processes.every(({ desk }) => desk.books.unsettled === 0))
    await this.#expire(Number.MAX_SAFE_INTEGER)
    // Tomorrow every account but the organization's year is new: a call that fits is answered.
    await this.#clock.sleepOver(86_400_000)
    const before = this.#tally.answered
    this.#start(() => this.#call(0, 1))
    await this.#clock.run(() => this.#open === 0)
    assert.equal(this.#tally.answered, before + 1, 'after the faults a call that fits is answered')
    await checkTold(this.#store, this.#tally.told)
    const { bill } = this.#provider
    const parts = [this.#clock, this.#store, this.#snapshot, this.#auditor] as const
    this.#presumed = await atRest(...parts, bill, this.#failures)
  }

  async report(): Promise<Report> {
    if (this.#failures[0] !== undefined) throw this.#failures[0]
    const { bill } = this.#provider
    const { told: _, ...tally } = this.#tally
    return {
      ...tally,
      crashes: this.#crashes,
      presumed: this.#presumed,
      billed: formatUsd(nanos([...bill.values()].reduce((a, b) => a + b, 0n))),
      entries: (await this.#store.entries(0, 1_000_000)).length,
    }
  }

  #start(work: () => Promise<void>): void {
    this.#open += 1
    work()
      .catch((error: unknown) => this.#failures.push(asError(error)))
      .finally(() => {
        this.#open -= 1
      })
  }

  async #audit(): Promise<void> {
    if (!this.#changed) return
    this.#changed = false
    await this.#auditor.check()
  }

  #some(): Process {
    const at = Math.floor(this.#chance() * this.#processes.length)
    return this.#processes[at] ?? assert.fail('no gateway')
  }

  async #call(no: number, withinMs: number): Promise<void> {
    await this.#clock.sleep(Math.floor(this.#chance() * withinMs))
    const abort = this.#faulty && this.#chance() < this.#swarm.abort
    const abortAfterMs = abort ? Math.floor(this.#chance() * 20_000) : null
    const client = caller(this.#clock, this.#tally, abortAfterMs)
    const process = this.#some()
    const request = requestOf(this.#chance, no, this.#faulty ? 0.7 : 1)
    // A crash leaves its calls without an end: they count as done when their process is gone.
    await Promise.race([serveCall(process.desk, endpoint, request, client), process.dead])
    this.#changed = true
  }

  /** A gateway dies and another takes its place. */
  async #crash(): Promise<void> {
    await this.#clock.sleep(20_000 + Math.floor(this.#chance() * 90_000))
    const dead = this.#some()
    dead.kill()
    this.#crashes += 1
    this.#processes[this.#processes.indexOf(dead)] = boot(this.#surroundings)
    const { clock, store } = this.#surroundings
    const endings = { keep: async () => {}, forget: () => {} }
    const deps = { clock, observe: () => {}, store, endings, rules: rulesOf(this.#snapshot) }
    await tellEndings(deps, [...dead.kept.values()])
    // Alone it knows that nobody else has open holds; among others it waits until they are due.
    const until = this.#swarm.gateways === 1 ? Number.MAX_SAFE_INTEGER : this.#clock.now()
    await this.#expire(until)
    this.#changed = true
  }

  async #jump(): Promise<void> {
    await this.#clock.sleep(Math.floor(this.#chance() * 150_000))
    this.#clock.jump(Math.floor((this.#chance() - 0.3) * 3_600_000))
  }

  /** The ledger takes nothing for a while. */
  async #leave(): Promise<void> {
    await this.#clock.sleep(Math.floor(this.#chance() * 120_000))
    this.#away += 1
    await this.#clock.sleep(Math.floor(this.#chance() * 60_000))
    this.#away -= 1
  }

  /** Calls under way keep the config they began with. */
  async #reload(): Promise<void> {
    await this.#clock.sleep(Math.floor(this.#chance() * 150_000))
    const snapshot = snapshotOf(this.#chance, `sim-${this.#configs.length}`)
    this.#configs.push(snapshot)
    await takeUp(this.#store, this.#clock, snapshot, () => {
      this.#snapshot = snapshot
    })
    this.#changed = true
  }

  async #expire(until: number): Promise<void> {
    const rules = rulesOf(this.#snapshot)
    const { clock, store } = this.#surroundings
    const expiry = { clock, observe: () => {}, store, rules: () => rules }
    await expireHolds(expiry, instant(until))
  }
}

const endpoint = {
  dialect: 'openai' as const,
  operation: 'chat' as const,
  pathModel: null,
  pathStream: false,
  upstreamPath: '/v1/chat/completions',
  query: '',
}

function requestOf(
  chance: () => number,
  no: number,
  capped: number,
): Parameters<typeof serveCall>[2] {
  const body = JSON.stringify({
    model: 'sim-1',
    messages: [{ role: 'user', content: 'x'.repeat(60) }],
    ...(chance() < 0.5 ? { stream: true } : {}),
    ...(chance() < capped ? { max_tokens: 400 } : {}),
  })
  return {
    method: 'POST',
    target: endpoint.upstreamPath,
    headers: { 'bursar-user': [`user-${no % 5}`], authorization: ['Bearer vk_x'] },
    body: Buffer.from(body),
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
