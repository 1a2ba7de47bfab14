/** `npm run mutants -- [NAME PART]`: plants each bug in a copy of the tree and says what saw it. */
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mutants } from './mutants.ts'
import type { Mutant } from './mutants-shell.ts'

const root = new URL('../../', import.meta.url).pathname
const [part = ''] = process.argv.slice(2)
const simulation = 'the simulation'

function copyOfTree(): string {
  const folder = mkdtempSync(join(tmpdir(), 'bursar-mutants-'))
  const parts = ['src', 'test', 'prices', 'examples', 'scripts', 'docs', 'package.json']
  const more = ['tsconfig.json', 'vitest.config.ts', 'bursar.example.yaml', 'README.md']
  for (const name of [...parts, ...more]) {
    if (existsSync(join(root, name)))
      cpSync(join(root, name), join(folder, name), { recursive: true })
  }
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  return folder
}

/** Fails loudly where a bug can no longer be planted: a mutant that does nothing proves nothing. */
function checkLines(): void {
  const stale = mutants.filter(({ file, line }) => {
    const text = existsSync(join(root, file)) ? readFileSync(join(root, file), 'utf8') : ''
    return text.split(line).length !== 2
  })
  if (stale.length === 0) return
  const told = stale.map(({ name, file }) => `  ${name}: its line is not once in ${file}`)
  throw new Error(`mutants.ts is behind the sources:\n${told.join('\n')}`)
}

/** Null: it passed. Else the test that failed, or what was said last. */
function failureOf(folder: string, check: string): string | null {
  const args =
    check === simulation
      ? ['test/sim/run.ts', '1', '200']
      : ['node_modules/vitest/vitest.mjs', 'run', '--bail=1', check]
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: folder,
    env: { ...process.env, NO_COLOR: '1' },
    encoding: 'utf8',
    timeout: 120_000,
  })
  if (status === 0) return null
  const said = `${stdout}\n${stderr}`
  const failed = /^ FAIL .*?> (.*)$/m.exec(said)?.[1] ?? /^\d+ FAILED (.*)$/m.exec(said)?.[1]
  const error = /^.*Error: .*$/m.exec(said)?.[0]
  const telling = failed ?? error ?? (status === null ? 'it hangs' : `exit ${status}`)
  return telling.trim().slice(0, 90).replaceAll('|', '/')
}

type Verdict =
  | { readonly kind: 'killed'; readonly by: string }
  | { readonly kind: 'survived' }
  /** None of the tests that are named is in this tree. */
  | { readonly kind: 'waits' }

function verdictOn(folder: string, checks: readonly string[]): Verdict {
  if (checks.length === 0) return { kind: 'waits' }
  for (const check of checks) {
    const failure = failureOf(folder, check)
    if (failure !== null) return { kind: 'killed', by: `${check}: ${failure}` }
  }
  return { kind: 'survived' }
}

const checksOf = ({ seenBy = [simulation] }: Mutant): readonly string[] =>
  seenBy.filter((check) => check === simulation || existsSync(join(root, check)))

/** On the sound tree each check passes, or it would see every bug. */
function checkSound(folder: string, chosen: readonly Mutant[]): void {
  for (const check of new Set(chosen.flatMap(checksOf))) {
    const failure = failureOf(folder, check)
    if (failure !== null) throw new Error(`without any bug, ${check} fails: ${failure}`)
  }
}

function rowOf({ name, file }: Mutant, verdict: Verdict): string {
  const told =
    verdict.kind === 'killed'
      ? verdict.by.replace(/^\S+\.ts/, '`$&`')
      : verdict.kind === 'waits'
        ? 'its test is not here yet'
        : '**nothing**'
  return `| ${name} | \`${file}\` | ${told} |`
}

checkLines()
const chosen = mutants.filter(({ name }) => name.includes(part))
const folder = copyOfTree()
const rows: string[] = []
const count = { killed: 0, survived: 0, waits: 0 }
try {
  checkSound(folder, chosen)
  for (const mutant of chosen) {
    const path = join(folder, mutant.file)
    const sound = readFileSync(path, 'utf8')
    writeFileSync(
      path,
      sound.replace(mutant.line, () => mutant.with),
    )
    const verdict = verdictOn(folder, checksOf(mutant))
    writeFileSync(path, sound)
    count[verdict.kind] += 1
    rows.push(rowOf(mutant, verdict))
    process.stdout.write(
      `${verdict.kind.padEnd(8)} ${mutant.name}${verdict.kind === 'killed' ? `: ${verdict.by}` : ''}\n`,
    )
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
const tally = `${rows.length} planted, ${count.killed} killed, ${count.survived} survived`
if (part === '') {
  const head = [
    '# Planted bugs, and what saw each',
    '',
    'Made by `npm run mutants`, which plants them one by one in a copy of the tree and asks the checks',
    'named with each in `mutants.ts`, the first that fails being the one shown; where none is named,',
    'the simulation (200 seeds). Each check passes without a bug.',
    '',
    `${tally}${count.waits === 0 ? '' : `, ${count.waits} wait for their test`}.`,
    '',
    '| bug | planted in | seen by |',
    '| --- | --- | --- |',
  ]
  writeFileSync(join(root, 'test/sim/mutants.md'), `${[...head, ...rows].join('\n')}\n`)
}
process.stdout.write(`${tally}\n`)
process.exitCode = count.survived === 0 ? 0 : 1
