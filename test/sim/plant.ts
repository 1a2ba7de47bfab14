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
import { type Mutant, mutants } from './mutants.ts'

const root = new URL('../../', import.meta.url).pathname
const [part = ''] = process.argv.slice(2)

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

/** What a check said: passed, or the first line that tells why not. */
function check(folder: string, args: readonly string[]): { passed: boolean; said: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: folder,
    env: { ...process.env, NO_COLOR: '1' },
    encoding: 'utf8',
    timeout: 120_000,
  })
  const lines = `${stdout}\n${stderr}`.split('\n')
  const telling = lines.find((line) => /FAILED|AssertionError|Error: /.test(line)) ?? 'it hangs'
  return { passed: status === 0, said: telling.trim().slice(0, 90).replaceAll('|', '/') }
}

function killerOf(folder: string, { seenBy = [] }: Mutant): string | null {
  const sim = check(folder, ['test/sim/run.ts', '1', '200'])
  if (!sim.passed) return `simulation: ${sim.said.replace(/^\d+ FAILED /, '')}`
  for (const file of seenBy) {
    const ran = check(folder, ['node_modules/vitest/vitest.mjs', 'run', file])
    if (!ran.passed) return `${file}: ${ran.said}`
  }
  return null
}

const folder = copyOfTree()
const rows: string[] = []
let survived = 0
for (const mutant of mutants.filter(({ name }) => name.includes(part))) {
  const path = join(folder, mutant.file)
  const sound = readFileSync(path, 'utf8')
  writeFileSync(
    path,
    sound.replace(mutant.line, () => mutant.with),
  )
  const killer = killerOf(folder, mutant)
  writeFileSync(path, sound)
  if (killer === null) survived += 1
  process.stdout.write(
    `${killer === null ? 'SURVIVED' : 'killed  '} ${mutant.name}: ${killer ?? ''}\n`,
  )
  rows.push(`| ${mutant.name} | \`${mutant.file}\` | ${killer ?? '**survived**'} |`)
}
rmSync(folder, { recursive: true, force: true })
if (part === '') {
  const head = [
    '# Planted bugs, and what saw each',
    '',
    'Made by `npm run mutants`, which plants them one by one in a copy of the tree. The simulation is',
    'asked first (200 seeds); then the tests named with the bug in `mutants.ts`.',
    '',
    '| bug | planted in | seen by |',
    '| --- | --- | --- |',
  ]
  writeFileSync(join(root, 'test/sim/mutants.md'), `${[...head, ...rows].join('\n')}\n`)
}
process.stdout.write(`${rows.length} planted, ${survived} survived\n`)
process.exitCode = survived === 0 ? 0 : 1
