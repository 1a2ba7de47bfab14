/** One suite, every store. A store is done when this passes; nothing store-specific is asserted. */
import { strict as assert } from 'node:assert'
import { afterEach, describe, test } from 'vitest'
import { accountKey } from '#core/account.ts'
import type { BudgetRule, Threshold } from '#core/budget.ts'
import { fold } from '#core/fold.ts'
import type { Asking, Command } from '#core/journal.ts'
import { nanos, parseRatio } from '#core/money.ts'
import type { Override } from '#core/override.ts'
import { dayMs, type Spend, spendOf } from '#core/spend.ts'
import { type Instant, instant } from '#core/time.ts'
import { makeId } from '#lib/id.ts'
import type { Store } from '#ports/store.ts'
import { nobody, ruleOf } from '#test/support/ledger.ts'
import { stories } from './stories.ts'

/** Noon of an ordinary day, in seconds: stories count from here. */
const noon = Date.UTC(2026, 5, 15, 12) / 1000

function ladder(...steps: readonly string[]): readonly Threshold[] {
  return steps.map((step): Threshold => {
    const [label = '', action = ''] = step.split(' ')
    const at = parseRatio(label) ?? assert.fail(label)
    const percent = /^throttle:(\d+)$/.exec(action)?.[1]
    if (action === 'stop') return { label, at, actions: [{ kind: 'hard_stop' }] }
    if (percent !== undefined) {
      return { label, at, actions: [{ kind: 'throttle', percent: Number(percent) }] }
    }
    return { label, at, actions: [{ kind: 'notify', channel: 'owner', name: null }] }
  })
}

const rule = (name: string, more: Partial<BudgetRule> = {}): BudgetRule =>
  ruleOf(name, { amount: 100n, period: 'day', ladder: ladder('1.0 stop'), ...more })

/** Amounts are nano-dollars: the rules do not care how small the money is. */
const initial: readonly BudgetRule[] = [
  rule('team'),
  rule('org'),
  rule('deny', { amount: 0n }),
  rule('watch', { mode: 'observe' }),
  rule('ladder', { ladder: ladder('0.5 notify', '0.8 notify', '1.2 stop') }),
  rule('paced', { amount: 10n, ladder: ladder('1.0 throttle:50', '99 stop') }),
  rule('user', { per: 'user' }),
  rule('calls', { unit: 'calls', amount: 3n }),
  rule('tokens', { unit: 'tokens', amount: 1000n }),
  rule('busy', { unit: 'concurrent', amount: 2n }),
  rule('chats', { unit: 'conversations', amount: 2n }),
  rule('hourly', { period: 'hour' }),
]

class Teller {
  readonly #store: Store
  readonly rules = new Map(initial.map((one) => [one.name, one]))
  #overrides = 0

  constructor(store: Store) {
    this.#store = store
  }

  async tell(step: string): Promise<void> {
    const [what = '', want = ''] = step.split('->').map((part) => part.trim())
    const [time = '', verb = '', ...rest] = what.split(/\s+/)
    const now = instant((noon + Number(time)) * 1000)
    assert.equal(await this.#do(now, verb, rest), want, step)
  }

  async #do(now: Instant, verb: string, rest: readonly string[]): Promise<string> {
    const [subject = '', ...args] = rest
    switch (verb) {
      case 'balance':
        return this.#balance(now, subject)
      case 'alerts':
        return this.#alerts()
      case 'state':
        return this.#state(subject)
      case 'limit':
        return this.#limit(now, subject, args)
      case 'remove':
        return this.#remove(now, subject)
      case 'late':
        return this.#catchUp(now, subject, args)
      case 'override':
        return this.#override(now, subject, args)
      case 'overdue':
        return (await this.#store.overdue(now, 10)).map(({ id }) => id.slice(5)).join()
      default:
        return this.#run(now, verb, subject, args)
    }
  }

  async #run(
    now: Instant,
    verb: string,
    subject: string,
    args: readonly string[],
  ): Promise<string> {
    const command = this.#command(now, verb, subject, args)
    const { result } = await this.#store.run(command, now, this.#lookup)
    if (result.status === 'limit_exceeded') {
      return `${result.held ? 'held' : 'exceeded'} ${result.rule.name}`
    }
    if (result.status === 'throttled') return `wait ${(result.retryAt - now) / 1000}`
    const clamped = result.status === 'applied' && verb === 'clamp'
    return clamped ? `applied ${result.hold.outputCap}` : result.status
  }

  #lookup = (id: string): BudgetRule | null =>
    [...this.rules.values()].find((one) => one.id === id) ?? null

  #command(now: Instant, verb: string, subject: string, args: readonly string[]): Command {
    const hold = makeId('hold', subject)
    const [amount = '0', where = ''] = args
    switch (verb) {
      case 'hold':
      case 'clamp': {
        const names = where.split(',').filter((name) => name !== '')
        const user = args[2] ?? null
        const accounts = names.map((name) => {
          const one = this.rules.get(name) ?? assert.fail(name)
          return { rule: one, value: one.per === null ? null : (user ?? '(none)') }
        })
        return {
          kind: 'hold',
          hold,
          call: makeId('call', subject),
          accounts,
          // Some of an agent, some of none.
          attribution: { ...nobody, user, agent: user === null ? null : 'a' },
          expiresAt: instant(now + 60_000),
          facts: { story: true, conversation: args[3] ?? null },
          conversation: args[3] ?? null,
          marks: [],
          asking: askingFor(verb, amount),
        }
      }
      case 'settle':
        return {
          kind: 'settle',
          hold,
          cost: nanos(BigInt(amount)),
          basis: 'actual',
          facts: {},
          tokens: Number(where === '' ? 0 : where),
        }
      case 'presume':
        return {
          kind: 'settle',
          hold,
          cost: nanos(BigInt(amount)),
          tokens: 0,
          basis: 'presumed',
          facts: {},
        }
      case 'void':
        return { kind: 'void', hold, facts: {} }
      case 'expire':
        return { kind: 'expire', hold }
      case 'adjust':
        return { kind: 'adjust', hold, cost: nanos(BigInt(amount)), reason: 'bill', author: 'x' }
      default:
        throw new Error(`unknown verb ${verb}`)
    }
  }

  async #balance(now: Instant, subject: string): Promise<string> {
    const [name = '', value = null] = subject.split('/')
    const one = this.rules.get(name) ?? initial.find((r) => r.name === name) ?? assert.fail(name)
    const account = await this.#store.account(accountKey({ rule: one, value }, now))
    return account === null ? 'none' : `${account.posted}/${account.pending}`
  }

  async #alerts(): Promise<string> {
    const alerts = [...(await this.#store.alerts(100))].reverse()
    return alerts
      .map(
        ({ kind, budget, threshold }) =>
          `${budget.slice(4)}:${kind === 'overage' ? 'overage' : threshold}`,
      )
      .join(' ')
  }

  async #state(subject: string): Promise<string> {
    const hold = await this.#store.hold(makeId('hold', subject))
    return hold === null ? 'none' : `${hold.state} ${hold.basis ?? '-'} ${hold.cost ?? '-'}`
  }

  /**
   * The rule as it is from now on; a new name is a new rule, counted from the ledger. `a+b`: two
   * rules in one change.
   */
  async #limit(now: Instant, names: string, [amount = '0']: readonly string[]): Promise<string> {
    for (const name of names.split('+')) {
      const unit = name.startsWith('chats') ? 'conversations' : 'usd'
      const before = this.rules.get(name) ?? rule(name, { unit })
      this.rules.set(name, { ...before, amount: BigInt(amount) })
    }
    await this.#store.adopt([...this.rules.values()], now)
    return 'done'
  }

  /** `late NAME T`: the rule was counted at T, and calls were on their way to the ledger then. */
  async #catchUp(now: Instant, name: string, [since = '']: readonly string[]): Promise<string> {
    const late = this.rules.get(name) ?? assert.fail(name)
    await this.#store.catchUp([late], instant((noon + Number(since)) * 1000), now)
    return 'done'
  }

  async #remove(now: Instant, name: string): Promise<string> {
    this.rules.delete(name)
    await this.#store.adopt([...this.rules.values()], now)
    return 'done'
  }

  async #override(now: Instant, name: string, [extra = '', seconds = '']: readonly string[]) {
    this.#overrides += 1
    const override: Override = {
      id: makeId('ovr', String(this.#overrides)),
      budget: makeId('bud', name),
      value: null,
      extra: extra === 'all' ? null : nanos(BigInt(extra)),
      until: instant(now + Number(seconds) * 1000),
      reason: 'story',
      requestedBy: 'a',
      requestedAt: now,
      state: 'approved',
      decidedBy: 'b',
      decidedAt: now,
      self: false,
    }
    await this.#store.change(
      { kind: 'put_override', override },
      {
        id: makeId('aud', String(this.#overrides)),
        at: now,
        actor: 'b',
        action: 'override.approved',
        subject: override.id,
        reason: null,
        before: null,
        after: null,
      },
    )
    return 'done'
  }
}

/** `hold A 60`: 60 and no less. `clamp A 500`: 10 for the prompt, then 1 a token, at least 20. */
function askingFor(verb: string, amount: string): Asking {
  if (verb === 'clamp') {
    return {
      fixedPicos: 10_000n,
      picosPerOutputToken: 1000n,
      outputCap: Number(amount),
      outputCapFloor: 20,
      fixedTokens: 10,
      tokensPerCap: 1,
    }
  }
  return {
    fixedPicos: BigInt(amount) * 1000n,
    picosPerOutputToken: 0n,
    outputCap: 0,
    outputCapFloor: 0,
    fixedTokens: Number(amount),
    tokensPerCap: 0,
  }
}

/** After every story: balances are the fold of the entries, and nothing is below zero. */
async function audit(store: Store): Promise<void> {
  await auditSpend(store)
  for (const [key, balance] of fold(await store.entries(0, 10_000))) {
    const account = await store.account(key)
    assert.deepEqual({ posted: account?.posted, pending: account?.pending }, balance, key)
    assert.ok(balance.pending >= 0n && balance.posted >= 0n, key)
  }
}

/** What reports are read from is what was charged: in all, and by whoever was charged. */
async function auditSpend(store: Store): Promise<void> {
  const always = { from: instant(0), to: instant(Number.MAX_SAFE_INTEGER) }
  const holds = await store.recentHolds(10_000)
  const of = (some: typeof holds): Record<string, bigint> => {
    const parts = some.map((hold) => spendOf(hold))
    const sum = (name: keyof Spend): bigint => parts.reduce((all, part) => all + part[name], 0n)
    return {
      calls: sum('calls'),
      tokens: sum('tokens'),
      cost: sum('cost'),
      presumed: sum('presumed'),
    }
  }
  const [all] = await store.spend({ ...always, daily: false, by: [] })
  const { day: _, scope: __, ...total } = all ?? { day: null, scope: null, ...of([]) }
  assert.deepEqual(total, of(holds))
  for (const row of await store.spend({ ...always, daily: true, by: ['agent', 'model'] })) {
    const { day, scope, ...sums } = row
    const own = holds.filter(
      ({ madeAt, attribution }) =>
        madeAt - (madeAt % dayMs) === day &&
        attribution.agent === scope.agent &&
        attribution.model === scope.model,
    )
    assert.deepEqual(sums, of(own))
    assert.equal(scope.team, null)
  }
}

export function ledgerStoreConformance(name: string, make: () => Store | Promise<Store>): void {
  describe(name, () => {
    const open: Store[] = []
    afterEach(async () => {
      for (const store of open.splice(0)) await store.close()
    })
    for (const [title, story] of Object.entries(stories)) {
      test(title, async () => {
        const store = await make()
        open.push(store)
        await store.adopt(initial, instant(noon * 1000))
        const teller = new Teller(store)
        for (const step of story.trim().split('\n')) await teller.tell(step.trim())
        await audit(store)
      })
    }
  })
}
