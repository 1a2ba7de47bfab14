#!/usr/bin/env node
import { bootstrap } from './bootstrap.mjs'
import { runMain } from './run.mjs'

runMain(bootstrap(), process.argv.slice(2))
