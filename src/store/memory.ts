/** A real store that forgets: for tests and simulations. Passes the same suite as the others. */
import { type Account, type AccountKey, dearestOf } from '#core/account.ts'
import type { Alert, Notification } from '#core/alert.ts'
import { type AuditHead, type AuditLink, type AuditRow, noAudit } from '#core/audit.ts'
import type { BudgetRule } from '#core/budget.ts'
import type { Command, Hold, LedgerEntry, Rules } from '#core/journal.ts'
import type { VirtualKey } from '#core/key.ts'
import { type BookedOutcome, type OutcomeQuery, pageOf } from '#core/outcome.ts'
import type { ObservedCall, ObservedRow } from '#core/observed.ts'
import type { Override } from '#core/override.ts'
import {
  groupSpend,
  noteSpend,
  type SpendChanges,
  type SpendQuery,
  type SpendRow,
} from '#core/spend.ts'
import type { Instant } from '#core/time.ts'
import { type WorkQuery, workOf, type WorkRow } from '#core/work.ts'
import type { ControlRecord, RecordKind } from '#core/record.ts'
import type { AlertId, BudgetId, CallId, HoldId, KeyId, OverrideId } from '#lib/id.ts'
import { canonicalJson } from '#lib/json.ts'
import {
  type Adopted,
  type Change,
  type HoldsQuery,
  type Outcome,
  type Store,
  StoreUnavailable,
} from '#ports/store.ts'
import { linkAfter } from './audit-chain.ts'
import {
  adoptRules,
  countHolds,
  execute,
  type KnownRules,
  type Rows,
  startSince,
} from './execute.ts'
import { ObservedInMemory } from './observed-memory.ts'
import { Leases } from './leases.ts'

export class MemoryStore implements Store {
  readonly kind = 'memory'
  readonly shared = false
  readonly #accounts = new Map<AccountKey, Account>()
  readonly #holds = new Map<HoldId, Hold>()
  readonly #entries: LedgerEntry[] = []
  readonly #spend: SpendChanges = new Map()
  readonly #alerts = new Map<AlertId, Alert>()
  readonly #notifications = new Map<string, Notification>()
  readonly #routed = new Set<AlertId>()
  readonly #keys = new Map<KeyId, VirtualKey>()
  readonly #overrides = new Map<OverrideId, Override>()
  readonly #marks = new Map<string, string>()
  readonly #records = new Map<string, ControlRecord>()
  readonly #outcomes = new Map<string, BookedOutcome>()
  readonly #audit: AuditRow[] = []
  readonly #links: AuditLink[] = []
  #head: AuditHead | null = null
  readonly #observed = new ObservedInMemory(() => this.#holds.values())
  readonly #leases = new Leases()
  #known: ReadonlyMap<string, string> = new Map()

  readonly #rows: Rows & KnownRules = {
    account: (key) => this.#accounts.get(key) ?? null,
    saveAccount: (account) => void this.#accounts.set(account.key, account),
    hold: (id) => this.#holds.get(id) ?? null,
    holdBefore: (id) => this.#holds.get(id) ?? null,
    isMarked: (id) => this.#marks.has(id),
    addMark: ({ id, value }) => {
      if (!this.#marks.has(id)) this.#marks.set(id, value)
    },
    addHold: (hold) => void this.#holds.set(hold.id, hold),
    updateHold: (hold) => void this.#holds.set(hold.id, hold),
    addEntry: (entry) => void this.#entries.push(entry),
    addSpend: (change) => noteSpend(this.#spend, change),
    addAlert: (alert) => {
      if (!this.#alerts.has(alert.id)) this.#alerts.set(alert.id, alert)
    },
    overrides: () => [...this.#overrides.values()],
    holdsMadeSince: (at) => [...this.#holds.values()].filter(({ madeAt }) => madeAt >= at),
    knownRules: () => this.#known,
    setKnownRules: (rules) => {
      this.#known = rules
    },
  }

  async run(command: Command, now: Instant, rules: Rules): Promise<Outcome> {
    return execute(this.#rows, command, now, rules)
  }

  async adopt(rules: readonly BudgetRule[], now: Instant): Promise<Adopted> {
    return adoptRules(this.#rows, rules, now)
  }

  async catchUp(
    rules: readonly BudgetRule[],
    since: Instant,
    now: Instant,
  ): Promise<readonly Alert[]> {
    return countHolds(
      this.#rows,
      rules.map((rule) => startSince(rule, since, now)),
      now,
    )
  }

  async account(key: AccountKey): Promise<Account | null> {
    return this.#accounts.get(key) ?? null
  }

  async accountsAt(at: Instant, budget?: BudgetId): Promise<readonly Account[]> {
    const isNow = ({ period }: Account): boolean => period.start <= at && at < period.end
    return [...this.#accounts.values()]
      .filter((account) => isNow(account))
      .filter((one) => (budget === undefined ? !isOfRun(one) : one.budget === budget))
      .sort((a, b) => (a.key < b.key ? -1 : 1))
  }

  async dearest(budget: BudgetId, start: Instant, limit: number): Promise<readonly Account[]> {
    const own = [...this.#accounts.values()].filter((one) => one.budget === budget)
    return dearestOf(
      own.filter(({ period }) => period.start === start),
      limit,
    )
  }

  async entries(after: number, limit: number): Promise<readonly (LedgerEntry & { seq: number })[]> {
    return this.#entries
      .slice(after, after + limit)
      .map((entry, i) => ({ ...entry, seq: after + i + 1 }))
  }

  async hold(id: HoldId): Promise<Hold | null> {
    return this.#holds.get(id) ?? null
  }

  async holdsOf(call: CallId): Promise<readonly Hold[]> {
    return [...this.#holds.values()].filter((hold) => hold.call === call)
  }

  async recentHolds(limit: number): Promise<readonly Hold[]> {
    return [...this.#holds.values()].reverse().slice(0, limit)
  }

  async holdsMade({ from, to, after, limit }: HoldsQuery): Promise<readonly Hold[]> {
    const isNext = ({ madeAt, id }: Hold): boolean =>
      after === null || madeAt > after.madeAt || (madeAt === after.madeAt && id > after.id)
    return [...this.#holds.values()]
      .filter((hold) => from <= hold.madeAt && hold.madeAt < to && isNext(hold))
      .sort((a, b) => a.madeAt - b.madeAt || (a.id < b.id ? -1 : 1))
      .slice(0, limit)
  }

  async overdue(now: Instant, limit: number): Promise<readonly Hold[]> {
    return [...this.#holds.values()]
      .filter(({ state, expiresAt }) => state === 'pending' && expiresAt <= now)
      .sort((a, b) => a.expiresAt - b.expiresAt || (a.id < b.id ? -1 : 1))
      .slice(0, limit)
  }

  async openHolds(): Promise<number> {
    return [...this.#holds.values()].filter(({ state }) => state === 'pending').length
  }

  async mark(id: string): Promise<string | null> {
    return this.#marks.get(id) ?? null
  }

  async spend(query: SpendQuery): Promise<readonly SpendRow[]> {
    return groupSpend(this.#spend.values(), query)
  }

  async observe(calls: readonly ObservedCall[]): Promise<void> {
    this.#observed.observe(calls)
  }

  async settleObserved(since: Instant): Promise<number> {
    return this.#observed.settle(since)
  }

  async observed(query: SpendQuery): Promise<readonly ObservedRow[]> {
    return this.#observed.observed(query)
  }

  async change(change: Change, audit: AuditRow): Promise<void> {
    const taken = this.#audit.find(({ id }) => id === audit.id)
    // The same again is made already.
    if (taken !== undefined && canonicalJson(taken) === canonicalJson(audit)) return
    if (taken !== undefined) throw new StoreUnavailable(`audit row "${audit.id}" is taken`)
    if (change.kind === 'put_key') this.#keys.set(change.key.id, change.key)
    if (change.kind === 'put_override') this.#overrides.set(change.override.id, change.override)
    if (change.kind === 'put_record') await this.putRecord(change.record)
    if (change.kind === 'add_outcomes') this.#addOutcomes(change)
    this.#audit.push(audit)
    const { json, head } = linkAfter(this.#head ?? noAudit, audit)
    const { id, at } = audit
    const prev = this.#head?.hash ?? ''
    this.#links.push({ seq: head.rows, id, at, json, prev, hash: head.hash })
    this.#head = head
  }

  async keys(): Promise<readonly VirtualKey[]> {
    return [...this.#keys.values()]
  }

  async key(id: KeyId): Promise<VirtualKey | null> {
    return this.#keys.get(id) ?? null
  }

  async keyByHash(hash: string): Promise<VirtualKey | null> {
    return [...this.#keys.values()].find((key) => key.hash === hash) ?? null
  }

  async override(id: OverrideId): Promise<Override | null> {
    return this.#overrides.get(id) ?? null
  }

  async overrides(): Promise<readonly Override[]> {
    return [...this.#overrides.values()]
  }

  async records(kind: RecordKind): Promise<readonly ControlRecord[]> {
    const all = [...this.#records.values()]
    return all.filter((record) => record.kind === kind && record.value !== null)
  }

  async record(kind: RecordKind, id: string): Promise<ControlRecord | null> {
    const found = this.#records.get(`${kind}|${id}`)
    return found === undefined || found.value === null ? null : found
  }

  async putRecord(record: ControlRecord): Promise<void> {
    this.#records.set(`${record.kind}|${record.id}`, record)
  }

  #addOutcomes({ events }: Extract<Change, { kind: 'add_outcomes' }>): void {
    const taken = events.find(({ id }, i) => {
      return this.#outcomes.has(id) || events.findIndex((one) => one.id === id) !== i
    })
    if (taken !== undefined) throw new StoreUnavailable(`outcome "${taken.id}" is taken`)
    for (const event of events) {
      this.#outcomes.set(event.id, { ...event, seq: this.#outcomes.size + 1 })
    }
  }

  async outcomeEvent(id: string): Promise<BookedOutcome | null> {
    return this.#outcomes.get(id) ?? null
  }

  async outcomeEvents(query: OutcomeQuery): Promise<readonly BookedOutcome[]> {
    const all = [...this.#outcomes.values()]
    const subjects = new Set(pageOf(all, query).map(({ subject }) => subject))
    return all.filter(({ subject }) => subjects.has(subject))
  }

  async work({ from, to, after, limit }: WorkQuery): Promise<readonly WorkRow[]> {
    return [...this.#holds.values()]
      .filter(({ state, madeAt }) => isEnded(state) && madeAt >= from && madeAt < to)
      .map(workOf)
      .sort(byTime)
      .filter((row) => after === null || byTime(row, after) > 0)
      .slice(0, limit)
  }

  async audit(limit: number): Promise<readonly AuditRow[]> {
    return this.#audit.slice(-limit).reverse()
  }

  async auditLinks(after: number, limit: number): Promise<readonly AuditLink[]> {
    return this.#links.slice(after, after + limit)
  }

  async auditHead(): Promise<AuditHead | null> {
    return this.#head
  }

  async raise(alert: Alert): Promise<void> {
    if (!this.#alerts.has(alert.id)) this.#alerts.set(alert.id, alert)
  }

  async alerts(limit: number): Promise<readonly Alert[]> {
    return [...this.#alerts.values()].slice(-limit).reverse()
  }

  async unrouted(limit: number): Promise<readonly Alert[]> {
    return [...this.#alerts.values()].filter(({ id }) => !this.#routed.has(id)).slice(0, limit)
  }

  async route(alert: AlertId, notifications: readonly Notification[]): Promise<void> {
    this.#routed.add(alert)
    for (const one of notifications) {
      if (!this.#notifications.has(deliveryOf(one))) await this.saveNotification(one)
    }
  }

  async dueChannels(now: Instant): Promise<readonly string[]> {
    const due = [...this.#notifications.values()].filter((one) => isDue(one, now))
    return [...new Set(due.map(({ channel }) => channel))].sort()
  }

  async takeDue(
    now: Instant,
    limit: number,
    until: Instant,
    channel: string,
  ): Promise<readonly (Notification & { of: Alert })[]> {
    const due = [...this.#notifications.values()]
      .filter((one) => one.channel === channel && isDue(one, now))
      .sort((a, b) => a.nextAt - b.nextAt)
      .slice(0, limit)
      .map((one) => ({ ...one, nextAt: until }))
    for (const one of due) await this.saveNotification(one)
    return due.flatMap((one) => {
      const of = this.#alerts.get(one.alert)
      return of === undefined ? [] : [{ ...one, of }]
    })
  }

  async saveNotification(notification: Notification): Promise<void> {
    this.#notifications.set(deliveryOf(notification), notification)
  }

  async notifications(limit: number): Promise<readonly Notification[]> {
    return [...this.#notifications.values()].slice(-limit).reverse()
  }

  async lease(name: string, holder: string, now: Instant, until: Instant): Promise<boolean> {
    return this.#leases.take(name, holder, now, until)
  }

  /** Nobody else can reach it. */
  async watch(): Promise<void> {}

  async announceConfig(): Promise<void> {}

  async installationSecret(): Promise<null> {
    return null
  }

  async close(): Promise<void> {}
}

/** A run has no period. */
const isOfRun = ({ period, unit }: Account): boolean => period.start === 0 && unit !== 'concurrent'

const isDue = ({ state, nextAt }: Notification, now: Instant): boolean =>
  state === 'waiting' && nextAt <= now

const deliveryOf = ({ alert, channel }: Notification): string => `${alert}|${channel}`

const isEnded = (state: Hold['state']): boolean => state === 'settled' || state === 'expired'

type Placed = Pick<WorkRow, 'madeAt' | 'hold'>

function byTime(a: Placed, b: Placed): number {
  return a.madeAt - b.madeAt || (a.hold < b.hold ? -1 : a.hold > b.hold ? 1 : 0)
}
