// Hands the command line to the TypeScript program, on a Node that is new enough.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './bootstrap.mjs'

/** Runs `src/main.ts` with `args`; this process lives and ends as that one does. */
export function runMain(node, args) {
  // Node strips no types below node_modules: an installed package carries its compiled form.
  const built = join(root, 'dist', 'main.js')
  const source = join(root, 'src', 'main.ts')
  const main = existsSync(built) && root.includes('node_modules') ? built : source
  const child = spawn(node, ['--disable-warning=ExperimentalWarning', main, ...args], {
    stdio: 'inherit',
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => child.kill(signal))
  }
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? (signal === null ? 1 : 128)
  })
}
