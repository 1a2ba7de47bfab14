import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { periodAt } from '#core/time.ts'
import type { Alert } from '#core/alert.ts'
import type { VirtualKey } from '#core/key.ts'
import { nanos } from '#core/money.ts'
import { instant } from '#core/time.ts'
import { MemoryStore } from '#store/memory.ts'
import type { Store } from '#ports/store.ts'
import { PostgresStore } from '#store/postgres/store.ts'
import { inspect } from '#store/sqlite-inspect.ts'
import { SqliteStore } from '#store/sqlite.ts'
import { holdId, holdOf, nobody, ruleOf, start } from '#test/support/ledger.ts'
import { debianPostgres, type Postgres, startPostgres } from '#test/support/postgres.ts'
import { ledgerStoreConformance } from './ledger-store.ts'

const folder = mkdtempSync(join(tmpdir(), 'bursar-store-'))
let files = 0
const fresh = (): string => join(folder, `${++files}.db`)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** The package's, and Debian's where it is installed. */
const servers = new Map<string, Postgres>()
const debian = debianPostgres()
const bins = new Map([
  ['postgres', {}],
  ...(debian === null ? [] : [['postgres of Debian', { bin: debian }] as const]),
])
beforeAll(async () => {
  for (const [kind, options] of bins) servers.set(kind, await startPostgres(options))
})
afterAll(async () => {
  for (const server of servers.values()) await server[Symbol.asyncDispose]()
})
const onPostgres = async (kind: string): Promise<Store> => {
  const server = servers.get(kind)
  if (server === undefined) throw new Error(`${kind} did not start`)
  return PostgresStore.open({ url: await server.database() })
}

const stores: Readonly<Record<string, () => Promise<Store>>> = {
  memory: async () => new MemoryStore(),
  'sqlite in memory': async () => new SqliteStore({ path: ':memory:' }),
  'sqlite in a file': async () => new SqliteStore({ path: fresh() }),
  ...Object.fromEntries([...bins.keys()].map((kind) => [kind, () => onPostgres(kind)])),
}
const kinds = Object.entries(stores)

for (const [kind, make] of kinds) ledgerStoreConformance(kind, make)

const at = instant(1_800_000_000_000)
const key: VirtualKey = {
  id: 'key_1',
  name: 'k',
  hash: 'h',
  prefix: 'vk_',
  team: null,
  agent: 'a',
  environment: null,
  tenant: null,
  user: '12n',
  createdAt: at,
  createdBy: 'x',
  expiresAt: null,
  revokedAt: null,
}
const audit = {
  id: 'aud_1',
  at,
  actor: 'x',
  action: 'key.created',
  subject: 'key_1',
  reason: null,
  before: null,
  after: { n: 1 },
} as const

test.each(kinds)('%s: keys, audit rows and their order', async (_kind, make) => {
  const store = await make()
  await store.change({ kind: 'put_key', key }, audit)
  await store.change({ kind: 'note' }, { ...audit, id: 'aud_2', action: 'second' })
  expect(await store.keys()).toEqual([key])
  expect(await store.keyByHash('h')).toEqual(key)
  expect(await store.keyByHash('other')).toBeNull()
  expect((await store.audit(10)).map(({ action }) => action)).toEqual(['second', 'key.created'])
  await store.close()
})

test.each(kinds)('%s: records of the control plane', async (_kind, make) => {
  const store = await make()
  const freeze = { kind: 'freeze', id: 'team=support', value: { since: 1n, by: 'kim' } } as const
  await store.change({ kind: 'put_record', record: freeze }, audit)
  await store.putRecord({ kind: 'freeze', id: 'agent=a', value: { by: 'lee' } })
  await store.putRecord({ kind: 'review', id: 'agent=a', value: 1 })
  await store.putRecord({ ...freeze, value: { since: 2n, by: 'kim' } })
  expect((await store.records('freeze')).map(({ id, value }) => [id, value])).toEqual([
    ['team=support', { since: 2n, by: 'kim' }],
    ['agent=a', { by: 'lee' }],
  ])
  await store.putRecord({ ...freeze, value: null })
  expect(await store.record('freeze', freeze.id)).toBeNull()
  expect(await store.records('freeze')).toHaveLength(1)
  expect(await store.record('review', 'agent=a')).toEqual({
    kind: 'review',
    id: 'agent=a',
    value: 1,
  })
  expect(await store.audit(10)).toHaveLength(1)
  await store.close()
})

test.each(kinds)('%s: an alert raised twice is one', async (_kind, make) => {
  const store = await make()
  const alert: Alert = {
    id: 'alrt_1',
    kind: 'forecast',
    account: 'bud_x|0' as Alert['account'],
    budget: 'bud_x',
    value: null,
    unit: 'usd',
    threshold: '1.0',
    actions: [],
    at,
    amount: 10n,
    posted: 6n,
    overage: 0n,
    hold: null,
    periodEnd: at,
    details: { on: 'the 19th' },
  }
  await store.raise(alert)
  await store.raise({ ...alert, posted: 7n })
  expect(await store.alerts(10)).toEqual([alert])
  expect(await store.unrouted(10)).toEqual([alert])
  await store.close()
})

test.each(kinds)('%s: the outbox', async (_kind, make) => {
  const store = await make()
  const rule = {
    id: 'bud_x' as const,
    name: 'x',
    selector: {},
    per: null,
    unit: 'usd' as const,
    amount: 10n,
    period: 'day' as const,
    timeZone: 'UTC',
    mode: 'enforce' as const,
    owner: null,
    reviewEveryDays: null,
    origin: '',
    ladder: [
      {
        label: '0.5',
        at: { numerator: 1n, denominator: 2n },
        actions: [{ kind: 'notify' as const, channel: 'owner' as const, name: null }],
      },
    ],
  }
  const rules = (): typeof rule => rule
  await store.run(
    {
      kind: 'hold',
      hold: 'hold_1',
      call: 'call_1',
      accounts: [{ rule, value: null }],
      attribution: nobody,
      conversation: null,
      marks: [],
      expiresAt: instant(at + 1000),
      facts: {},
      asking: {
        fixedPicos: 6000n,
        picosPerOutputToken: 0n,
        outputCap: 0,
        outputCapFloor: 0,
        fixedTokens: 1,
        tokensPerCap: 0,
      },
    },
    at,
    rules,
  )
  await store.run(
    {
      kind: 'settle',
      hold: 'hold_1',
      cost: nanos(6n),
      tokens: 1,
      basis: 'actual',
      facts: {},
    },
    at,
    rules,
  )
  const [alert] = (await store.unrouted(10)) as [Alert]
  expect(alert).toMatchObject({ threshold: '0.5', posted: 6n, amount: 10n })
  expect(alert.periodEnd).toBe(periodAt('day', 'UTC', at).end)
  const waiting = {
    alert: alert.id,
    channel: 'slack',
    state: 'waiting' as const,
    attempts: 0,
    nextAt: at,
    lastError: null,
  }
  await store.route(alert.id, [waiting])
  expect(await store.unrouted(10)).toEqual([])
  const until = instant(at + 1000)
  const take = (now: number, next: number) =>
    store.takeDue(instant(now), 10, instant(next), 'slack')
  expect(await take(at - 1, until)).toEqual([])
  expect(await store.dueChannels(instant(at - 1))).toEqual([])
  expect(await store.dueChannels(at)).toEqual(['slack'])
  expect(await store.takeDue(at, 10, until, 'teams')).toEqual([])
  expect(await take(at, until)).toEqual([{ ...waiting, nextAt: until, of: alert }])
  // Who took it has it, until it must be gone.
  expect(await take(at, until)).toEqual([])
  expect(await store.dueChannels(at)).toEqual([])
  expect(await take(until, at + 2000)).toMatchObject([{ alert: alert.id }])
  await store.saveNotification({ ...waiting, state: 'delivered', attempts: 1 })
  expect(await take(at + 9000, at + 10_000)).toEqual([])
  // Routed again, as another process may, it is not sent again.
  await store.route(alert.id, [waiting])
  expect(await store.notifications(10)).toMatchObject([{ state: 'delivered', attempts: 1 }])
  await store.close()
})

test.each(kinds)('%s: a lease has one holder', async (_kind, make) => {
  const store = await make()
  const lease = (holder: string, now: number, until: number) =>
    store.lease('channel slack', holder, instant(at + now), instant(at + until))
  const first = await Promise.all(['a', 'b', 'c'].map((holder) => lease(holder, 0, 100)))
  expect(first.filter((had) => had)).toHaveLength(1)
  const [had = ''] = ['a', 'b', 'c'].filter((_, i) => first[i])
  const [other = ''] = ['a', 'b', 'c'].filter((_, i) => !first[i])
  expect(await lease(other, 99, 200)).toBe(false)
  expect(await store.lease('channel teams', other, at, instant(at + 100))).toBe(true)
  // It is prolonged by its holder, given back, and runs out by itself.
  expect(await lease(had, 50, 150)).toBe(true)
  expect(await lease(other, 149, 200)).toBe(false)
  expect(await lease(had, 120, 120)).toBe(true)
  expect(await lease(other, 121, 200)).toBe(true)
  expect(await lease(had, 201, 300)).toBe(true)
  expect(await store.records('thread')).toEqual([])
  await store.close()
})

test.each(kinds)('%s: a change sent again with its audit row is made once', async (_kind, make) => {
  const store = await make()
  for (let times = 0; times < 2; times += 1) await store.change({ kind: 'put_key', key }, audit)
  expect((await store.audit(10)).map(({ id }) => id)).toEqual(['aud_1'])
  const other = store.change({ kind: 'note' }, { ...audit, action: 'again' })
  await expect(other).rejects.toThrow()
  expect(await store.auditLinks(0, 10)).toHaveLength(1)
  await store.close()
})

test.each(kinds)('%s: a refused hold says where its run comes from, once', async (_kind, make) => {
  const store = await make()
  const rule = ruleOf('deny', { amount: 0n })
  await store.adopt([rule], start)
  const refused = async (no: number, value: string): Promise<void> => {
    const hold = { ...holdOf(no), accounts: [{ rule, value: null }] }
    const said = { ...hold, marks: [{ id: 'run|r@@', value }] }
    const { result } = await store.run(said, start, () => rule)
    expect(result.status).toBe('limit_exceeded')
  }
  await refused(1, 'first')
  await refused(2, 'second')
  expect(await store.mark('run|r@@')).toBe('first')
  expect(await store.hold(holdId(1))).toBeNull()
  await store.close()
})

const durable = kinds.filter(([kind]) => kind !== 'memory')
test.each(durable)('%s: a write that fails takes none beside it along', async (_kind, make) => {
  const store = await make()
  await store.change({ kind: 'note' }, audit)
  const [broken, sound] = await Promise.allSettled([
    store.change({ kind: 'note' }, { ...audit, action: 'again' }),
    store.change({ kind: 'put_key', key }, { ...audit, id: 'aud_2' }),
  ])
  expect([broken.status, sound.status]).toEqual(['rejected', 'fulfilled'])
  expect(await store.keys()).toEqual([key])
  expect((await store.audit(10)).map(({ id }) => id)).toEqual(['aud_2', 'aud_1'])
  await store.close()
})

test('a second process is told who is in the way', async () => {
  const path = fresh()
  const store = new SqliteStore({ path })
  expect(() => new SqliteStore({ path })).toThrow(/another Bursar is using/)
  await store.close()
  await new SqliteStore({ path }).close()
})

test('a file of a newer version is refused, not guessed at', async () => {
  const path = fresh()
  await new SqliteStore({ path }).close()
  const db = new DatabaseSync(path)
  db.exec('pragma user_version = 99')
  db.close()
  expect(() => new SqliteStore({ path })).toThrow(/^the ledger was written by a newer Bursar/)
  await expect(inspect(path)).rejects.toThrow(/newer Bursar/)
})

test('entries and audit rows cannot be changed or removed', async () => {
  const path = fresh()
  const store = new SqliteStore({ path })
  await store.change({ kind: 'note' }, audit)
  await store.close()
  const db = new DatabaseSync(path)
  expect(() => db.exec("update audit set json = '{}'")).toThrow(/immutable/)
  expect(() => db.exec('delete from audit')).toThrow(/immutable/)
  expect(() =>
    db.exec("insert into entry values (1, 'hold', null, 0, '', 0, null, null)"),
  ).not.toThrow()
  expect(() => db.exec('delete from entry')).toThrow(/immutable/)
  db.close()
})
