/** Replicas die and the database falls over, again and again, and nobody is told a wrong thing. */
import { Client } from 'pg'
import { expect, test, vi } from 'vitest'
import { instant } from '#core/time.ts'
import { expireHolds } from '#jobs/holds.ts'
import { inspectPostgres } from '#store/postgres/inspect.ts'
import { PostgresStore } from '#store/postgres/store.ts'
import { systemClock } from '#system/clock.ts'
import { generator } from '#test/sim/clock.ts'
import { type Acknowledged, examine, load } from '#test/support/acknowledged.ts'
import { type Child, makeKey, newSite, type Site } from '#test/support/child.ts'
import { type Postgres, startPostgres } from '#test/support/postgres.ts'
import { startReplica } from '#test/support/replicas.ts'

const [kills, crashes] = process.env.BURSAR_LONG === '1' ? [1000, 200] : [100, 20]
vi.setConfig({ testTimeout: kills * 9000 })
const users = 150
/** Each user's day is soon used up: then what is admitted is decided by the last nano-dollar. */
const config = `budgets:
  - { name: all, budget_yearly_usd: 1000000 }
  - { name: each, per: user, budget_daily_usd: 0.002, alerts: [{ threshold: 1.0, action: hard_stop }] }
policy: { on_tight: refuse }
`
const chance = generator(20_261_127)

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms))
}

/** The database may fall over just when it starts: then it ends, and is started again. */
async function started(site: Site, url: string, no: number): Promise<Child> {
  for (;;) {
    const child = await startReplica(site, url, no).catch(() => null)
    if (child !== null) return child
  }
}

/** As an auditor beside it all: is any balance beyond its limit, at this instant? */
async function watchLimits(url: string, isOver: () => boolean): Promise<[number, unknown[]]> {
  let seen = 0
  const beyond: unknown[] = []
  while (!isOver()) {
    const client = new Client({ connectionString: url })
    client.on('error', () => {})
    try {
      await client.connect()
      while (!isOver()) {
        const { rows } = await client.query(
          'select * from bursar.account where posted + pending > amount',
        )
        beyond.push(...rows)
        seen += 1
        await pause(2)
      }
    } catch {
      // The database fell over: look again when it is back.
      await pause(20)
    }
    await client.end().catch(() => {})
  }
  return [seen, beyond]
}

async function crashNowAndThen(postgres: Postgres, isOver: () => boolean): Promise<number> {
  let count = 0
  while (count < crashes) {
    await pause(isOver() ? 300 : 500 + chance() * 1000)
    await postgres.crash()
    await pause(chance() * 200)
    await postgres.start()
    count += 1
  }
  return count
}

test(`${kills} kills of replicas, ${crashes} crashes of PostgreSQL: nothing lost, none passed`, async () => {
  await using postgres = await startPostgres()
  await using site = await newSite(config)
  const url = await postgres.database()
  const acknowledged: Acknowledged = new Map()
  const first = await startReplica(site, url, 0)
  const key = await makeKey(first)
  await first.kill()

  let killed = 0
  let over = false
  const isOver = (): boolean => over
  const user = (): Record<string, string> => ({
    'bursar-user': `user-${Math.floor(chance() * users)}`,
  })
  const life = async (no: number): Promise<void> => {
    while (killed < kills) {
      await using child = await started(site, url, no)
      const loading = load(child, key, acknowledged, user)
      await pause(100 + chance() * 700)
      killed += 1
      await child.kill()
      await loading
    }
  }
  const watching = watchLimits(url, isOver)
  const crashing = crashNowAndThen(postgres, isOver)
  const [crashed] = await Promise.all([crashing, life(0), life(1), life(2)])
  expect(crashed).toBe(crashes)
  over = true
  const [seen, beyond] = await watching
  expect(beyond).toEqual([])
  expect(seen).toBeGreaterThan(500)

  const store = await PostgresStore.open({ url })
  try {
    // Time passes: what the dead left open is presumed.
    const deps = { clock: systemClock, observe: () => {}, store, rules: () => () => null }
    await expireHolds(deps, instant(Number.MAX_SAFE_INTEGER))
    const full = (await store.accountsAt(systemClock.now())).filter(
      (a) => a.value !== null && a.posted * 10n > a.amount * 9n,
    )
    process.stdout.write(
      `killed: ${acknowledged.size} acknowledged, seen ${seen}, full ${full.length}\n`,
    )
    const found = await examine(store, site.simulator, acknowledged)
    expect(acknowledged.size).toBeGreaterThan(kills)
    expect(found).toMatchObject({ lost: [], wrong: [], under: [], unheld: [] })
    expect(found.presumed).toBeGreaterThan(0)
    expect(await inspectPostgres(url)).toMatchObject({ findings: [], openHolds: 0 })
  } finally {
    await store.close()
  }
})
