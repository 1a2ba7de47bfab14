import { bootstrap } from './bootstrap.mjs'
import { runMain } from './run.mjs'

runMain(bootstrap(), ['up', ...process.argv.slice(2)])
