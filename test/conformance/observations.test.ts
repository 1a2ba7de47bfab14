/** Observed calls on every store: once each, and not beside the gateway's own. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { HoldCommand } from '#core/journal.ts'
import { nanos } from '#core/money.ts'
import type { ObservedCall } from '#core/observed.ts'
import { instant } from '#core/time.ts'
import { makeId } from '#lib/id.ts'
import type { Store } from '#ports/store.ts'
import { MemoryStore } from '#store/memory.ts'
import { moveIn } from '#store/postgres/move-in.ts'
import { PostgresStore } from '#store/postgres/store.ts'
import { SqliteStore } from '#store/sqlite.ts'
import { nobody } from '#test/support/ledger.ts'
import { type Postgres, startPostgres } from '#test/support/postgres.ts'

const folder = mkdtempSync(join(tmpdir(), 'bursar-observed-'))
let postgres: Postgres
beforeAll(async () => {
  postgres = await startPostgres()
})
afterAll(async () => {
  await postgres[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

/** A store, and how it is opened again; memory forgets, so it is only itself. */
interface Made {
  readonly store: Store
  again(): Promise<Store>
}

let files = 0
const kinds: Readonly<Record<string, () => Promise<Made>>> = {
  memory: async () => {
    const store = new MemoryStore()
    return { store, again: async () => store }
  },
  sqlite: async () => {
    const path = join(folder, `${++files}.db`)
    const store = new SqliteStore({ path })
    return {
      store,
      again: async () => {
        await store.close()
        return new SqliteStore({ path })
      },
    }
  },
  postgres: async () => {
    const url = await postgres.database()
    const store = await PostgresStore.open({ url })
    return {
      store,
      again: async () => {
        await store.close()
        return PostgresStore.open({ url })
      },
    }
  },
}
const stores = Object.entries(kinds)

const at = instant(1_800_000_000_000)
const call = (id: string, more: Partial<ObservedCall> = {}): ObservedCall => ({
  id,
  response: null,
  at,
  endedAt: instant(at + 2000),
  seenAt: instant(at + 5000),
  attribution: { ...nobody, team: 'support', agent: 'a', provider: 'openai', model: 'm' },
  tokens: 100,
  cost: nanos(5000n),
  facts: { dialect: 'semconv' },
  ...more,
})
const query = { from: instant(0), to: instant(at * 2), daily: false, by: [] } as const

async function totals(store: Store) {
  const [row] = await store.observed(query)
  if (row === undefined) return null
  const { calls, tokens, cost, unpriced, duplicates } = row
  return { calls, tokens, cost, unpriced, duplicates }
}

const holdOf = (id: string, madeAt = at): HoldCommand => ({
  kind: 'hold',
  hold: makeId('hold', `${id}-0`),
  call: makeId('call', id),
  attribution: { ...nobody, agent: 'a' },
  accounts: [],
  conversation: null,
  marks: [],
  asking: {
    fixedPicos: 1000n,
    picosPerOutputToken: 0n,
    outputCap: 1,
    outputCapFloor: 1,
    fixedTokens: 1,
    tokensPerCap: 0,
  },
  expiresAt: instant(madeAt + 60_000),
  facts: {},
})

async function settle(store: Store, id: string, facts: Readonly<Record<string, unknown>>) {
  await store.run(
    {
      kind: 'settle',
      hold: makeId('hold', `${id}-0`),
      cost: nanos(7n),
      tokens: 3,
      basis: 'actual',
      facts,
    },
    instant(at + 1000),
    () => null,
  )
}

test.each(stores)('%s: nothing was observed', async (_kind, make) => {
  const { store } = await make()
  expect(await store.observed(query)).toEqual([])
  await store.close()
})

test.each(stores)('%s: the same record counts once, also after a restart', async (_kind, make) => {
  const { store, again } = await make()
  await store.observe([call('span:1'), call('span:1'), call('span:2', { cost: null })])
  await store.observe([call('span:1')])
  const once = { calls: 2n, tokens: 200n, cost: 5000n, unpriced: 1n, duplicates: 0n }
  expect(await totals(store)).toEqual(once)
  const reopened = await again()
  await reopened.observe([call('span:2', { cost: null }), call('span:1')])
  expect(await totals(reopened)).toEqual(once)
  await reopened.close()
})

test.each(stores)('%s: two records of one answer count once', async (_kind, make) => {
  const { store, again } = await make()
  const response = 'msg_1'
  await store.observe([call('span:1', { response }), call('span:2', { response })])
  const reopened = await again()
  await reopened.observe([call('log:3', { response })])
  expect(await totals(reopened)).toMatchObject({ calls: 1n, cost: 5000n, duplicates: 2n })
  await reopened.close()
})

test.each(stores)('%s: at the same time, the same answer counts once', async (_kind, make) => {
  const { store } = await make()
  const ids = Array.from({ length: 20 }, (_, i) => `span:${i}`)
  await Promise.all(ids.map((id) => store.observe([call(id, { response: 'msg_1' })])))
  expect(await totals(store)).toMatchObject({ calls: 1n, tokens: 100n })
  await store.close()
})

test.each(stores)('%s: what the gateway made is not counted again', async (_kind, make) => {
  const { store } = await make()
  for (const id of ['1', '2', '3', '4']) await store.run(holdOf(id), at, () => null)
  await settle(store, '1', { responseId: 'msg_1' })
  await settle(store, '2', { requestId: 'req_2', oddities: ['a \u0000 "responseId":"msg_x"'] })
  await settle(store, '3', {})
  await store.observe([
    call('span:1', { response: 'msg_1' }),
    call('log:2', { response: 'req_2' }),
    call('span:3', { response: 'call_3' }),
    call('span:4', { response: 'msg_4' }),
    call('span:5', { response: 'msg_x' }),
  ])
  expect(await totals(store)).toMatchObject({ calls: 2n, duplicates: 3n })

  // Telemetry was faster than the ledger.
  await settle(store, '4', { responseId: 'msg_4' })
  expect(await store.settleObserved(at)).toBe(1)
  expect(await store.settleObserved(at)).toBe(0)
  expect(await totals(store)).toMatchObject({ calls: 1n, cost: 5000n, duplicates: 4n })
  await store.close()
})

test.each(stores)('%s: the ledger is as it was', async (_kind, make) => {
  const { store } = await make()
  await store.observe([call('span:1'), call('span:2')])
  expect(await store.entries(0, 10)).toEqual([])
  expect(await store.accountsAt(at)).toEqual([])
  expect(await store.spend(query)).toEqual([])
  expect(await store.recentHolds(10)).toEqual([])
  await store.close()
})

test.each(stores)('%s: groups, days and an open end', async (_kind, make) => {
  const { store } = await make()
  const day = 86_400_000
  const other = { ...call('x').attribution, model: 'n', team: null }
  await store.observe([
    call('span:1'),
    call('span:2', { at: instant(at + day), cost: nanos(9000n) }),
    call('span:3', { attribution: other, cost: nanos(1n) }),
  ])
  const rows = await store.observed({ ...query, daily: true, by: ['model', 'team'] })
  expect(rows.map(({ scope, calls, cost }) => [scope.model, scope.team, calls, cost])).toEqual([
    ['m', 'support', 1n, 9000n],
    ['m', 'support', 1n, 5000n],
    ['n', null, 1n, 1n],
  ])
  const early = { ...query, to: instant(at + day - 3_600_000) }
  expect((await store.observed(early))[0]).toMatchObject({ calls: 2n, cost: 5001n })
  await store.close()
})

test.each(stores)('%s: holds by time, page by page', async (_kind, make) => {
  const { store } = await make()
  const made = ['b', 'a', 'c', 'd', 'e']
  for (const id of made) {
    const when = instant(id === 'd' ? at + 1 : id === 'e' ? at + 10 : at)
    await store.run(holdOf(id, when), when, () => null)
  }
  const ids: string[] = []
  for (let after = null as Parameters<Store['holdsMade']>[0]['after']; ; ) {
    const page = await store.holdsMade({ from: at, to: instant(at + 10), after, limit: 2 })
    ids.push(...page.map(({ id }) => id))
    after = page.at(-1) ?? null
    if (page.length < 2) break
  }
  expect(ids).toEqual(['hold_a-0', 'hold_b-0', 'hold_c-0', 'hold_d-0'])
  await store.close()
})

test('a ledger that moves to PostgreSQL takes them along', async () => {
  const home = join(folder, 'home')
  mkdirSync(home)
  const store = new SqliteStore({ path: join(home, 'bursar.db') })
  const calls = [call('span:1', { response: 'msg_1' }), call('span:2', { cost: null })]
  await store.observe(calls)
  const was = await totals(store)
  await store.close()
  const url = await postgres.database()
  await moveIn(home, url, () => {})
  const moved = await PostgresStore.open({ url })
  expect(await totals(moved)).toEqual(was)
  await moved.observe([...calls, call('span:3', { response: 'msg_1' })])
  expect(await totals(moved)).toEqual({ ...was, duplicates: 1n })
  await moved.close()
})
