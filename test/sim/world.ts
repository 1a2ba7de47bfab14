/**
 * A small world in one thread: virtual time, one seeded generator, and the real gateway between a
 * crowd of callers and a provider that keeps its own bill. One seed is one run, on every store.
 */
import { strict as assert } from 'node:assert'
import { fold } from '#core/fold.ts'
import { type BudgetRule, hardLimit } from '#core/budget.ts'
import type { Hold, LedgerEntry } from '#core/journal.ts'
import type { VirtualKey } from '#core/key.ts'
import { formatUsd, nanos, parseUsd } from '#core/money.ts'
import type { PriceBook, PriceRow } from '#core/price-book.ts'
import { picosPerUnit } from '#core/money.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { type Instant, instant } from '#core/time.ts'
import { Books, rulesOf } from '#gateway/books.ts'
import { type GatewayDeps, usualLimits } from '#gateway/deps.ts'
import { type Desk, serveCall } from '#gateway/serve.ts'
import { expireHolds } from '#jobs/holds.ts'
import { makeId } from '#lib/id.ts'
import type { Client } from '#ports/client.ts'
import type { Clock } from '#ports/clock.ts'
import { type LedgerStore, type Store, StoreUnavailable } from '#ports/store.ts'
import type { Upstream, UpstreamListener, UpstreamRequest } from '#ports/upstream.ts'

export interface Report {
  readonly answered: number
  readonly refused: number
  readonly aborted: number
  readonly crashes: number
  readonly presumed: number
  readonly billed: string
  readonly entries: number
}

/** mulberry32: ten lines, and the same numbers everywhere. */
export function generator(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** Sleepers wake in the order of time, then of lying down. A day passes in a millisecond. */
export class VirtualClock implements Clock {
  #now: number
  #sequence = 0
  #sleepers: { at: number; no: number; wake: () => void }[] = []
  #offset = 0

  constructor(start: number) {
    this.#now = start
  }

  now(): Instant {
    return instant(this.#now + this.#offset)
  }

  /** The wall clock is set; durations are not touched. */
  jump(ms: number): void {
    this.#offset += ms
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return Promise.resolve()
    return new Promise((resolve) => {
      const sleeper = { at: this.#now + Math.max(0, ms), no: this.#sequence++, wake: resolve }
      this.#sleepers.push(sleeper)
      signal?.addEventListener('abort', () => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper)
        resolve()
      }, { once: true })
    })
  }

  /** Until nobody sleeps who must be waited for. */
  async run(until: () => boolean): Promise<void> {
    for (let step = 0; step < 200_000; step += 1) {
      await settleMicrotasks()
      if (until()) return
      this.#sleepers.sort((a, b) => a.at - b.at || a.no - b.no)
      const next = this.#sleepers.shift()
      assert.ok(next !== undefined, 'the world stands still with work undone')
      this.#now = Math.max(this.#now, next.at)
      next.wake()
    }
    assert.fail('the world does not come to rest')
  }
}

/** Group commit waits for a turn of the event loop: two turns see everything through. */
async function settleMicrotasks(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
  await new Promise((resolve) => setImmediate(resolve))
}

const rates = {
  input: picosPerUnit(3_000_000n), cache_read: picosPerUnit(300_000n),
  output: picosPerUnit(15_000_000n),
}
const row: PriceRow = {
  vendor: 'openai', model: 'sim-1', from: null, until: null,
  bands: [{ abovePromptTokens: -1, rates }], tiers: { standard: { numerator: 1n, denominator: 1n } },
  geos: {}, contextWindow: 100_000, maxOutputTokens: 4000, source: 'simulation', checked: '2026-01-01',
}
const priceBook: PriceBook = {
  version: 'sim', rows: [row], byName: new Map([['sim-1', [row]]]),
}

function rule(name: string, usd: string, more: Partial<BudgetRule> = {}): BudgetRule {
  return {
    id: makeId('bud', name), name, selector: {}, per: null, unit: 'usd',
    amount: parseUsd(usd) ?? assert.fail(), period: 'hour', timeZone: 'UTC', mode: 'enforce',
    owner: null, reviewEveryDays: null, origin: 'sim', ladder: [
      { label: '0.5', at: { numerator: 5n, denominator: 10n }, actions: [] },
      { label: '0.8', at: { numerator: 8n, denominator: 10n }, actions: [] },
      { label: '1.2', at: { numerator: 12n, denominator: 10n }, actions: [{ kind: 'hard_stop' }] },
    ],
    ...more,
  }
}

function snapshotOf(chance: () => number): Snapshot {
  const tight = (0.05 + chance() * 0.5).toFixed(3)
  const throttled: BudgetRule['ladder'] = [
    { label: '0.9', at: { numerator: 9n, denominator: 10n },
      actions: [{ kind: 'throttle', percent: 50 }] },
    { label: '1.2', at: { numerator: 12n, denominator: 10n }, actions: [{ kind: 'hard_stop' }] },
  ]
  return {
    version: 'sim', organization: 'sim', timeZone: 'UTC', environments: [], treeDeclared: false,
    tree: [], webhooks: [], notices: [], priceBook,
    providers: [{
      name: 'sim', kind: 'openai', baseUrl: 'http://provider.sim', credential: null,
      environments: null, models: [], free: false, retries: chance() < 0.5 ? 1 : 0,
    }],
    budgets: [
      rule('organization', '5.00', { period: 'day' }),
      rule('agent', tight, chance() < 0.3 ? { ladder: throttled } : {}),
      rule('user', '0.060', { per: 'user', period: 'minute' }),
      rule('calls', '0', { unit: 'calls', amount: 40n, period: 'hour' }),
    ],
    policy: {
      unpricedModel: 'deny', noBudget: 'allow', onTight: chance() < 0.5 ? 'clamp' : 'refuse',
      clampFloorTokens: 16, exposeAmounts: 'full', maxWaitMs: 2000, platformFeePercent: '0',
      ledgerUnavailableAllowance: nanos(0n),
    },
  }
}

/** Answers, refuses, hangs up, forgets its usage; and writes down what it will charge. */
class BillingProvider implements Upstream {
  readonly bill = new Map<string, bigint>()
  readonly #clock: Clock
  readonly #chance: () => number

  constructor(clock: Clock, chance: () => number) {
    this.#clock = clock
    this.#chance = chance
  }

  send(request: UpstreamRequest, listener: UpstreamListener) {
    let over = false
    let cut: (() => void) | null = null
    const end = (work: () => void): void => {
      if (over) return
      over = true
      work()
    }
    const play = async (): Promise<void> => {
      const fate = this.#chance()
      await this.#clock.sleep(Math.floor(this.#chance() * 3000))
      if (over) return
      if (fate < 0.05) {
        return end(() => listener.failed({ sent: false, reason: 'connect', detail: 'refused' }))
      }
      if (fate < 0.12) return end(() => this.#refuse(listener))
      const usage = this.#charge(request)
      if (fate < 0.17) {
        return end(() => listener.failed({ sent: true, reason: 'broken', detail: 'reset' }))
      }
      await this.#answer(request, listener, usage, fate, end, () => over)
    }
    void play()
    return {
      pause: () => {}, resume: () => {},
      abort: () => {
        cut?.()
        cut = null
        end(() => listener.failed({ sent: true, reason: 'aborted', detail: 'aborted' }))
      },
    }
  }

  #refuse(listener: UpstreamListener): void {
    listener.started(529, { 'content-type': 'application/json' })
    listener.data(Buffer.from('{"error":{"message":"busy"}}'))
    listener.ended()
  }

  /** From here on the provider charges, whatever becomes of the answer. */
  #charge(request: UpstreamRequest): { prompt: number; cached: number; output: number } {
    const body = JSON.parse(Buffer.from(request.body).toString()) as {
      max_completion_tokens?: number
      max_tokens?: number
    }
    const cap = body.max_completion_tokens ?? body.max_tokens ?? row.maxOutputTokens
    const prompt = 1 + Math.floor(this.#chance() * 60)
    const cached = Math.floor(this.#chance() * prompt)
    const output = 1 + Math.floor(this.#chance() * (cap - 1))
    const picos = BigInt(prompt - cached) * rates.input + BigInt(cached) * rates.cache_read +
      BigInt(output) * rates.output
    const attempt = request.headers['x-client-request-id'] ?? assert.fail('no attempt id')
    assert.ok(!this.bill.has(attempt), 'an attempt is sent once')
    this.bill.set(attempt, (picos + 999n) / 1000n)
    return { prompt, cached, output }
  }

  async #answer(
    request: UpstreamRequest, listener: UpstreamListener,
    usage: { prompt: number; cached: number; output: number }, fate: number,
    end: (work: () => void) => void, isOver: () => boolean,
  ): Promise<void> {
    const said = {
      prompt_tokens: usage.prompt, completion_tokens: usage.output,
      total_tokens: usage.prompt + usage.output,
      prompt_tokens_details: { cached_tokens: usage.cached },
    }
    const silent = fate < 0.25
    if (!Buffer.from(request.body).includes('"stream":true')) {
      const body = { id: 'x', model: 'sim-1', choices: [], ...(silent ? {} : { usage: said }) }
      return end(() => {
        listener.started(200, { 'content-type': 'application/json' })
        listener.data(Buffer.from(JSON.stringify(body)))
        listener.ended()
      })
    }
    listener.started(200, { 'content-type': 'text/event-stream' })
    const event = (value: unknown): Uint8Array => Buffer.from(`data: ${JSON.stringify(value)}\n\n`)
    for (let i = 0; i < 3; i += 1) {
      listener.data(event({ id: 'x', model: 'sim-1', choices: [{ delta: { content: 'a' } }] }))
      await this.#clock.sleep(Math.floor(this.#chance() * 40_000))
      if (isOver()) return
    }
    if (fate > 0.9) {
      return end(() => listener.failed({ sent: true, reason: 'broken', detail: 'cut' }))
    }
    end(() => {
      if (!silent) listener.data(event({ id: 'x', model: 'sim-1', choices: [], usage: said }))
      listener.data(Buffer.from('data: [DONE]\n\n'))
      listener.ended()
    })
  }

  async close(): Promise<void> {}
}

/** Fails before or after the commit, now and then: the caller cannot tell which. */
function shaky(store: Store, chance: () => number, faults: { on: boolean }): Pick<LedgerStore, 'run'> {
  return {
    run: async (command, now, rules) => {
      const fate = faults.on ? chance() : 1
      if (fate < 0.01) throw new StoreUnavailable('before the commit')
      const outcome = await store.run(command, now, rules)
      if (fate < 0.02) throw new StoreUnavailable('after the commit')
      return outcome
    },
  }
}

const key: VirtualKey = {
  id: 'key_sim', name: 'sim', hash: '', prefix: 'vk_sim', team: null, agent: 'agent',
  environment: null, tenant: null, user: null, createdAt: instant(0), createdBy: 'sim',
  expiresAt: null, revokedAt: null,
}

interface Tally {
  answered: number
  refused: number
  aborted: number
}

/** A caller that may hang up. After a crash nothing it does reaches anybody. */
function caller(clock: Clock, tally: Tally, abortAfterMs: number | null): Client {
  let gone = false
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
    get gone() { return gone },
    start: (status) => {
      if (status === 200) tally.answered += 1
      else tally.refused += 1
    },
    write: () => true,
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

/** Runs one seed on `store` and checks every promise, on the way and at rest. */
export async function simulate(seed: number, store: Store, calls = 60): Promise<Report> {
  const chance = generator(seed)
  // Just before an hour ends, so that calls and holds straddle periods.
  const clock = new VirtualClock(Date.UTC(2026, 9, 31, 22, 58, 30))
  const provider = new BillingProvider(clock, generator(seed + 1_000_003))
  const faults = { on: true }
  const flaky = shaky(store, generator(seed + 2_000_003), faults)
  const snapshot = snapshotOf(chance)
  const rules = rulesOf(snapshot)
  await store.adopt(snapshot.budgets, clock.now())
  let tokens = 0
  let epoch = 0
  const tally: Tally = { answered: 0, refused: 0, aborted: 0 }
  let crashes = 0

  /** A process: what it awaits dies with it, so a crashed one's calls into the world are mute. */
  const boot = (): Desk => {
    const own = ++epoch
    const alive = (): boolean => own === epoch
    const never = new Promise<never>(() => {})
    const deps: GatewayDeps = {
      clock: {
        now: () => clock.now(),
        sleep: async (ms, signal) => {
          await clock.sleep(ms, signal)
          if (!alive()) await never
        },
      },
      chance: { token: (n) => String(tokens++).padStart(n, '0'), fraction: chance },
      observe: (o) => {
        if (o.kind === 'unexpected') failures.push(new Error(`${o.where}: ${o.reason}`))
      },
      upstream: {
        send: (request, listener) => provider.send(request, {
          started: (s, h) => alive() && listener.started(s, h),
          data: (c) => alive() && listener.data(c),
          ended: () => alive() && listener.ended(),
          failed: (f) => alive() && listener.failed(f),
        }),
        close: async () => {},
      },
      store: {
        run: async (command, now, used) => {
          if (!alive()) await never
          const outcome = await flaky.run(command, now, used)
          return alive() ? outcome : never
        },
      },
      balances: store, snapshot: () => snapshot, findKey: () => key,
      limits: { ...usualLimits, drainMs: 30_000, holdMs: 600_000 },
    }
    return { deps, books: new Books(deps), waiting: { count: 0 }, drains: { count: 0 } }
  }
  const failures: Error[] = []
  let desk = boot()
  let open = 0
  const one = async (i: number): Promise<void> => {
    await clock.sleep(Math.floor(chance() * 120_000))
    const stream = chance() < 0.5
    const body = JSON.stringify({
      model: 'sim-1', messages: [{ role: 'user', content: 'x'.repeat(60) }],
      ...(stream ? { stream: true } : {}), ...(chance() < 0.7 ? { max_tokens: 400 } : {}),
    })
    const abort = chance() < 0.15 ? Math.floor(chance() * 20_000) : null
    const mine = epoch
    const headers = { 'bursar-user': [`user-${i % 5}`] , authorization: ['Bearer vk_x'] }
    const endpoint = {
      dialect: 'openai' as const, operation: 'chat' as const, pathModel: null, pathStream: false,
      upstreamPath: '/v1/chat/completions', query: '',
    }
    const request = { method: 'POST', target: '/v1/chat/completions', headers, body: Buffer.from(body) }
    const client = caller(clock, tally, abort)
    // A crash leaves its calls without an end: they count as done when their process is gone.
    await Promise.race([
      serveCall(desk, endpoint, request, client),
      gone(clock, () => epoch !== mine),
    ])
    await check(store, snapshot)
  }
  for (let i = 0; i < calls; i += 1) {
    open += 1
    one(i).catch((error: unknown) => failures.push(asError(error))).finally(() => {
      open -= 1
    })
  }
  const crash = async (): Promise<void> => {
    await clock.sleep(20_000 + Math.floor(chance() * 90_000))
    if (chance() < 0.6) {
      crashes += 1
      desk = boot()
      await expireHolds({ clock, observe: () => {}, store, rules: () => rules },
        instant(Number.MAX_SAFE_INTEGER))
    }
    if (chance() < 0.3) clock.jump(Math.floor((chance() - 0.3) * 3_600_000))
  }
  open += 1
  crash().catch((error: unknown) => failures.push(asError(error))).finally(() => {
    open -= 1
  })
  await clock.run(() => open === 0)
  faults.on = false
  await clock.run(() => desk.books.unsettled === 0 && desk.drains.count >= 0)
  const presumed = await atRest(clock, store, snapshot, provider.bill, failures)
  if (failures[0] !== undefined) throw failures[0]
  return {
    ...tally, crashes, presumed,
    billed: formatUsd(nanos([...provider.bill.values()].reduce((a, b) => a + b, 0n))),
    entries: (await store.entries(0, 1_000_000)).length,
  }
}

async function gone(clock: Clock, isGone: () => boolean): Promise<void> {
  for (let i = 0; i < 2000 && !isGone(); i += 1) await clock.sleep(1000)
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}

/** After every call: balances are the fold of the entries, and no hold ever passed a hard limit. */
async function check(store: Store, snapshot: Snapshot): Promise<void> {
  const entries = await store.entries(0, 1_000_000)
  const balances = fold(entries)
  for (const [account, { posted, pending }] of balances) {
    const kept = await store.account(account)
    assert.ok(kept !== null, `no account ${account}`)
    assert.equal(kept.posted, posted, 'posted is the fold of its entries')
    assert.equal(kept.pending, pending, 'pending is the fold of its entries')
    assert.ok(pending >= 0n, 'pending is never negative')
  }
  withinLimits(entries, snapshot)
}

function withinLimits(entries: readonly LedgerEntry[], snapshot: Snapshot): void {
  const used = new Map<string, bigint>()
  for (const { kind, lines } of entries) {
    for (const { account, posted, pending } of lines) {
      const now = (used.get(account) ?? 0n) + posted + pending
      used.set(account, now)
      const budget = snapshot.budgets.find(({ id }) => account.startsWith(`${id}|`))
      const limit = budget === undefined ? null : hardLimit(budget)
      if (kind === 'hold' && limit !== null) {
        assert.ok(now <= limit, `a hold passed the limit of ${account}: ${now} > ${limit}`)
      }
    }
  }
}

/** Faults are over: nothing is pending, and the ledger is the provider's bill to the nano-dollar. */
async function atRest(
  clock: VirtualClock, store: Store, snapshot: Snapshot, bill: ReadonlyMap<string, bigint>,
  failures: Error[],
): Promise<number> {
  const rules = rulesOf(snapshot)
  // What no process will ever end is presumed spent; the bill then says what it was.
  await expireHolds({ clock, observe: () => {}, store, rules: () => rules },
    instant(Number.MAX_SAFE_INTEGER))
  await check(store, snapshot)
  const holds = await store.recentHolds(100_000)
  for (const hold of holds) checkEnd(hold, bill, failures)
  const presumed = holds.filter(({ basis }) => basis === 'presumed')
  for (const { id } of presumed) {
    const cost = nanos(bill.get(id) ?? 0n)
    await store.run({ kind: 'adjust', hold: id, cost, reason: 'the bill', author: 'sim' },
      clock.now(), rules)
  }
  const total = [...bill.values()].reduce((sum, cost) => sum + cost, 0n)
  const after = await store.recentHolds(100_000)
  assert.equal(after.reduce((sum, { cost }) => sum + (cost ?? 0n), 0n), total, 'ledger is bill')
  const entries = await store.entries(0, 1_000_000)
  const organization = [...fold(entries)].filter(([account]) => account.startsWith('bud_organization'))
  assert.equal(organization.reduce((sum, [, { posted }]) => sum + posted, 0n), total,
    'the organization has paid the bill')
  assert.equal(await store.openHolds(), 0, 'no hold outlives its call')
  return presumed.length
}

function checkEnd(hold: Hold, bill: ReadonlyMap<string, bigint>, failures: Error[]): void {
  const billed = bill.get(hold.id) ?? 0n
  const recorded = hold.cost ?? 0n
  if (hold.basis === 'actual' && recorded !== billed) {
    failures.push(new Error(`${hold.id} recorded ${recorded}, was billed ${billed}`))
  }
  if (recorded < billed) failures.push(new Error(`${hold.id} recorded less than was billed`))
  if (hold.state === 'pending') failures.push(new Error(`${hold.id} is still pending`))
}
