/**
 * The process whose writes are watched: `node crash-writer.ts FILE COMMITS`. Prints
 * `ack NO hold|settle` when a command is acknowledged, as one write to file descriptor 1.
 */
import { writeSync } from 'node:fs'
import { SqliteStore } from '#store/sqlite.ts'
import { budgets, holdOf, rules, settleOf, start } from '#test/support/ledger.ts'

const [path = '', commits = '50'] = process.argv.slice(2)
// Few, so that rows are carried while it is watched.
const store = new SqliteStore({ path, behindMax: 20 })
await store.adopt(budgets, start)
writeSync(1, 'ready\n')
for (let no = 0; no < Number(commits); no += 1) {
  // Three commands a commit, as a busy gateway has them, and a settlement in every second round.
  const batch = [no * 3, no * 3 + 1, no * 3 + 2]
  const acknowledged = batch.map(async (one) => {
    await store.run(holdOf(one), start, rules)
    writeSync(1, `ack ${one} hold\n`)
    if (no % 2 === 1) return
    await store.run(settleOf(one), start, rules)
    writeSync(1, `ack ${one} settle\n`)
  })
  await Promise.all(acknowledged)
}
process.kill(process.pid, 'SIGKILL')
