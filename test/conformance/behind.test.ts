/**
 * Account rows follow their entries: whatever a start, a doctor, a backup or a reader finds in the
 * file at any moment is brought up to date, and is what a store without rows says.
 */
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, expect, test } from 'vitest'
import { type Account, accountKey } from '#core/account.ts'
import type { BudgetRule } from '#core/budget.ts'
import type { Command, Rules } from '#core/journal.ts'
import { nanos } from '#core/money.ts'
import { type Instant, instant } from '#core/time.ts'
import { MemoryStore } from '#store/memory.ts'
import { inspect } from '#store/sqlite-inspect.ts'
import { SqliteStore } from '#store/sqlite.ts'
import type { Outcome } from '#ports/store.ts'
import { generator } from '#test/sim/clock.ts'
import { budgets, holdId, holdOf, rules, ruleOf, settleOf, start } from '#test/support/ledger.ts'

const folder = mkdtempSync(join(tmpdir(), 'bursar-behind-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
let files = 0
const fresh = (): string => join(folder, `${++files}.db`)

const fifth = { numerator: 1n, denominator: 5n }
const half = { numerator: 1n, denominator: 2n }
const stop = { numerator: 6n, denominator: 5n }

const seeds = process.env.BURSAR_LONG === '1' ? 200 : 4

/** A pace is frozen and lost again, stages fire, a quota warns, limits stop, talks count once. */
const climbing: readonly BudgetRule[] = [
  ruleOf('all', {
    amount: 8000n,
    ladder: [
      { label: '0.2', at: fifth, actions: [{ kind: 'notify', channel: 'owner', name: null }] },
      { label: '0.5', at: half, actions: [{ kind: 'throttle', percent: 50 }] },
      { label: '1.2', at: stop, actions: [{ kind: 'hard_stop' }] },
    ],
  }),
  ruleOf('user', { per: 'user', unit: 'calls', amount: 1000n }),
  ruleOf('talks', { unit: 'conversations', amount: 30n }),
]
const ofAll = accountKey({ rule: ruleOf('all'), value: null }, start)
const climbingRules: Rules = (id) => climbing.find((rule) => rule.id === id) ?? null

/** The file as a crash leaves it now. */
function image(path: string): string {
  const copy = fresh()
  for (const part of ['', '-wal']) {
    if (existsSync(`${path}${part}`)) copyFileSync(`${path}${part}`, `${copy}${part}`)
  }
  return copy
}

function commandAt(no: number, chance: () => number): Command {
  const other = holdId(Math.floor(chance() * (no + 1)))
  const kind = chance()
  if (kind < 0.4) {
    const hold = holdOf(no)
    const accounts = climbing.map((rule, i) => ({ rule, value: hold.accounts[i]?.value ?? null }))
    const conversation = `talk ${Math.floor(no / 4)}`
    return { ...hold, accounts, conversation, expiresAt: instant(start + 1e12) }
  }
  if (kind < 0.8) return { ...settleOf(no), hold: other } as Command
  if (kind < 0.87) return { kind: 'void', hold: other, facts: {} }
  if (kind < 0.94) return { kind: 'expire', hold: other }
  const cost = nanos(BigInt(Math.floor(chance() * 900)))
  return { kind: 'adjust', hold: other, cost, reason: 'r', author: 'a' }
}

const audit = {
  id: 'aud_1',
  at: start,
  actor: 'x',
  action: 'a',
  subject: 's',
  reason: null,
  before: null,
  after: null,
} as const

async function compare(store: SqliteStore, memory: MemoryStore, now: Instant): Promise<void> {
  const expected = await memory.accountsAt(now)
  expect(await store.accountsAt(now)).toEqual(expected)
  for (const account of expected) expect(await store.account(account.key)).toEqual(account)
}

async function examine(path: string, memory: MemoryStore, now: Instant): Promise<void> {
  const crashed = image(path)
  expect((await inspect(crashed)).findings).toEqual([])
  const again = new SqliteStore({ path: crashed, behindMax: 5 })
  await compare(again, memory, now)
  await again.close()
  expect((await inspect(crashed)).findings).toEqual([])
}

/** So small that memory drops its accounts again and again. */
const few = 3
const many = 200_000

test.each([
  [0, many],
  [1, few],
  [7, many],
  [60, few],
  [20_000, many],
  [20_000, few],
])(
  'rows up to %i entries behind, %i in memory: images, failures and readers agree with memory',
  { timeout: 60_000 * seeds },
  async (behindMax, accountsMax) => {
    for (let seed = 1; seed <= seeds; seed += 1) {
      const chance = generator(seed * 1000 + behindMax)
      const path = fresh()
      const store = new SqliteStore({ path, behindMax, accountsMax })
      const memory = new MemoryStore()
      await store.change({ kind: 'note' }, audit)
      let now: Instant = start
      for (let no = 0; no < 150; ) {
        const told: Promise<Outcome>[] = []
        const broken: Promise<string>[] = []
        const expected: Outcome[] = []
        // The balances that there are one after another, and those that a reader saw.
        const balances = [await memory.account(ofAll)]
        const seen: (Account | null)[] = []
        // Several on top of each other every now and then, while the disk has the first.
        for (let turns = chance() < 0.5 ? 1 : 4; turns > 0; turns -= 1) {
          now = instant(now + Math.floor(chance() * 40_000))
          for (let together = 1 + Math.floor(chance() * 3); together > 0; together -= 1) {
            const command = commandAt(no, chance)
            no += 1
            expected.push(await memory.run(command, now, climbingRules))
            balances.push(await memory.account(ofAll))
            told.push(store.run(command, now, climbingRules))
          }
          // In the same batch as one that breaks it: those beside it are tried again alone.
          if (chance() < 0.1) {
            const change = store.change({ kind: 'note' }, { ...audit, reason: 'another' })
            broken.push(change.then(String, (error: Error) => error.message))
          }
          await nextTurn()
          seen.push(await store.account(ofAll))
        }
        const reason = 'UNIQUE constraint failed: audit.id'
        expect(await Promise.all(broken)).toEqual(broken.map(() => reason))
        expect(await Promise.all(told)).toEqual(expected)
        for (const account of seen) expect(balances).toContainEqual(account)
        if (chance() < 0.1) await compare(store, memory, now)
        if (chance() < 0.03) await examine(path, memory, now)
      }
      await examine(path, memory, now)
      await store.close()
    }
  },
)

test('a closed ledger has every entry in its rows', async () => {
  const path = fresh()
  const store = new SqliteStore({ path })
  for (let no = 0; no < 40; no += 1) await store.run(holdOf(no), start, rules)
  const pendingOf = (): unknown => {
    const db = new DatabaseSync(path, { readOnly: true })
    const row = db.prepare('select pending from account where value is null').get()
    db.close()
    return row?.pending
  }
  // Its row was made with the first hold, of a thousand nanodollars.
  expect(pendingOf()).toBe(1000)
  expect((await store.accountsAt(start, budgets[0]?.id))[0]?.pending).toBe(40_000n)
  await store.close()
  expect(pendingOf()).toBe(40_000)
})

test.each([
  ['delete from carried', 'rows that say nothing'],
  ['update carried set up_to = 1000000', 'rows that have what is not there'],
  [
    'update account set as_of = 2 where no = 1; update carried set up_to = 0',
    'a row that has more',
  ],
])('a start refuses %s: %s', async (sql) => {
  const path = fresh()
  const store = new SqliteStore({ path })
  for (let no = 0; no < 6; no += 1) await store.run(holdOf(no), start, rules)
  for (let no = 0; no < 6; no += 1) await store.run(settleOf(no), start, rules)
  const crashed = image(path)
  await store.close()
  const db = new DatabaseSync(crashed)
  db.exec(`update account set pending = 0; ${sql}`)
  db.close()
  expect(() => new SqliteStore({ path: crashed })).toThrow(/do not follow from its entries/)
  expect((await inspect(crashed)).findings).not.toEqual([])
})
