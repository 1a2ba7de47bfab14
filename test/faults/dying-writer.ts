/**
 * `node --import ./blow-up.ts dying-writer.ts FILE SECONDS`: commands without a pause while one
 * thread after the other dies. Prints what was said of each: `{"told": ["hold 1"], "refused": []}`.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { SqliteStore } from '#store/sqlite.ts'
import { budgets, holdOf, rules, settleOf, start } from '#test/support/ledger.ts'

const [path = '', seconds = '2'] = process.argv.slice(2)
let threads = 0
process.on('worker', () => {
  threads += 1
})
const store = new SqliteStore({ path })
await store.adopt(budgets, start)
const told: string[] = []
const refused: string[] = []
const running = new Set<Promise<void>>()
const inFlightMax = 200

async function call(no: number): Promise<void> {
  const say = async (what: string, work: Promise<unknown>): Promise<void> => {
    await work.then(
      () => told.push(what),
      (error: Error) => refused.push(`${what}: ${error.message}`),
    )
  }
  await say(`hold ${no}`, store.run(holdOf(no), start, rules))
  await say(`settle ${no}`, store.run(settleOf(no), start, rules))
}

const until = performance.now() + Number(seconds) * 1000
for (let no = 0; performance.now() < until; no += 1) {
  const one: Promise<void> = call(no).finally(() => running.delete(one))
  running.add(one)
  if (running.size >= inFlightMax) await Promise.race(running)
  if (no % 5 === 0) await nextTurn()
}
await Promise.all(running)
await store.close()
process.stdout.write(JSON.stringify({ threads, told, refused }))
