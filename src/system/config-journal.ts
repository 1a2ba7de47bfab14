/**
 * A config that is replaced file by file is written down before: should the process die amid it,
 * the next one puts back what was there, because half of two configs is neither.
 */
import {
  existsSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { readConfigFiles } from './config-files.ts'

interface Journal {
  readonly host: string
  readonly pid: number
  readonly at: number
  /** What was there, and the names of all that come. */
  readonly before: readonly { readonly name: string; readonly text: string }[]
  readonly names: readonly string[]
}

/** Hidden, and no YAML file: a folder of configs does not read it. */
const journalOf = (path: string): string =>
  join(isFolder(path) ? path : dirname(path), '.bursar-apply')

const isFolder = (path: string): boolean => existsSync(path) && statSync(path).isDirectory()

export function begin(path: string, next: readonly { readonly name: string }[]): void {
  const journal: Journal = {
    host: hostname(),
    pid: process.pid,
    at: Date.now(),
    before: readConfigFiles(path),
    names: next.map(({ name }) => name),
  }
  const file = journalOf(path)
  writeFileSync(`${file}.new`, JSON.stringify(journal), { mode: 0o600, flush: true })
  renameSync(`${file}.new`, file)
}

export function end(path: string): void {
  rmSync(journalOf(path), { force: true })
}

/** Another machine's may still be at it. */
const staleMs = 5 * 60_000

/** True: what a dead process had begun was put back. */
export function recover(path: string): boolean {
  const file = journalOf(path)
  if (!existsSync(file)) return false
  const { host, pid, at, before, names } = JSON.parse(readFileSync(file, 'utf8')) as Journal
  const isDead = host === hostname() ? !isAlive(pid) : Date.now() - at > staleMs
  if (!isDead) return false
  const kept = new Set(before.map(({ name }) => name))
  for (const name of names) if (!kept.has(name)) rmSync(name, { force: true })
  for (const { name, text } of before) {
    // A link stays a link, and a file as readable as it was.
    const place = existsSync(name) ? realpathSync(name) : name
    const mode = existsSync(place) ? statSync(place).mode & 0o777 : 0o600
    writeFileSync(`${place}.new`, text, { mode, flush: true })
    renameSync(`${place}.new`, place)
  }
  rmSync(file, { force: true })
  return true
}

function isAlive(pid: number): boolean {
  if (pid === process.pid) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
