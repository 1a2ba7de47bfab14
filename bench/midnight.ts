/**
 * 200,000 budgets end at one midnight, on a ledger of ten million entries: what a call waits for its
 * hold before and after, and how long a month's report takes.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Client } from 'pg'
import type { HoldCommand, Rules } from '#core/journal.ts'
import { nanos } from '#core/money.ts'
import { dayMs } from '#core/spend.ts'
import { type Instant, instant } from '#core/time.ts'
import { makeId } from '#lib/id.ts'
import type { Store } from '#ports/store.ts'
import { PostgresStore } from '#store/postgres/store.ts'
import { SqliteStore } from '#store/sqlite.ts'
import { systemChance } from '#system/chance.ts'
import { nobody } from '#test/support/ledger.ts'
import { startPostgres } from '#test/support/postgres.ts'
import { ruleOf } from '#test/support/ledger.ts'

export interface MidnightRow {
  readonly store: string
  readonly entries: number
  readonly beforeP50Ms: number
  readonly beforeP99Ms: number
  readonly afterP50Ms: number
  readonly afterP99Ms: number
  readonly reportMs: number
}

const budgets = 200_000
const calls = 5_000_000
const perSecond = 200
const midnight = Date.UTC(2026, 10, 26)
const monthStart = Date.UTC(2026, 10, 1)

const amount = 10n ** 15n
const all = ruleOf('all', { amount })
const rules = Array.from({ length: budgets }, (_, no) =>
  ruleOf(`agent${no}`, { amount, period: 'day' }),
)
const byId = new Map([all, ...rules].map((rule) => [rule.id, rule]))
const lookup: Rules = (id) => byId.get(id) ?? null

/** The past, made by the database itself: `n` is a number from 1. what binds how differs, so it is in parentheses. */
const past = {
  account: `select n, 'bud_agent' || (n - 1) || '|${midnight - dayMs}', 'bud_agent' || (n - 1), null,
    'usd', ${midnight - dayMs}, ${midnight}, 1000000000000000, 0, 0, '', null, ''`,
  hold: `select 'hold_old' || n, 'call_old' || n, 'settled', ${monthStart} + n * 400,
    ${monthStart} + n * 400 + 600000, ${monthStart} + n * 400 + 2000, 2000000, 1000, 900, 1000000,
    'actual', (n % ${budgets} + 1) || ':usd:2000000:1000000', '{"agent":"agent' || (n % 200) || '"}',
    '{"model":"gpt-5-mini"}'`,
  entry: `select case n % 2 when 0 then 'settle' else 'hold' end, 'hold_old' || (n / 2 + n % 2),
    ${monthStart} + n * 200, (n % ${budgets} + 1) || ':0:2000000', 0, null, null`,
  spend: `select ${monthStart} + (n - 1) / 600 * 3600000, 'unit', 'team' || (n % 20),
    'agent' || (n % 200), 'prod', 'openai', 'model' || (n % 3), 10, 9000, 10000000, 0`,
} as const

const columns: Readonly<Record<keyof typeof past, string>> = {
  account:
    'no, key, budget, value, unit, period_start, period_end, amount, posted, pending, fired, ' +
    'throttle, recent',
  hold:
    'id, call, state, made_at, expires_at, ended_at, amount, output_cap, tokens, cost, basis, ' +
    'lines, attribution, facts',
  entry: 'kind, hold, at, lines, overage, reason, author',
  spend:
    'hour, business_unit, team, agent, environment, provider, model, calls, tokens, cost, presumed',
}
/** Six hundred agents and models each hour of 25 days. */
const counts = { account: budgets, hold: calls, entry: 2 * calls, spend: 25 * 24 * 600 }
const tables = ['account', 'hold', 'entry', 'spend'] as const

function fillSqlite(path: string): void {
  const db = new DatabaseSync(path)
  db.exec('pragma synchronous = off')
  for (const table of tables) {
    db.exec(`insert into ${table} (${columns[table]})
      with recursive numbers (n) as
        (select 1 union all select n + 1 from numbers where n < ${counts[table]})
      ${past[table]} from numbers`)
  }
  db.exec('pragma wal_checkpoint(truncate)')
  db.close()
}

async function fillPostgres(url: string): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  for (const table of tables) {
    await client.query(`insert into bursar.${table} (${columns[table]})
      ${past[table]} from generate_series(1::bigint, ${counts[table]}) as numbers (n)`)
  }
  await client.query(
    `select setval(pg_get_serial_sequence('bursar.account', 'no'), ${budgets + 1}, false)`,
  )
  await client.query('vacuum analyze')
  await client.end()
}

function holdAt(now: Instant): HoldCommand {
  const id = systemChance.token(22)
  const own = rules[Math.floor(systemChance.fraction() * budgets)] ?? all
  return {
    kind: 'hold',
    hold: makeId('hold', id),
    call: makeId('call', id),
    attribution: { ...nobody, agent: own.name, model: 'gpt-5-mini', provider: 'openai' },
    accounts: [all, own].map((rule) => ({ rule, value: null })),
    asking: {
      fixedPicos: 1_000_000n,
      picosPerOutputToken: 2_000_000n,
      outputCap: 1000,
      outputCapFloor: 1000,
      fixedTokens: 100,
      tokensPerCap: 1,
    },
    expiresAt: instant(now + 600_000),
    conversation: null,
    marks: [],
    facts: { model: 'gpt-5-mini' },
  }
}

/** Milliseconds that each hold took, of calls that come `perSecond` whatever becomes of them. */
async function waits(store: Store, from: number, seconds: number): Promise<readonly number[]> {
  const times: number[] = []
  const open = new Set<Promise<unknown>>()
  const began = performance.now()
  for (let no = 0; no < perSecond * seconds; no += 1) {
    const due = (no * 1000) / perSecond
    while (performance.now() - began < due) await new Promise((resolve) => setTimeout(resolve, 1))
    const now = instant(from + Math.floor(performance.now() - began))
    const asked = performance.now()
    const command = holdAt(now)
    const call = store.run(command, now, lookup).then(async ({ result }) => {
      if (result.status !== 'applied') throw new Error(result.status)
      times.push(performance.now() - asked)
      const { hold } = command
      const end = { tokens: 900, basis: 'actual', facts: {} } as const
      await store.run({ kind: 'settle', hold, cost: nanos(1000n), ...end }, now, lookup)
      open.delete(call)
    })
    open.add(call)
  }
  await Promise.all(open)
  return times.sort((a, b) => a - b)
}

async function measure(name: string, store: Store): Promise<MidnightRow> {
  const seconds = 15
  // The first second warms the compiler.
  await waits(store, midnight - 60_000, 2)
  const before = await waits(store, midnight - seconds * 1000, seconds)
  const after = await waits(store, midnight, seconds)
  const asked = performance.now()
  const span = { from: instant(monthStart), to: instant(monthStart + 30 * dayMs) }
  const report = await store.spend({ ...span, daily: false, by: ['team', 'agent', 'model'] })
  const reportMs = performance.now() - asked
  if (report.length < 600) throw new Error(`the report has ${report.length} rows`)
  const at = (times: readonly number[], share: number): number =>
    times[Math.floor(times.length * share)] ?? 0
  return {
    store: name,
    entries: counts.entry,
    beforeP50Ms: at(before, 0.5),
    beforeP99Ms: at(before, 0.99),
    afterP50Ms: at(after, 0.5),
    afterP99Ms: at(after, 0.99),
    reportMs,
  }
}

export async function midnightRows(): Promise<readonly MidnightRow[]> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-midnight-'))
  try {
    const path = join(folder, 'bursar.db')
    await new SqliteStore({ path }).close()
    fillSqlite(path)
    const sqlite = new SqliteStore({ path })
    const first = await measure('SQLite', sqlite)
    await sqlite.close()
    rmSync(path)
    await using postgres = await startPostgres()
    const url = await postgres.database()
    await (await PostgresStore.open({ url })).close()
    await fillPostgres(url)
    const shared = await PostgresStore.open({ url })
    const second = await measure('PostgreSQL', shared)
    await shared.close()
    return [first, second]
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

export function midnightTable(rows: readonly MidnightRow[]): string {
  return [
    `| ${budgets} budgets, ${perSecond} calls/s | entries | before: p50 ms | p99 | after: p50 ms | p99 | month's report ms |`,
    '| --- | --: | --: | --: | --: | --: | --: |',
    ...rows.map((row) => {
      const { beforeP50Ms, beforeP99Ms, afterP50Ms, afterP99Ms, reportMs } = row
      const times = [beforeP50Ms, beforeP99Ms, afterP50Ms, afterP99Ms, reportMs]
      return `| ${row.store} | ${row.entries} | ${times.map((ms) => ms.toFixed(1)).join(' | ')} |`
    }),
  ].join('\n')
}
