/** The thread in which a ledger is counted again: for a large one that takes seconds. */
import { parentPort, workerData } from 'node:worker_threads'
import { inspect } from './sqlite-inspect.ts'

parentPort?.postMessage(await inspect((workerData as { path: string }).path))
