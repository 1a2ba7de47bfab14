/** `npm run sim -- SEED [COUNT]`: replays seeds, printing the report of each. */
import { MemoryStore } from '#store/memory.ts'
import { simulate } from './world.ts'

const [first = '1', many = '1'] = process.argv.slice(2)
for (let seed = Number(first); seed < Number(first) + Number(many); seed += 1) {
  const report = await simulate(seed, new MemoryStore())
  process.stdout.write(`${seed} ${JSON.stringify(report)}\n`)
}
