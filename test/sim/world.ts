/**
 * A small world in one thread: virtual time, one seeded generator, and the real gateway between a
 * crowd of callers and a provider that keeps its own bill. One seed is one run, on every store.
 */
import { strict as assert } from 'node:assert'
import type { BudgetRule } from '#core/budget.ts'
import type { VirtualKey } from '#core/key.ts'
import { formatUsd, nanos, parseUsd } from '#core/money.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { instant } from '#core/time.ts'
import { Books, rulesOf } from '#gateway/books.ts'
import { type GatewayDeps, usualLimits } from '#gateway/deps.ts'
import { Replays } from '#gateway/replays.ts'
import { type Desk, serveCall } from '#gateway/serve.ts'
import { expireHolds } from '#jobs/holds.ts'
import { makeId } from '#lib/id.ts'
import type { Client } from '#ports/client.ts'
import type { Clock } from '#ports/clock.ts'
import { type LedgerStore, type Store, StoreUnavailable } from '#ports/store.ts'
import { atRest, check } from './checks.ts'
import { generator, VirtualClock } from './clock.ts'
import { BillingProvider, priceBook } from './provider.ts'

export interface Report {
  readonly answered: number
  readonly refused: number
  readonly aborted: number
  readonly crashes: number
  readonly presumed: number
  readonly billed: string
  readonly entries: number
}

function rule(name: string, usd: string, more: Partial<BudgetRule> = {}): BudgetRule {
  return {
    id: makeId('bud', name),
    name,
    selector: {},
    per: null,
    unit: 'usd',
    amount: parseUsd(usd) ?? assert.fail(),
    period: 'hour',
    timeZone: 'UTC',
    mode: 'enforce',
    owner: null,
    reviewEveryDays: null,
    origin: 'sim',
    ladder: [
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
    {
      label: '0.9',
      at: { numerator: 9n, denominator: 10n },
      actions: [{ kind: 'throttle', percent: 50 }],
    },
    { label: '1.2', at: { numerator: 12n, denominator: 10n }, actions: [{ kind: 'hard_stop' }] },
  ]
  return {
    version: 'sim',
    organization: 'sim',
    timeZone: 'UTC',
    environments: [],
    treeDeclared: false,
    tree: [],
    webhooks: [],
    notices: [],
    priceBook,
    providers: [
      {
        name: 'sim',
        kind: 'openai',
        baseUrl: 'http://provider.sim',
        credential: null,
        environments: null,
        models: [],
        free: false,
        retries: chance() < 0.5 ? 1 : 0,
      },
    ],
    budgets: [
      rule('organization', '5.00', { period: 'day' }),
      rule('agent', tight, chance() < 0.3 ? { ladder: throttled } : {}),
      rule('user', '0.060', { per: 'user', period: 'minute' }),
      rule('calls', '0', { unit: 'calls', amount: 40n, period: 'hour' }),
    ],
    policy: {
      unpricedModel: 'deny',
      noBudget: 'allow',
      onTight: chance() < 0.5 ? 'clamp' : 'refuse',
      clampFloorTokens: 16,
      exposeAmounts: 'full',
      maxWaitMs: 2000,
      platformFeePercent: '0',
      ledgerUnavailableAllowance: nanos(0n),
    },
  }
}

/** Fails before or after the commit, now and then: the caller cannot tell which. */
function shaky(
  store: Store,
  clock: Clock,
  chance: () => number,
  faults: { on: boolean },
): Pick<LedgerStore, 'run'> {
  return {
    run: async (command, now, rules) => {
      const fate = faults.on ? chance() : 1
      if (fate < 0.01) throw new StoreUnavailable('before the commit')
      // A commit takes a millisecond of virtual time, however a store's own turns fall.
      const [outcome] = await Promise.all([store.run(command, now, rules), clock.sleep(1)])
      if (fate < 0.02) throw new StoreUnavailable('after the commit')
      return outcome
    },
  }
}

const key: VirtualKey = {
  id: 'key_sim',
  name: 'sim',
  hash: '',
  prefix: 'vk_sim',
  team: null,
  agent: 'agent',
  environment: null,
  tenant: null,
  user: null,
  createdAt: instant(0),
  createdBy: 'sim',
  expiresAt: null,
  revokedAt: null,
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
    get gone() {
      return gone
    },
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
  const flaky = shaky(store, clock, generator(seed + 2_000_003), faults)
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
        send: (request, listener) =>
          provider.send(request, {
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
      balances: store,
      snapshot: () => snapshot,
      findKey: () => key,
      limits: { ...usualLimits, drainMs: 30_000, holdMs: 600_000 },
    }
    return {
      deps,
      books: new Books(deps),
      replays: new Replays(),
      waiting: { count: 0 },
      drains: { count: 0 },
    }
  }
  const failures: Error[] = []
  let desk = boot()
  let open = 0
  let changed = false
  const checkChanged = async (): Promise<void> => {
    if (!changed) return
    changed = false
    await check(store, snapshot)
  }
  const one = async (i: number): Promise<void> => {
    await clock.sleep(Math.floor(chance() * 120_000))
    const stream = chance() < 0.5
    const body = JSON.stringify({
      model: 'sim-1',
      messages: [{ role: 'user', content: 'x'.repeat(60) }],
      ...(stream ? { stream: true } : {}),
      ...(chance() < 0.7 ? { max_tokens: 400 } : {}),
    })
    const abort = chance() < 0.15 ? Math.floor(chance() * 20_000) : null
    const mine = epoch
    const headers = { 'bursar-user': [`user-${i % 5}`], authorization: ['Bearer vk_x'] }
    const endpoint = {
      dialect: 'openai' as const,
      operation: 'chat' as const,
      pathModel: null,
      pathStream: false,
      upstreamPath: '/v1/chat/completions',
      query: '',
    }
    const request = {
      method: 'POST',
      target: '/v1/chat/completions',
      headers,
      body: Buffer.from(body),
    }
    const client = caller(clock, tally, abort)
    // A crash leaves its calls without an end: they count as done when their process is gone.
    await Promise.race([
      serveCall(desk, endpoint, request, client),
      gone(clock, () => epoch !== mine),
    ])
    changed = true
  }
  for (let i = 0; i < calls; i += 1) {
    open += 1
    one(i)
      .catch((error: unknown) => failures.push(asError(error)))
      .finally(() => {
        open -= 1
      })
  }
  const crash = async (): Promise<void> => {
    await clock.sleep(20_000 + Math.floor(chance() * 90_000))
    if (chance() < 0.6) {
      crashes += 1
      desk = boot()
      await expireHolds(
        { clock, observe: () => {}, store, rules: () => rules },
        instant(Number.MAX_SAFE_INTEGER),
      )
    }
    if (chance() < 0.3) clock.jump(Math.floor((chance() - 0.3) * 3_600_000))
  }
  open += 1
  crash()
    .catch((error: unknown) => failures.push(asError(error)))
    .finally(() => {
      open -= 1
    })
  await clock.run(() => open === 0, checkChanged)
  faults.on = false
  await clock.run(() => desk.books.unsettled === 0 && desk.drains.count >= 0)
  const presumed = await atRest(clock, store, snapshot, provider.bill, failures)
  if (failures[0] !== undefined) throw failures[0]
  return {
    ...tally,
    crashes,
    presumed,
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
