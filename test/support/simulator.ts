/** The simulator in a process of its own: what it keeps for its bill is not ours to grow by. */
import { spawn } from 'node:child_process'
import type { Bill } from '#simulator/bill.ts'

export interface SimulatorProcess {
  readonly url: string
  bill(): Promise<Bill>
  stop(): void
}

export function startSimulatorProcess(): Promise<SimulatorProcess> {
  const main = new URL('./simulator-main.ts', import.meta.url).pathname
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main])
  return new Promise((resolve, reject) => {
    child.stdout.on('data', (chunk) => {
      const url = /^http:\S+/.exec(String(chunk))?.[0]
      if (url === undefined) return
      const bill = async (): Promise<Bill> =>
        (await (await fetch(`${url}/__sim/bill`)).json()) as Bill
      resolve({ url, bill, stop: () => void child.kill() })
    })
    child.on('exit', () => reject(new Error('the simulator did not start')))
  })
}
