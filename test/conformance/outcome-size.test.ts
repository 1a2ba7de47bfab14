/** A month of a hundred thousand calls: the report is exact, soon there, and holds up nobody. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { unitCost } from '#jobs/unit-cost.ts'
import { nanos } from '#core/money.ts'
import { type Instant, instant } from '#core/time.ts'
import { makeId } from '#lib/id.ts'
import type { Store } from '#ports/store.ts'
import { SqliteStore } from '#store/sqlite.ts'
import { systemClock } from '#system/clock.ts'
import { nobody } from '#test/support/ledger.ts'
import { claim, definition, link, start } from '#test/support/outcomes.ts'
import { snapshotFor } from '#test/support/bursar.ts'

const calls = 100_000
const perConversation = 8
const none = (): null => null

async function attempt(store: Store, n: number, at: Instant): Promise<void> {
  const hold = makeId('hold', `h${n}`)
  const conversation = `c${Math.floor(n / perConversation)}`
  const asking = {
    fixedPicos: 9_000_000n,
    picosPerOutputToken: 0n,
    outputCap: 0,
    outputCapFloor: 0,
    fixedTokens: 10,
    tokensPerCap: 0,
  }
  await store.run(
    {
      kind: 'hold',
      hold,
      call: makeId('call', `c${n}`),
      attribution: { ...nobody, agent: `a${n % 7}` },
      accounts: [],
      conversation,
      marks: [],
      asking,
      expiresAt: instant(at + 60_000),
      facts: { conversation, run: conversation, model: 'm', operation: 'chat' },
    },
    at,
    none,
  )
  // Every hundredth cost nothing, and of every thousandth nobody knows.
  if (n % 100 === 7) await store.run({ kind: 'void', hold, facts: {} }, at, none)
  else if (n % 1000 === 3) {
    await store.run({ kind: 'expire', hold }, instant(at + 60_000), none)
  } else {
    const cost = nanos(BigInt(1000 + (n % 997)))
    const facts = { charge: [{ meter: 'output', quantity: 9, usd_per_million: '1.000000000' }] }
    await store.run({ kind: 'settle', hold, cost, tokens: 9, basis: 'actual', facts }, at, none)
  }
}

async function filled(path: string): Promise<Store> {
  const store = new SqliteStore({ path })
  for (let n = 0; n < calls; n += 5000) {
    await Promise.all(
      Array.from({ length: 5000 }, (_, i) => attempt(store, n + i, instant(start + (n + i) * 20))),
    )
  }
  const events = Array.from({ length: 10_000 }, (_, i) =>
    claim(`o${i}`, { at: instant(start + i * 100), link: link({ conversation: `c${i}` }) }),
  )
  const note = { actor: 'x', action: 'x', subject: 'x', reason: null, before: null, after: null }
  await store.change({ kind: 'add_outcomes', events }, { id: 'aud_1', at: start, ...note })
  return store
}

test('a hundred thousand calls and ten thousand outcomes', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'bursar-size-'))
  const store = await filled(join(folder, 'ledger.db'))
  const hour = 3_600_000
  const end = instant(start - (start % hour) + 24 * hour)
  const period = { start: instant(start - (start % hour)), end }
  const snapshot = snapshotFor('budgets: [{ name: all, budget_yearly_usd: 1 }]\n', 'http://x')
  let [longest, last] = [0, performance.now()]
  const pulse = setInterval(() => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
  }, 1)
  const began = performance.now()
  const { total, counts, fates } = await unitCost(
    { clock: systemClock, store, snapshot: () => snapshot },
    { definition: definition(), period, by: 'agent', closedAt: null, now: end },
    null,
  )
  const took = performance.now() - began
  clearInterval(pulse)
  const query = { from: period.start, to: end, daily: false, by: [] }
  const [spend] = await store.spend(query)
  expect([total.metered, total.calls, total.presumed]).toEqual([
    spend?.cost,
    spend?.calls,
    spend?.presumed,
  ])
  expect(total.calls).toBe(BigInt(calls - calls / 100))
  expect(fates.confirmed + fates.open).toBe(total.metered)
  expect(counts.confirmed).toBe(10_000)
  // A second on a quiet machine, in pages of some forty milliseconds.
  expect(took).toBeLessThan(20_000)
  expect(longest).toBeLessThan(1000)
  await store.close()
  rmSync(folder, { recursive: true, force: true })
})
