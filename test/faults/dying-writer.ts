/**
 * `node --import ./blow-up.ts dying-writer.ts FILE THREADS`: commands without a pause while one
 * thread after the other dies, until so many have begun. Prints what was said of each:
 * `{"threads": 9, "told": ["hold 1 applied"], "refused": ["settle 7: the writer thread died"]}`.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Outcome } from '#ports/store.ts'
import { SqliteStore } from '#store/sqlite.ts'
import { budgets, holdOf, rules, settleOf, start } from '#test/support/ledger.ts'

const [path = '', threadsMin = '12'] = process.argv.slice(2)
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
const callsMin = 1000

async function call(no: number): Promise<void> {
  const say = async (what: string, work: Promise<Outcome>): Promise<void> => {
    await work.then(
      ({ result }) => told.push(`${what} ${result.status}`),
      (error: Error) => refused.push(`${what}: ${error.message}`),
    )
  }
  await say(`hold ${no}`, store.run(holdOf(no), start, rules))
  await say(`settle ${no}`, store.run(settleOf(no), start, rules))
}

for (let no = 0; threads < Number(threadsMin) || no < callsMin; no += 1) {
  const one: Promise<void> = call(no).finally(() => running.delete(one))
  running.add(one)
  if (running.size >= inFlightMax) await Promise.race(running)
  if (no % 5 === 0) await nextTurn()
}
await Promise.all(running)
await store.close()
process.stdout.write(JSON.stringify({ threads, told, refused }))
