/** `npm run sim -- SEED [COUNT]`: replays seeds, printing the report of each, or why it failed. */
import { MemoryStore } from '#store/memory.ts'
import { simulate } from './world.ts'

const [first = '1', many = '1'] = process.argv.slice(2)
for (let seed = Number(first); seed < Number(first) + Number(many); seed += 1) {
  try {
    const report = await simulate(seed, new MemoryStore())
    process.stdout.write(`${seed} ${JSON.stringify(report)}\n`)
  } catch (error) {
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error)
    process.stdout.write(`${seed} FAILED ${many === '1' ? reason : reason.split('\n')[0]}\n`)
    process.exitCode = 1
  }
}
