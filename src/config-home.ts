/** The config in its files: read, compiled, watched, and replaced whole. */
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { formatProblem, type Loaded, loadSnapshot } from '#config/load.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { failed, type Result, succeeded } from '#lib/result.ts'
import type { ConfigHome, ConfigText } from '#ports/config-home.ts'
import { readConfigFiles, readTextFile } from '#system/config-files.ts'
import { loadPriceBook } from '#system/price-files.ts'

/** Bursar's own: a config from outside could send them anywhere. */
const ownSecrets = ['BURSAR_SECRET_KEY', 'BURSAR_ADMIN_TOKEN', 'DATABASE_URL']
const fileName = /^[\w-][\w.-]{0,99}\.ya?ml$/

export function loadTexts(texts: readonly ConfigText[]): Result<Loaded, readonly string[]> {
  const loaded = loadSnapshot({
    files: texts,
    env: (name) => process.env[name],
    readFile: readTextFile,
    priceBook: loadPriceBook(),
  })
  if (loaded.ok) return loaded
  return { ok: false, problem: loaded.problem.map(formatProblem) }
}

/** `finished` makes of what was loaded what this process runs with. */
export function configHome(path: string, finished: (loaded: Loaded) => Snapshot): ConfigHome {
  const isFolder = statSync(path).isDirectory()
  const compiled = (texts: readonly ConfigText[]): Result<Snapshot, readonly string[]> => {
    const loaded = loadTexts(texts)
    return loaded.ok ? succeeded(finished(loaded.value)) : loaded
  }
  return {
    name: path,
    present: () => {
      try {
        return compiled(readConfigFiles(path))
      } catch (error) {
        return failed([error instanceof Error ? error.message : String(error)])
      }
    },
    read: (texts) => {
      const problems = [...foreign(texts, presentTexts(path)), ...misplaced(texts, isFolder)]
      return problems.length > 0 ? failed(problems) : compiled(inOrder(texts))
    },
    write: (texts) => replace(placed(texts, path, isFolder), path, isFolder),
    fingerprint: () => fingerprintOf(path),
  }
}

function presentTexts(path: string): string {
  try {
    return readConfigFiles(path)
      .map(({ text }) => text)
      .join('\n')
  } catch {
    return ''
  }
}

function misplaced(texts: readonly ConfigText[], isFolder: boolean): readonly string[] {
  if (texts.length === 0) return ['there is no file in it']
  if (!isFolder && texts.length > 1) {
    return ['the server reads one config file: give one file, not a folder']
  }
  const names = texts.map(({ name }) => basename(name))
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) return [`there are two files called ${twice}`]
  return names
    .filter((name) => isFolder && !fileName.test(name))
    .map((name) => `"${name}" is not a name for a config file: write one such as budgets.yaml`)
}

/** References that would let a config read what is none of its business. */
function foreign(texts: readonly ConfigText[], present: string): readonly string[] {
  return texts.flatMap(({ name, text }) => {
    const files = [...text.matchAll(/\$\{\s*(file:[^}]*)\}/g)].map((match) => match[1] ?? '')
    const own = ownSecrets.filter((one) => new RegExp(`\\$\\{\\s*${one}\\b`).test(text))
    return [...files, ...own]
      .filter((reference) => !present.includes(reference))
      .map(
        (reference) =>
          `${basename(name)}: \${${reference}} is not in the config of the server. ` +
          'What is sent to it may not read new files or secrets: put it into the file there.',
      )
  })
}

/** Under the names that they were sent with, in the order in which they will be read. */
function inOrder(texts: readonly ConfigText[]): readonly ConfigText[] {
  return texts
    .map(({ name, text }) => ({ name: basename(name), text }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

function placed(
  texts: readonly ConfigText[],
  path: string,
  isFolder: boolean,
): readonly ConfigText[] {
  return texts.map(({ name, text }) => ({
    name: isFolder ? join(path, basename(name)) : path,
    text,
  }))
}

/**
 * Each file is replaced whole: a reader sees the old or the new one. In a folder those that are
 * given no more go, and what was there before keeps a copy ending in `.previous`.
 */
function replace(texts: readonly ConfigText[], path: string, isFolder: boolean): () => void {
  const before = readConfigFiles(path)
  const kept = new Set(texts.map(({ name }) => name))
  const gone = isFolder ? before.filter(({ name }) => !kept.has(name)) : []
  const added = texts.filter(({ name }) => !existsSync(name))
  requireWritable(path, isFolder)
  for (const { name, text } of before) putWhole(`${realOf(name)}.previous`, text)
  for (const { name, text } of texts) putWhole(realOf(name), text)
  for (const { name } of gone) rmSync(name)
  return () => {
    for (const { name, text } of before) putWhole(realOf(name), text)
    for (const { name } of added) rmSync(name, { force: true })
  }
}

function requireWritable(path: string, isFolder: boolean): void {
  const folder = isFolder ? path : dirname(realOf(path))
  try {
    accessSync(folder, constants.W_OK)
    if (!isFolder) accessSync(path, constants.W_OK)
  } catch {
    throw new Error(
      `the config at ${path} cannot be written by Bursar: change it where it comes from ` +
        '(a repository, a ConfigMap), and it is read again by itself',
    )
  }
}

/** A link stays a link: what it points to is replaced. */
const realOf = (path: string): string => (existsSync(path) ? realpathSync(path) : path)

function putWhole(path: string, text: string): void {
  const draft = `${path}.new`
  const mode = existsSync(path) ? statSync(path).mode & 0o777 : 0o600
  writeFileSync(draft, text, { mode })
  const file = openSync(draft, 'r')
  fsyncSync(file)
  closeSync(file)
  renameSync(draft, path)
}

/**
 * Names, times, sizes and inodes of the files and of those they refer to. Asked for again and
 * again, because no watcher sees a ConfigMap's links change, or a file on a network.
 */
function fingerprintOf(path: string): string {
  try {
    const texts = readConfigFiles(path)
    const named = texts.flatMap(({ text }) =>
      [...text.matchAll(/\$\{\s*file:([^}]*)\}/g)].map((match) => (match[1] ?? '').trim()),
    )
    return [...texts.map(({ name }) => name), ...named].map(stampOf).join('\n')
  } catch (error) {
    return `unreadable: ${error instanceof Error ? error.message : String(error)}`
  }
}

function stampOf(path: string): string {
  if (!existsSync(path)) return `${path} is not there`
  const { mtimeNs, size, ino } = statSync(path, { bigint: true })
  return `${path} ${mtimeNs} ${size} ${ino}`
}
