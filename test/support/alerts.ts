/** An outbox over a real store, with a clock that a test sets and receivers that it starts. */
import { loadSnapshot, formatProblem } from '#config/load.ts'
import type { AccountKey } from '#core/account.ts'
import type { Alert, AlertKind } from '#core/alert.ts'
import type { Action, BudgetRule } from '#core/budget.ts'
import { alertId } from '#core/ladder.ts'
import type { Observation } from '#core/observation.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { type Instant, instant } from '#core/time.ts'
import { type Outbox, outbox } from '#jobs/alerts.ts'
import { notifiersOf } from '#notify/notifiers.ts'
import type { Clock } from '#ports/clock.ts'
import type { Store } from '#ports/store.ts'
import { loadPriceBook } from '#system/price-files.ts'

export const start = instant(Date.UTC(2026, 10, 23, 12))
export const hourMs = 3_600_000

/** A clock that stands until it is set. */
export interface SetClock extends Clock {
  pass(ms: number): void
}

export function setClock(): SetClock {
  let now: Instant = start
  return {
    now: () => now,
    sleep: () => Promise.resolve(),
    pass: (ms) => {
      now = instant(now + ms)
    },
  }
}

export interface Post {
  readonly clock: SetClock
  readonly store: Store
  readonly snapshot: Snapshot
  readonly observed: readonly Observation[]
  readonly outbox: Outbox
  /** One round, and all that it starts. */
  turn(): Promise<void>
  /** Rounds over `ms` of the clock's time, one each `stepMs`. */
  over(ms: number, stepMs: number): Promise<void>
  put(config: string): void
}

export function snapshotOf(config: string): Snapshot {
  const loaded = loadSnapshot({
    files: [{ name: 'test.yaml', text: config }],
    env: () => undefined,
    readFile: () => null,
    priceBook: loadPriceBook(),
  })
  if (!loaded.ok) throw new Error(loaded.problem.map(formatProblem).join('\n'))
  return loaded.value.snapshot
}

let outboxes = 0

export function startPost(store: Store, config: string, clock: SetClock = setClock()): Post {
  let snapshot = snapshotOf(config)
  const observed: Observation[] = []
  outboxes += 1
  const name = `process-${outboxes}`
  const box = outbox({
    clock,
    chance: { token: () => name, fraction: () => 0.5 },
    observe: (one) => observed.push(one),
    store,
    snapshot: () => snapshot,
    notifiers: () => notifiersOf(snapshot, clock),
  })
  const turn = async (): Promise<void> => {
    await box.round()
    await box.idle()
  }
  return {
    clock,
    store,
    get snapshot() {
      return snapshot
    },
    observed,
    outbox: box,
    turn,
    over: async (ms, stepMs) => {
      for (let passed = 0; passed < ms; passed += stepMs) {
        clock.pass(stepMs)
        await turn()
      }
    },
    put: (next) => {
      snapshot = snapshotOf(next)
    },
  }
}

export interface Crossing {
  readonly rule: BudgetRule
  readonly label?: string
  readonly value?: string | null
  readonly actions?: readonly Action[]
  readonly kind?: AlertKind
  readonly at?: Instant
  readonly percent?: bigint
  readonly details?: Readonly<Record<string, string>>
}

/** An alert as the ledger makes it. */
export function crossing(of: Crossing): Alert {
  const { rule, label = '0.8', value = null, at = start, percent = 80n, kind = 'threshold' } = of
  const step = rule.ladder.find((one) => one.label === label)
  const account = `${rule.id}|${Date.UTC(2026, 10, 1)}${value === null ? '' : `|${value}`}`
  return {
    id: alertId(`${kind}|${account}|${label}|${at}`),
    kind,
    account: account as AccountKey,
    budget: rule.id,
    value,
    unit: rule.unit,
    threshold: label,
    actions: of.actions ?? step?.actions ?? [],
    at,
    amount: rule.amount,
    posted: (rule.amount * percent) / 100n,
    overage: 0n,
    hold: null,
    periodEnd: instant(Date.UTC(2026, 11, 1)),
    ...(of.details === undefined ? {} : { details: of.details }),
  }
}
