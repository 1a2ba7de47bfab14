/** What `startSimulatorProcess` runs: a bill that keeps every line of a long test. */
import { startSimulator } from '#simulator/server.ts'
import { loadPriceBook } from '#system/price-files.ts'

const { url } = await startSimulator({
  listen: { host: '127.0.0.1', port: 0 },
  priceBook: loadPriceBook(),
  billLines: 2_000_000,
})
process.stdout.write(`${url}\n`)
