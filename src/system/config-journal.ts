/**
 * A config that is replaced file by file is written down before: should the process die amid it,
 * the next one puts back what was there, because half of two configs is neither.
 */
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { putWhole, readConfigFiles } from './config-files.ts'

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
  putWhole(journalOf(path), JSON.stringify(journal))
}

export function end(path: string): void {
  rmSync(journalOf(path), { force: true })
}

/** What was there before it began, in its place again, where `isOurs` says that it is what came. */
export function putBack(path: string, isOurs: (name: string) => boolean = () => true): void {
  const { before, names } = read(path)
  const kept = new Set(before.map(({ name }) => name))
  for (const { name, text } of before) if (isOurs(name)) putWhole(name, text)
  for (const name of names) if (!kept.has(name) && isOurs(name)) rmSync(name, { force: true })
  end(path)
}

const read = (path: string): Journal => JSON.parse(readFileSync(journalOf(path), 'utf8')) as Journal

/** Another machine's may still be at it. */
const staleMs = 5 * 60_000

/** True: what a dead process had begun was put back. */
export function recover(path: string): boolean {
  if (!existsSync(journalOf(path))) return false
  const { host, pid, at } = read(path)
  const isDead = host === hostname() ? !isAlive(pid) : Date.now() - at > staleMs
  if (isDead) putBack(path)
  return isDead
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
