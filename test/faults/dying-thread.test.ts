/** The thread that writes dies of an error, again and again: what was told is on the disk. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { promisify } from 'node:util'
import { afterAll, expect, test } from 'vitest'
import { inspect } from '#store/sqlite-inspect.ts'
import { holdId } from '#test/support/ledger.ts'

const execute = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'bursar-dying-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('a writer thread that dies under load loses nothing it has acknowledged', async () => {
  const path = join(folder, 'ledger.db')
  const file = (name: string): string => join(import.meta.dirname, name)
  const flags = ['--disable-warning=ExperimentalWarning', `--import=${file('blow-up.ts')}`]
  const args = [...flags, file('dying-writer.ts'), path, '15']
  const { stdout } = await execute(process.execPath, args, { maxBuffer: 64 * 1024 * 1024 })
  const said = JSON.parse(stdout) as { threads: number; told: string[]; refused: string[] }
  expect(said.threads).toBeGreaterThanOrEqual(15)

  const db = new DatabaseSync(path, { readOnly: true })
  const rows = db.prepare('select id, state from hold').all()
  db.close()
  const states = new Map(rows.map(({ id, state }) => [id, state]))
  const unheld = new Set(said.refused.map((what) => what.split(':')[0]))
  const untrue = said.told.filter((what) => {
    const [kind, no, status = ''] = what.split(' ')
    const state = states.get(holdId(Number(no)))
    // Who was refused a hold and settles it all the same is told that there is none.
    if (status === 'hold_not_found') return state !== undefined || !unheld.has(`hold ${no}`)
    if (status !== 'applied' && status !== 'repeated') return true
    return kind === 'hold' ? state === undefined : state !== 'settled'
  })
  expect(untrue).toEqual([])
  // A command is tried again by itself: only two deaths in its own way refuse it.
  for (const what of said.refused) expect(what).toContain('the writer thread died')
  expect((await inspect(path)).findings).toEqual([])
}, 60_000)
