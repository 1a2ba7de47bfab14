/** Pages of a FOCUS report: every call in exactly one, however they fall, and none too large. */
import { expect, test } from 'vitest'
import { focusRoutes } from '#control/focus.ts'
import { instant } from '#core/time.ts'
import type { Asked } from '#control/route.ts'
import type { Nanos } from '#core/money.ts'
import type { Store } from '#ports/store.ts'
import { MemoryStore } from '#store/memory.ts'
import { SqliteStore } from '#store/sqlite.ts'
import { holdId, holdOf, rules } from '#test/support/ledger.ts'

const from = Date.UTC(2026, 9, 1)
const dayMs = 86_400_000
const calls = 6200

/** Most on one day, each for an agent of its own; the rest on two days of the weeks after. */
async function fill(store: Store): Promise<bigint> {
  let total = 0n
  for (let no = 1; no <= calls; no += 1) {
    const day = no <= 5600 ? 4 : no <= 6000 ? 11 : 30
    const at = instant(from + day * dayMs + no)
    const { attribution, ...rest } = holdOf(no)
    const agent = `agent ${no % 5600}`
    const hold = {
      ...rest,
      accounts: [],
      attribution: { ...attribution, agent },
      expiresAt: instant(at + 9),
    }
    await store.run(hold, at, rules)
    const cost = BigInt(no) as Nanos
    const facts = { charge: [], usage: {} }
    await store.run(
      { kind: 'settle', hold: holdId(no), cost, tokens: 5, basis: 'presumed', facts },
      at,
      rules,
    )
    total += cost
  }
  return total
}

interface Page {
  readonly rows: readonly (readonly (string | null)[])[]
  readonly columns: readonly string[]
  readonly calls: number
  readonly billed_usd: string
  readonly next: string | null
}

async function pagesOf(store: Store): Promise<readonly Page[]> {
  const [route] = focusRoutes
  const deps = {
    store,
    clock: { now: () => instant(from + 40 * dayMs), sleep: async () => undefined },
    snapshot: () => ({ providers: [], priceBook: { byName: new Map() } }),
  }
  const pages: Page[] = []
  for (let after: string | null = null; pages.length === 0 || after !== null; ) {
    const span = { from: '2026-10-01', to: '2026-11-01', version: '1.4', grain: 'day' }
    const query = { ...span, ...(after === null ? {} : { after }) }
    const asked = { deps, actor: { subtree: null }, params: {}, query, body: {} }
    const page = (await route?.handle(asked as unknown as Asked<unknown, unknown>)) as Page
    pages.push(page)
    after = page.next
  }
  return pages
}

test.each([
  ['memory', () => new MemoryStore()],
  ['sqlite', () => new SqliteStore({ path: ':memory:' })],
] as const)('%s', async (_kind, make) => {
  const store = make()
  const total = await fill(store)
  const pages = await pagesOf(store)
  expect(pages.map((page) => page.rows.length)).toEqual([5000, 600, 400, 200])
  expect(pages.reduce((sum, page) => sum + page.calls, 0)).toBe(calls)
  const billed = pages.reduce((sum, page) => sum + BigInt(page.billed_usd.replace('.', '')), 0n)
  expect(billed).toBe(total)
  const starts = pages.map(({ rows, columns }) => {
    return new Set(rows.map((row) => row[columns.indexOf('ChargePeriodStart')]))
  })
  expect(starts.map((days) => [...days])).toEqual([
    ['2026-10-05T00:00:00Z'],
    ['2026-10-05T00:00:00Z'],
    ['2026-10-12T00:00:00Z'],
    ['2026-10-31T00:00:00Z'],
  ])
  await store.close()
})
