// Runs before anything is installed, so it is plain ES2022 for Node 20. It makes `npm start` and
// `npm test` work on a machine that has only npm: packages, and a Node that runs TypeScript.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const modules = join(root, 'node_modules')
const stamp = join(modules, '.bursar-installed')
const nodeMajorMin = 24

/** Installs what is missing; quick when nothing is. Returns the path of a Node that is new enough. */
export function bootstrap() {
  if (existsSync(join(root, 'package-lock.json'))) ensureInstalled()
  return ensureNode()
}

function ensureInstalled() {
  const wanted = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .update(readFileSync(join(root, 'package.json')))
    .digest('hex')
  const isDone = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted
  if (isDone()) return
  withLock(() => {
    if (isDone()) return
    process.stderr.write('Installing packages (npm install) ...\n')
    // Not `npm ci`: where a registry lacks other platforms' optional packages it refuses a good lock.
    const npm = process.env.npm_execpath
    const args = ['install', '--no-audit', '--no-fund', '--loglevel=error']
    const run =
      npm === undefined || !npm.endsWith('.js')
        ? spawnSync('npm', args, { cwd: root, stdio: ['ignore', 2, 2] })
        : spawnSync(process.execPath, [npm, ...args], { cwd: root, stdio: ['ignore', 2, 2] })
    if (run.status !== 0) {
      fail('npm install failed: see above. Bursar needs the npm registry once, at installation.')
    }
    writeFileSync(stamp, wanted)
  })
}

/** Two starts at once install once. A lock left by a dead process is taken over after 5 minutes. */
function withLock(work) {
  const lock = join(root, '.install-lock')
  const deadline = Date.now() + 300_000
  for (;;) {
    try {
      mkdirSync(lock)
      break
    } catch {
      const age = existsSync(lock) ? Date.now() - statSync(lock).mtimeMs : 0
      if (age > 300_000) rmSync(lock, { recursive: true, force: true })
      if (Date.now() > deadline) fail(`another installation holds ${lock}: remove it if none runs`)
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
    }
  }
  try {
    work()
  } finally {
    rmSync(lock, { recursive: true, force: true })
  }
}

function ensureNode() {
  const own = join(modules, 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
  if (majorOf(own) >= nodeMajorMin) return own
  if (existsSync(join(modules, 'node', 'installArchSpecificPackage.js'))) {
    // npm may be set up to run no install scripts: this one only links the platform's binary.
    spawnSync(process.execPath, ['installArchSpecificPackage.js'], {
      cwd: join(modules, 'node'),
      stdio: 'ignore',
    })
    if (majorOf(own) >= nodeMajorMin) return own
  }
  if (majorOf(process.execPath) >= nodeMajorMin) return process.execPath
  return fail(
    `Bursar runs on Node ${nodeMajorMin} or newer; this is ${process.version}, and the "node" ` +
      'package of devDependencies could not be installed.',
  )
}

function majorOf(path) {
  if (!existsSync(path)) return 0
  const { stdout } = spawnSync(path, ['--version'], { encoding: 'utf8' })
  return Number(/^v(\d+)/.exec(stdout ?? '')?.[1] ?? 0)
}

function fail(message) {
  process.stderr.write(`bursar: ${message}\n`)
  process.exit(1)
}
