/** One replica's part of `hot.ts`: callers in a closed loop on accounts that all of them share. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'pg'
import type { Command, Rules } from '#core/journal.ts'
import { nanos } from '#core/money.ts'
import { type Instant, instant } from '#core/time.ts'
import { makeId } from '#lib/id.ts'
import type { Outcome } from '#ports/store.ts'
import { execute } from '#store/execute.ts'
import { ledgerSettings } from '#store/postgres/connection.ts'
import { fetchRows, needOf } from '#store/postgres/load.ts'
import { AccountNumbers, PostgresRows } from '#store/postgres/rows.ts'
import { PostgresStore } from '#store/postgres/store.ts'
import { writeRows } from '#store/postgres/write.ts'
import { systemChance } from '#system/chance.ts'
import { nobody } from '#test/support/ledger.ts'
import { ruleOf } from '#test/support/ledger.ts'

const [url = '', way = 'together', callers = '64', seconds = '4'] = process.argv.slice(2)
const warmMs = 1500

const rules = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) =>
  ruleOf(name, { amount: 10n ** 17n, period: 'day' }),
)
const byId = new Map(rules.map((rule) => [rule.id, rule]))
const lookup: Rules = (id) => byId.get(id) ?? null

/** A prompt of 500 tokens and at most 1,000 of an answer. */
const asking = {
  fixedPicos: 125_000_000n,
  picosPerOutputToken: 2_000_000n,
  outputCap: 1000,
  outputCapFloor: 256,
  fixedTokens: 500,
  tokensPerCap: 1,
}

type Run = (command: Command, now: Instant) => Promise<Outcome>

/** What everybody else does: a transaction a command, as many at a time as there are connections. */
function apart(): Run {
  const pool = new Pool({ ...ledgerSettings(url), max: 16 })
  const numbers = new AccountNumbers()
  return async (command, now) => {
    const client = await pool.connect()
    try {
      const rows = new PostgresRows(numbers)
      await client.query('begin')
      await fetchRows(client, { rows, numbers }, [needOf(command, now)])
      const outcome = execute(rows, command, now, lookup)
      await writeRows(client, rows)
      rows.committed()
      return outcome
    } finally {
      client.release()
    }
  }
}

async function together(): Promise<Run> {
  const store = await PostgresStore.open({ url })
  return (command, now) => store.run(command, now, lookup)
}

const run = way === 'together' ? await together() : apart()
const times: number[] = []
let counting = false
let over = false

async function caller(): Promise<void> {
  while (!over) {
    const id = systemChance.token(22)
    const began = performance.now()
    const now = instant(Date.now())
    const held = await run(
      {
        kind: 'hold',
        hold: makeId('hold', id),
        call: makeId('call', id),
        accounts: rules.map((rule) => ({ rule, value: null })),
        attribution: nobody,
        expiresAt: instant(now + 600_000),
        conversation: null,
        marks: [],
        facts: { model: 'gpt-5-mini', provider: 'openai', endpoint: 'chat', stream: false },
        asking,
      },
      now,
    )
    if (held.result.status !== 'applied') throw new Error(held.result.status)
    await run(
      {
        kind: 'settle',
        hold: makeId('hold', id),
        cost: nanos(5000n),
        tokens: 900,
        basis: 'actual',
        facts: { usage: { input: 500, output: 400 } },
      },
      instant(Date.now()),
    )
    if (counting) times.push(performance.now() - began)
  }
}

const callersDone = Array.from({ length: Number(callers) }, caller)
await sleep(warmMs)
counting = true
await sleep(Number(seconds) * 1000)
counting = false
over = true
await Promise.allSettled(callersDone)
const said = JSON.stringify(times.map((ms) => Math.round(ms * 100) / 100))
// Not before all of it is in the pipe.
process.stdout.write(`${said}\n`, () => process.exit())
