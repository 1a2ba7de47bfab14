/** `npm run mutants -- [PART OF A NAME OR FILE]`: plants each bug in a copy, says what saw it. */
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
/** How a process ends that was told to by SIGTERM. */
const terminated = 143

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

const checksOf = ({ seenBy = [simulation] }: Mutant): readonly string[] => seenBy

/** Fails loudly where a bug can no longer be planted: a mutant that does nothing proves nothing. */
function checkFresh(): void {
  const stale = mutants.flatMap((mutant) => {
    const { name, file, line } = mutant
    const text = existsSync(join(root, file)) ? readFileSync(join(root, file), 'utf8') : ''
    const gone = checksOf(mutant).filter(
      (check) => check !== simulation && !existsSync(join(root, check)),
    )
    return [
      ...(text.split(line).length === 2 ? [] : [`  ${name}: its line is not once in ${file}`]),
      ...gone.map((check) => `  ${name}: there is no ${check}`),
    ]
  })
  if (stale.length > 0) throw new Error(`mutants.ts is behind the tree:\n${stale.join('\n')}`)
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
  // One that only ran out of time says nothing of what broke.
  if (failed === undefined && (status === null || status === terminated)) return null
  const telling = failed ?? error ?? `exit ${status}`
  return telling.trim().slice(0, 90).replaceAll('|', '/')
}

/** The first check that fails, and how; null: none. */
function killerOf(folder: string, mutant: Mutant): string | null {
  for (const check of checksOf(mutant)) {
    const failure = failureOf(folder, check)
    if (failure !== null) return `${check}: ${failure}`
  }
  return null
}

/** On the sound tree each check passes, or it would see every bug. */
function checkSound(folder: string, chosen: readonly Mutant[]): void {
  for (const check of new Set(chosen.flatMap(checksOf))) {
    const failure = failureOf(folder, check)
    if (failure !== null) throw new Error(`without any bug, ${check} fails: ${failure}`)
  }
}

checkFresh()
const chosen = mutants.filter(({ name, file }) => `${file} ${name}`.includes(part))
const folder = copyOfTree()
const rows: string[] = []
let survived = 0
try {
  checkSound(folder, chosen)
  for (const mutant of chosen) {
    const path = join(folder, mutant.file)
    const sound = readFileSync(path, 'utf8')
    writeFileSync(
      path,
      sound.replace(mutant.line, () => mutant.with),
    )
    const killer = killerOf(folder, mutant)
    writeFileSync(path, sound)
    if (killer === null) survived += 1
    const told = killer?.replace(/^\S+\.ts/, '`$&`') ?? '**nothing**'
    rows.push(`| ${mutant.name} | \`${mutant.file}\` | ${told} |`)
    process.stdout.write(
      killer === null ? `SURVIVED ${mutant.name}\n` : `killed   ${mutant.name}: ${killer}\n`,
    )
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
const tally = `${rows.length} planted, ${rows.length - survived} killed, ${survived} survived`
if (part === '') {
  const head = [
    '# Planted bugs, and what saw each',
    '',
    'Made by `npm run mutants`, which plants them one by one in a copy of the tree and asks the checks',
    'named with each in `mutants.ts`, the first that fails being the one shown; where none is named,',
    'the simulation (200 seeds). Each check passes without a bug.',
    '',
    `${tally}.`,
    '',
    '| bug | planted in | seen by |',
    '| --- | --- | --- |',
  ]
  const page = join(root, 'test/sim/mutants.md')
  writeFileSync(page, `${[...head, ...rows].join('\n')}\n`)
  // The page is linted like every other file.
  spawnSync(join(root, 'node_modules/.bin/biome'), ['format', '--write', page])
}
process.stdout.write(`${tally}\n`)
process.exitCode = survived === 0 ? 0 : 1
