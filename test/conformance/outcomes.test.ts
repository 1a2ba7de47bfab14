/** What every store must do with outcomes, and with the work that they are put beside. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { HoldCommand } from '#core/journal.ts'
import { nanos } from '#core/money.ts'
import type { OutcomeEvent, OutcomeQuery } from '#core/outcome.ts'
import { type Instant, instant } from '#core/time.ts'
import { makeId } from '#lib/id.ts'
import type { Store } from '#ports/store.ts'
import { MemoryStore } from '#store/memory.ts'
import { PostgresStore } from '#store/postgres/store.ts'
import { SqliteStore } from '#store/sqlite.ts'
import { nobody } from '#test/support/ledger.ts'
import { claim, link, reversal } from '#test/support/outcomes.ts'
import { type Postgres, startPostgres } from '#test/support/postgres.ts'

const folder = mkdtempSync(join(tmpdir(), 'bursar-outcomes-'))
let server: Postgres | null = null
let files = 0
beforeAll(async () => {
  server = await startPostgres()
})
afterAll(async () => {
  await server?.[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

const stores: readonly (readonly [string, () => Promise<Store>])[] = [
  ['memory', async () => new MemoryStore()],
  ['sqlite in memory', async () => new SqliteStore({ path: ':memory:' })],
  ['sqlite in a file', async () => new SqliteStore({ path: join(folder, `${++files}.db`) })],
  [
    'postgres',
    async () => {
      if (server === null) throw new Error('PostgreSQL did not start')
      return PostgresStore.open({ url: await server.database() })
    },
  ],
]

const at = instant(1_800_000_000_000)
const later = (ms: number): Instant => instant(at + ms)
const audit = (n: number) =>
  ({
    id: `aud_${n}`,
    at,
    actor: 'x',
    action: 'outcome.added',
    subject: 'o',
    reason: null,
    before: null,
    after: null,
  }) as const
const add = (store: Store, n: number, ...events: readonly OutcomeEvent[]): Promise<void> =>
  store.change({ kind: 'add_outcomes', events }, audit(n))
const all: OutcomeQuery = { type: null, from: at, to: later(1000), after: 0, limit: 100 }
const ids = async (store: Store, query: Partial<OutcomeQuery>): Promise<readonly string[]> =>
  (await store.outcomeEvents({ ...all, ...query })).map(({ id }) => id)

test.each(stores)('%s: an outcome is kept once, with its audit row', async (_kind, make) => {
  const store = await make()
  const event = claim('o1', { at, value: nanos(5n) })
  await add(store, 1, event)
  expect(await store.outcomeEvent('o1')).toEqual({ ...event, seq: 1 })
  expect(await store.outcomeEvent('o2')).toBeNull()
  const other = claim('o1', { at: later(1) })
  await expect(add(store, 2, claim('o0', { at }), other)).rejects.toThrow()
  await expect(add(store, 3, claim('o3', { at }), claim('o3', { at: later(1) }))).rejects.toThrow()
  expect(await store.outcomeEvent('o1')).toMatchObject({ at })
  expect(await ids(store, {})).toEqual(['o1'])
  expect(await store.audit(10)).toHaveLength(1)
  await store.close()
})

test.each(stores)('%s: by type and time, in pages, subjects whole', async (_kind, make) => {
  const store = await make()
  const subject = 'same'
  const first = claim('a', { at: instant(at - 5), subject })
  await add(store, 1, first, claim('b', { at, subject }), claim('c', { at: later(999) }))
  await add(store, 2, claim('d', { at: later(2), type: 'lead' }), claim('e', { at: later(1000) }))
  await add(store, 3, reversal(first, { bookedAt: later(5000) }))
  expect(await ids(store, {})).toEqual(['a', 'b', 'c', 'd', 'a:reversed'])
  expect(await ids(store, { type: 'lead' })).toEqual(['d'])
  expect(await ids(store, { type: 'none' })).toEqual([])
  expect(await ids(store, { limit: 1 })).toEqual(['a', 'b', 'a:reversed'])
  expect(await ids(store, { after: 2, limit: 1 })).toEqual(['c'])
  expect(await ids(store, { after: 3 })).toEqual(['d'])
  await store.close()
})

const hold = (n: number, madeAt: Instant, facts: HoldCommand['facts']): HoldCommand => ({
  kind: 'hold',
  hold: makeId('hold', `h${n}`),
  call: makeId('call', `c${n}`),
  attribution: { ...nobody, agent: `a${n % 2}`, tenant: 'acme' },
  accounts: [],
  conversation: null,
  marks: [],
  asking: {
    fixedPicos: 5000n,
    picosPerOutputToken: 0n,
    outputCap: 0,
    outputCapFloor: 0,
    fixedTokens: 1,
    tokensPerCap: 0,
  },
  expiresAt: instant(madeAt + 60_000),
  facts,
})

test.each(stores)('%s: the work of a time, a page after the other', async (_kind, make) => {
  const store = await make()
  const none = (): null => null
  const search = { meter: 'web_search', quantity: 2, usd_per_million: '0.001000000' }
  for (let n = 0; n < 7; n += 1) {
    const madeAt = later(n < 4 ? 0 : n)
    const conversation = n === 6 ? null : `conv${n}`
    await store.run(hold(n, madeAt, { conversation, run: 'r', outcome: null }), madeAt, none)
    if (n === 2) await store.run({ kind: 'void', hold: 'hold_h2', facts: {} }, madeAt, none)
    else if (n === 3) await store.run({ kind: 'expire', hold: 'hold_h3' }, later(70_000), none)
    else if (n !== 5) {
      const end = { kind: 'settle', cost: nanos(7n), tokens: 1, basis: 'actual' } as const
      const facts = n === 4 ? { charge: [search], purpose: 'classifier' } : {}
      await store.run({ ...end, hold: makeId('hold', `h${n}`), facts }, madeAt, none)
    }
  }
  const query = { from: at, to: later(7), after: null, limit: 2 }
  const rows = []
  for (let after: Parameters<Store['work']>[0]['after'] = null; ; ) {
    const page = await store.work({ ...query, after })
    rows.push(...page)
    after = page.at(-1) ?? null
    if (after === null) break
  }
  // Voided and still pending ones cost nothing; one of which nobody heard cost what was held.
  expect(rows.map(({ hold: id, cost, tools }) => [id, cost, tools])).toEqual([
    ['hold_h0', 7n, 0n],
    ['hold_h1', 7n, 0n],
    ['hold_h3', 5n, 0n],
    ['hold_h4', 7n, 2n],
    ['hold_h6', 7n, 0n],
  ])
  expect(rows.map(({ presumed }) => presumed)).toEqual([false, false, true, false, false])
  expect(rows[3]).toMatchObject({ call: 'call_c4', conversation: 'conv4', run: 'r' })
  expect(rows[3]?.attribution).toMatchObject({ agent: 'a0', tenant: 'acme' })
  expect(rows.map(({ purpose }) => purpose)).toEqual([null, null, null, 'classifier', null])
  expect(rows.at(-1)?.conversation).toBeNull()
  expect(await store.work({ ...query, from: later(6), limit: 9 })).toHaveLength(1)
  expect(await store.work({ ...query, from: later(7), to: later(9) })).toEqual([])
  await store.close()
})

test('what an outcome is linked to survives the store', async () => {
  const store = new SqliteStore({ path: ':memory:' })
  const event = claim('o', { at, link: link({ scope: 'tenant', agent: 'a', tenant: 'ä "b"' }) })
  await add(store, 1, event)
  expect((await store.outcomeEvent('o'))?.link).toEqual(event.link)
  await store.close()
})
