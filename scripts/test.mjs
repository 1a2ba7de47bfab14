// Everything that CI runs: lint, types, then every test project. Ends with `N passed, N failed`.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { bootstrap, root } from './bootstrap.mjs'

const node = bootstrap()
const long = process.argv.includes('--long')
const filters = process.argv.slice(2).filter((argument) => argument !== '--long')
const bin = join(root, 'node_modules', '.bin')
const env = {
  ...process.env,
  PATH: [dirname(node), bin, process.env.PATH].join(delimiter),
  ...(long ? { BURSAR_LONG: '1' } : {}),
}
const tally = { passed: 0, failed: 0, skipped: 0 }
const failures = []

function step(name, command, args) {
  const { status } = spawnSync(command, args, { cwd: root, env, stdio: ['ignore', 1, 2] })
  if (status === 0) tally.passed += 1
  else {
    tally.failed += 1
    failures.push(name)
  }
}

if (filters.length === 0) {
  step('lint', join(bin, 'biome'), ['check', '.'])
  step('types', join(bin, 'tsc'), ['--noEmit'])
}
const folder = mkdtempSync(join(tmpdir(), 'bursar-test-'))
const report = join(folder, 'report.json')
spawnSync(
  node,
  [
    join(root, 'node_modules', 'vitest', 'vitest.mjs'),
    'run',
    ...filters,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
  ],
  { cwd: root, env, stdio: ['ignore', 1, 2] },
)
readReport()
rmSync(folder, { recursive: true, force: true })

for (const name of failures) process.stdout.write(`failed: ${name}\n`)
const skipped = tally.skipped === 0 ? '' : `, ${tally.skipped} skipped`
process.stdout.write(`${tally.passed} passed, ${tally.failed} failed${skipped}\n`)
process.exitCode = tally.failed === 0 ? 0 : 1

function readReport() {
  try {
    const result = JSON.parse(readFileSync(report, 'utf8'))
    tally.passed += result.numPassedTests
    tally.failed += result.numFailedTests
    tally.skipped += result.numPendingTests + result.numTodoTests
    for (const file of result.testResults) {
      for (const one of file.assertionResults) {
        if (one.status === 'failed') failures.push(`${file.name}: ${one.fullName}`)
      }
      // A file that cannot be loaded has no tests to fail, and must not pass for that.
      if (file.status === 'failed' && file.assertionResults.length === 0) {
        tally.failed += 1
        failures.push(`${file.name}: ${file.message}`)
      }
    }
  } catch {
    tally.failed += 1
    failures.push('vitest wrote no report')
  }
}
