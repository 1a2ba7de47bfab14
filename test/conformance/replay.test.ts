import { expect, test } from 'vitest'
import type { Alert } from '#core/alert.ts'
import type { BudgetRule } from '#core/budget.ts'
import type { Hold } from '#core/journal.ts'
import { nanos } from '#core/money.ts'
import type { Override } from '#core/override.ts'
import { newReplay, replayHold, replayRest, replayStart, type ReplayTally } from '#core/replay.ts'
import { instant } from '#core/time.ts'
import { accountsFor } from '#core/account.ts'
import { MemoryStore } from '#store/memory.ts'
import { holdId, holdOf, ruleOf, start } from '#test/support/ledger.ts'
import { generator } from '#test/sim/clock.ts'

const notify = { kind: 'notify', channel: 'owner', name: null } as const
const steps = [
  { label: '0.5', at: { numerator: 1n, denominator: 2n }, actions: [notify] },
  { label: '1.0', at: { numerator: 1n, denominator: 1n }, actions: [notify] },
] as const
const stop = {
  label: '1.2',
  at: { numerator: 12n, denominator: 10n },
  actions: [{ kind: 'hard_stop' }],
} as const
const wide = ruleOf('all', { amount: 1_000_000n, period: 'day', ladder: [...steps] })
/** A call that was voided was none: it is not counted. */
const counted = ruleOf('calls', { unit: 'calls', amount: 100n, period: 'day', ladder: [...steps] })
const perUser = ruleOf('user', { amount: 300_000n, period: 'day', per: 'user', ladder: [...steps] })

/** Traffic of some hours under a policy that refuses nobody, as the ledger has it. */
async function past(
  seed: number,
  calls: number,
  budgets: readonly BudgetRule[],
): Promise<{ readonly holds: readonly Hold[]; readonly alerts: readonly Alert[] }> {
  const random = generator(seed)
  const store = new MemoryStore()
  const rules = (id: string): BudgetRule | null => budgets.find((one) => one.id === id) ?? null
  const alerts: Alert[] = []
  const endings: { at: number; no: number; cost: bigint }[] = []
  let now = start as number
  const settle = async (until: number): Promise<void> => {
    endings.sort((a, b) => a.at - b.at)
    for (let next = endings[0]; next !== undefined && next.at <= until; next = endings[0]) {
      endings.shift()
      const at = instant(next.at)
      const id = holdId(next.no)
      const done = await store.run(
        next.cost === 0n
          ? { kind: 'void', hold: id, facts: {} }
          : {
              kind: 'settle',
              hold: id,
              cost: nanos(next.cost),
              tokens: 5,
              basis: 'actual',
              facts: {},
            },
        at,
        rules,
      )
      alerts.push(...done.alerts)
    }
  }
  for (let no = 1; no <= calls; no += 1) {
    now += 1 + Math.floor(random() * 20_000)
    await settle(now)
    const command = holdOf(no)
    const asked = {
      ...command,
      accounts: accountsFor(budgets, command.attribution),
      asking: { ...command.asking, fixedPicos: 20_000_000n },
      expiresAt: instant(now + 600_000),
    }
    const { result, alerts: told } = await store.run(asked, instant(now), rules)
    expect(result.status).toBe('applied')
    alerts.push(...told)
    const cost = random() < 0.1 ? 0n : BigInt(1 + Math.floor(random() * 20_000))
    endings.push({ at: now + 1 + Math.floor(random() * 60_000), no, cost })
  }
  await settle(Number.MAX_SAFE_INTEGER)
  const holds = await store.holdsMade({
    from: start,
    to: instant(now + 1),
    after: null,
    limit: calls,
  })
  expect(holds).toHaveLength(calls)
  return { holds, alerts }
}

function replayed(
  holds: readonly Hold[],
  budgets: readonly BudgetRule[],
  from = start,
): ReplayTally {
  const replay = newReplay({ budgets, runs: [], overrides: [], maxWaitMs: 15_000 }, from)
  for (const hold of holds) replayHold(replay, hold)
  return replayRest(replay)
}

const idsOf = (alerts: readonly Alert[]): readonly string[] => alerts.map(({ id }) => id).sort()

test('under the same policy the same alerts, at the same times: 30 seeds', async () => {
  for (let seed = 1; seed <= 30; seed += 1) {
    const { holds, alerts } = await past(seed, 150, [wide, perUser, counted])
    const tally = replayed(holds, [wide, perUser, counted])
    expect(idsOf(tally.alerts), `seed ${seed}`).toEqual(idsOf(alerts))
    expect([tally.calls, tally.admitted, tally.delayed, tally.refused.size]).toEqual([
      150, 150, 0, 0,
    ])
  }
})

test('under a tighter one it says what is stopped, and what that saves', async () => {
  const { holds } = await past(7, 400, [wide])
  const tight = { ...wide, amount: 500_000n, ladder: [...steps, stop] }
  const tally = replayed(holds, [tight])
  const [refused] = [...tally.refused.values()]
  expect(refused?.kind).toBe('stopped')
  const total = holds.reduce((sum, { cost }) => sum + (cost ?? 0n), 0n)
  // What was let through stays below the limit; the rest was refused, each call once.
  expect(tally.cost).toBe(total)
  expect(total - (refused?.cost ?? 0n)).toBeLessThanOrEqual(600_000n)
  expect(total - (refused?.cost ?? 0n)).toBeGreaterThan(500_000n)
  expect(tally.admitted + (refused?.calls ?? 0)).toBe(400)
  expect(tally.alerts.map(({ threshold }) => threshold)).toEqual(['0.5', '1.0', '1.2'])
})

test('a throttle paces: what comes too fast waits or is refused', async () => {
  const { holds } = await past(9, 400, [wide])
  const paced = {
    ...wide,
    amount: 300_000n,
    ladder: [{ ...steps[1], actions: [{ kind: 'throttle', percent: 10 } as const] }],
  }
  const tally = replayed(holds, [paced])
  const [refused] = [...tally.refused.values()]
  expect(refused?.kind).toBe('throttled')
  expect(tally.delayed).toBeGreaterThan(0)
  expect(tally.admitted + (refused?.calls ?? 0)).toBe(400)
})

test('what comes before the time asked for fills the accounts and is not reported', async () => {
  const { holds, alerts } = await past(3, 300, [wide])
  const from = holds[150]?.madeAt ?? start
  expect(replayStart({ budgets: [wide] }, from)).toBe(start)
  const tally = replayed(holds, [wide], from)
  expect(tally.calls).toBe(150)
  const later = alerts.filter(({ at }) => at >= from)
  expect(idsOf(tally.alerts)).toEqual(idsOf(later))
})

test('an override holds from when it was approved, not before', async () => {
  const { holds } = await past(7, 400, [wide])
  const tight = { ...wide, amount: 500_000n, ladder: [...steps, stop] }
  const end = holds.at(-1)?.madeAt ?? start
  const stoppedWith = (decidedAt: typeof start): number => {
    const override: Override = {
      id: 'ovr_1',
      budget: tight.id,
      value: null,
      extra: null,
      until: instant(end + 1),
      reason: 'launch',
      requestedBy: 'ann',
      requestedAt: decidedAt,
      state: 'approved',
      decidedBy: 'bob',
      decidedAt,
      self: false,
    }
    const policy = { budgets: [tight], runs: [], overrides: [override], maxWaitMs: 15_000 }
    const replay = newReplay(policy, start)
    for (const hold of holds) replayHold(replay, hold)
    return [...replayRest(replay).refused.values()].reduce((sum, { calls }) => sum + calls, 0)
  }
  expect(stoppedWith(start)).toBe(0)
  const middle = stoppedWith(holds[300]?.madeAt ?? start)
  expect(middle).toBeGreaterThan(0)
  expect(stoppedWith(end)).toBeGreaterThan(middle)
})
