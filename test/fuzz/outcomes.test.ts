/** Whatever is told of whatever was spent: no nano-dollar is lost, and none is counted twice. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { allocate } from '#core/allocate.ts'
import { nanos } from '#core/money.ts'
import { booksOf } from '#core/outcome-books.ts'
import { outcomeCost, whole } from '#core/outcome-cost.ts'
import { addWork, newTally, sharesOf } from '#core/outcome-work.ts'
import { creditRules, foldOutcomes, isCounted, type OutcomeEvent } from '#core/outcome.ts'
import { instant } from '#core/time.ts'
import type { WorkRow } from '#core/work.ts'
import { nobody } from '#test/support/ledger.ts'
import { claim, definition, link, reversal, start, work } from '#test/support/outcomes.ts'

const numRuns = 10_000
const sum = (all: readonly bigint[]): bigint => all.reduce((total, one) => total + one, 0n)
const names = fc.constantFrom('a', 'b', 'c')
const maybe = fc.option(names, { nil: null })
const money = fc.oneof(fc.bigInt(0n, 9n), fc.bigInt(0n, 10n ** 15n))

const rows: fc.Arbitrary<readonly WorkRow[]> = fc
  .array(fc.record({ agent: maybe, tenant: maybe, conversation: maybe, run: maybe, cost: money }), {
    maxLength: 20,
  })
  .map((all) =>
    all.map(({ agent, tenant, conversation, run, cost }, n) =>
      work(n, {
        attribution: { ...nobody, agent, tenant },
        conversation,
        run,
        cost: nanos(cost),
        tools: nanos(cost / 3n),
        purpose: n % 5 === 0 ? 'classifier' : null,
      }),
    ),
  )

const events: fc.Arbitrary<readonly OutcomeEvent[]> = fc
  .array(
    fc.record({
      scope: fc.constantFrom('call', 'run', 'conversation', 'tenant'),
      name: names,
      call: fc.nat(20),
      tenant: maybe,
      subject: fc.option(names, { nil: null }),
      at: fc.nat(50),
      lateMs: fc.nat(50),
      quietMs: fc.constantFrom(0, 5, 50),
      reversedAfterMs: fc.option(fc.nat(80), { nil: null }),
      humanMillis: fc.nat(10_000),
    }),
    { maxLength: 8 },
  )
  .map((all) =>
    all
      .flatMap((one, n) => {
        const { scope, name, call, tenant, subject, quietMs, reversedAfterMs } = one
        const at = instant(start + one.at)
        const bookedAt = instant(at + one.lateMs)
        const made = claim(`o${n}`, {
          at,
          bookedAt,
          definition: { version: 'v1', quietMs, attestedBy: null },
          ...(subject === null ? {} : { subject }),
          humanMillis: one.humanMillis,
          link: link({
            scope,
            call: `call_${call}`,
            run: name,
            conversation: name,
            agent: name,
            tenant,
          }),
        })
        if (reversedAfterMs === null) return [made]
        return [made, reversal(made, { bookedAt: instant(bookedAt + reversedAfterMs) })]
      })
      .sort((a, b) => a.bookedAt - b.bookedAt),
  )

test('shares, fates, layers and groups each add up to what the ledger has', () => {
  const asked = fc.record({
    by: fc.constantFrom('agent', 'tenant', 'team', null),
    credit: fc.constantFrom(...creditRules),
    known: fc.nat(150),
    percent: fc.bigInt(0n, 250n),
    selected: fc.boolean(),
  })
  fc.assert(
    fc.property(rows, events, asked, (work, told, { by, credit, known, percent, selected }) => {
      // Everything is selected: then all that was spent belongs to the type.
      const type = definition({
        credit,
        match: selected ? { organization: 'acme' } : {},
        humanMinute: nanos(777_777_777n),
      })
      const tally = newTally(foldOutcomes(told, instant(start + known)), type, by)
      for (const row of work) addWork(tally, row)
      const shares = sharesOf(tally)
      const metered = sum(shares.outcomes.map(({ cost }) => cost)) + shares.open + shares.unlinked
      const ledger = sum(work.map(({ cost }) => cost))
      if (selected) expect(metered).toBe(ledger)
      else expect(metered <= ledger).toBe(true)

      const cost = outcomeCost(tally, type, { numerator: percent, denominator: 1000n })
      expect(cost.total.metered).toBe(metered)
      expect(sum(Object.values(cost.fates))).toBe(metered)
      expect(sum(Object.values(cost.total.layers))).toBe(cost.total.cost)
      const { confirmed } = cost.counts
      expect(cost.total.counted).toBe(BigInt(confirmed) * whole)
      if (by === null) return
      for (const field of ['cost', 'metered', 'counted', 'calls'] as const) {
        expect(sum(cost.groups.map((row) => row[field]))).toBe(cost.total[field])
      }
    }),
    { numRuns },
  )
})

test('parts add up to the whole, and none is off by more than one', () => {
  fc.assert(
    fc.property(
      fc.bigInt(0n, 10n ** 18n),
      fc.array(money, { minLength: 1, maxLength: 30 }),
      (total, weights) => {
        const parts = allocate(total, weights)
        const all = sum(weights)
        expect(sum(parts)).toBe(total)
        if (all === 0n) return
        parts.forEach((part, i) => {
          const exact = total * (weights[i] ?? 0n)
          expect(part * all - exact < all && exact - part * all < all).toBe(true)
        })
      },
    ),
    { numRuns },
  )
})

test('as reported and as known now differ by exactly what was booked since', () => {
  const period = { start: instant(start + 10), end: instant(start + 40) }
  fc.assert(
    fc.property(events, fc.nat(120), fc.nat(120), (told, closeMs, sinceMs) => {
      const closedAt = instant(period.end + closeMs)
      const now = instant(closedAt + sinceMs)
      const { reported, restated, added, removed } = booksOf(told, period, { closedAt, now })
      const count = (views: typeof reported): number => views.filter(isCounted).length
      expect(count(restated) - count(reported)).toBe(added.length - removed.length)
      for (const { claim } of removed) {
        const taken = told.find(({ kind, outcome }) => kind === 'reversed' && outcome === claim.id)
        expect(taken === undefined ? null : taken.bookedAt > closedAt).toBe(true)
      }
      // No two of one subject count, at any time.
      for (const views of [reported, restated]) {
        const subjects = views.filter(isCounted).map(({ claim: { subject } }) => subject)
        expect(new Set(subjects).size).toBe(subjects.length)
      }
    }),
    { numRuns },
  )
})
